// What a data plane answers to the question where a request would go: the part of it that is shown.

export interface Explanation {
  readonly node: string;
  readonly outcome: {
    readonly kind: 'forwarded' | 'tunnelled' | 'answered' | 'refused';
    readonly summary: string;
    readonly code: string | null;
    readonly status: number | null;
    readonly mend: string;
    readonly similar: readonly string[];
  };
  readonly caller: { readonly workload: string; readonly why: string; readonly others: readonly string[]; readonly identity: string };
  readonly listener: {
    readonly name: string;
    readonly address: string;
    readonly port: number;
    readonly state: string;
    readonly why: string;
  } | null;
  readonly route: {
    readonly virtualHost: string;
    readonly domain: string;
    readonly name: string;
    readonly position: number;
    readonly routes: number;
    readonly passedOver: readonly { readonly route: string; readonly why: string }[];
    readonly passedOverCount: number;
  } | null;
  readonly action: Action | null;
  readonly clusters: readonly Target[];
  readonly access: { readonly encrypted: boolean; readonly shows: string; readonly asks: readonly string[]; readonly summary: string };
  readonly calledSide: readonly { readonly instance: string; readonly decision: CalledDecision | null }[];
  readonly notes: readonly string[];
}

interface CalledDecision {
  readonly allowed: boolean;
  readonly rule: string;
  readonly reason: string;
  readonly token: string;
  readonly onlyWatches: boolean;
}

export type Action =
  | {
      readonly kind: 'forward';
      readonly time: { readonly limitMs: number; readonly routeMs: number; readonly error: string | null };
      readonly retry: { readonly attempts: number; readonly on: readonly string[] };
      readonly retryNote: string;
      readonly rewrite: { readonly path: string; readonly authority: string } | null;
      readonly fault: unknown;
      readonly rateLimits: readonly { readonly text: string; readonly applies: boolean; readonly why: string }[];
    }
  | { readonly kind: 'tunnel'; readonly tunnel: string }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  | { readonly kind: 'respond'; readonly status: number; readonly contentType: string; readonly body: string };

interface Target {
  readonly name: string;
  readonly service: string;
  readonly sharePercent: number;
  readonly taken: boolean | null;
  readonly candidates: { readonly all: number; readonly canBePicked: number; readonly shown: readonly Candidate[] };
}

export interface Candidate {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly canBePicked: boolean;
  readonly why: string;
}
