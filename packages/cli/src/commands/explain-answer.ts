// What a proxy answers to `POST /explain` of its admin API, as far as it is shown as text; as JSON all of it is passed on as it came.
import type {
  BalancePolicy,
  BreakerPolicy,
  FaultPolicy,
  HashSource,
  HeaderChanges,
  HedgePolicy,
  OutlierPolicy,
  RetryBudget,
  RetryPolicy,
  RouteMatch,
  SessionPolicy,
} from '@heddle/core';

export interface ExplainAnswer {
  readonly node: string;
  readonly outcome: {
    readonly kind: 'forwarded' | 'tunnelled' | 'answered' | 'refused';
    readonly summary: string;
    readonly code: string | null;
    readonly status: number | null;
    readonly mend: string;
    readonly similar: readonly string[];
  };
  readonly caller: { readonly workload: string; readonly why: string; readonly others: readonly string[] };
  readonly listener: AnsweredListener | null;
  readonly route: AnsweredRoute | null;
  readonly action: AnsweredAction | null;
  readonly clusters: readonly AnsweredTarget[];
  readonly mirrors: readonly { readonly cluster: string; readonly percent: number; readonly canBePicked: number; readonly all: number }[];
  readonly access: { readonly shows: string; readonly asks: readonly string[]; readonly summary: string };
  readonly calledSide: readonly AnsweredCalledSide[];
  readonly notes: readonly string[];
}

interface AnsweredListener {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly state: string;
  readonly why: string;
  readonly others: readonly string[];
}

interface AnsweredRoute {
  readonly virtualHost: string;
  readonly domain: string;
  readonly name: string;
  readonly position: number;
  readonly routes: number;
  readonly match: RouteMatch | null;
  readonly reason: string;
  readonly passedOver: readonly { readonly route: string; readonly why: string }[];
  readonly passedOverCount: number;
}

export type AnsweredAction = AnsweredForward | AnsweredTunnel | AnsweredRedirect | AnsweredResponse;

export interface AnsweredRules {
  readonly requestHeaders: HeaderChanges | null;
  readonly responseHeaders: HeaderChanges | null;
  readonly fault: FaultPolicy | null;
  readonly rateLimits: readonly AnsweredLimit[];
}

export interface AnsweredForward extends AnsweredRules {
  readonly kind: 'forward';
  readonly time: AnsweredTime;
  readonly retry: RetryPolicy;
  readonly retryNote: string;
  readonly hedge: HedgePolicy | null;
  readonly hedgeNote: string;
  readonly hash: { readonly sources: readonly HashSource[]; readonly source: HashSource | null; readonly text: string } | null;
  readonly splitByHash: boolean;
  readonly rewrite: { readonly path: string; readonly authority: string } | null;
}

interface AnsweredTunnel {
  readonly kind: 'tunnel';
  readonly tunnel: string;
  readonly idleTimeoutMs: number;
}

interface AnsweredRedirect extends AnsweredRules {
  readonly kind: 'redirect';
}

interface AnsweredResponse extends AnsweredRules {
  readonly kind: 'respond';
  readonly contentType: string;
  readonly body: string;
}

interface AnsweredTime {
  readonly routeMs: number;
  readonly callerMs: number | null;
  readonly callerHeader: string;
  readonly idleMs: number;
  readonly error: string | null;
}

export interface AnsweredLimit {
  readonly text: string;
  readonly by: string;
  readonly key: string | null;
  readonly applies: boolean;
  readonly why: string;
}

export interface AnsweredTarget {
  readonly name: string;
  readonly sharePercent: number;
  readonly taken: boolean | null;
  readonly requestHeaders: HeaderChanges | null;
  readonly responseHeaders: HeaderChanges | null;
  readonly cluster: AnsweredCluster | null;
  readonly candidates: {
    readonly all: number;
    readonly canBePicked: number;
    readonly shown: readonly AnsweredCandidate[];
    readonly byHash: string;
  };
}

export interface AnsweredCluster {
  readonly balance: BalancePolicy;
  readonly connectTimeoutMs: number;
  readonly breaker: BreakerPolicy;
  readonly underWay: number;
  readonly pending: number;
  readonly retryBudget: RetryBudget;
  readonly retriesLeft: number | null;
  readonly adaptiveConcurrency: object | null;
  readonly concurrency: readonly object[];
  readonly outlier: OutlierPolicy | null;
  readonly session: SessionPolicy | null;
}

export interface AnsweredCandidate {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  readonly locality: string;
  readonly weight: number;
  readonly health: string;
  readonly canBePicked: boolean;
  readonly why: string;
  readonly views: readonly {
    readonly worker: number | null;
    readonly measured: boolean;
    readonly balancer: Readonly<Record<string, string | number>>;
  }[];
}

interface AnsweredCalledSide {
  readonly instance: string;
  readonly application: string;
  readonly rateLimits: readonly AnsweredLimit[];
  readonly adaptiveConcurrency: object | null;
  readonly concurrency: readonly object[];
  readonly activeRequests: number;
}
