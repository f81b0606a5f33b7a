// What a data plane would do with a request, as plain JSON: for people, by way of `heddle explain`, and for programs. What is not there is
// null or empty, never absent, so that every answer has the same fields. Durations are milliseconds.
import type {
  AdaptiveConcurrencyPolicy,
  AuditNote,
  BalancePolicy,
  BreakerPolicy,
  ErrorCode,
  FaultPolicy,
  HashSource,
  HeaderChanges,
  HedgePolicy,
  OutlierPolicy,
  RetryBudget,
  RetryPolicy,
  RouteMatch,
  RuleExplanation,
  SessionPolicy,
} from '@heddle/core';
import type { ListenerStatus } from '../data-plane-types.ts';

export type ListenerState = ListenerStatus['state'];

/** What is asked about. */
export interface Question {
  /** As sent; `CONNECT` for byte streams. */
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** Host with or without port. */
  readonly authority: string;
  /** With its query; empty for CONNECT. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** A service or workload that calls. Empty: whoever calls without saying who it is, or the only service that is hosted. */
  readonly from: string;
}

export interface Explanation {
  readonly node: string;
  readonly question: Question;
  readonly outcome: Outcome;
  readonly caller: Caller;
  /** Null: nothing here takes such a request. */
  readonly listener: TakenListener | null;
  /** Null where the listener carries bytes without looking at requests, and where no route was looked for. */
  readonly route: TakenRoute | null;
  /** What the route does; null without one. */
  readonly action: Action | null;
  /** Where the request may go, in the order of the route. */
  readonly clusters: readonly Target[];
  readonly mirrors: readonly Mirrored[];
  readonly access: Access;
  /** What the data planes of called instances do, as far as it is this one. */
  readonly calledSide: readonly CalledSide[];
  /** What else is worth knowing, as sentences without their end. */
  readonly notes: readonly string[];
}

/**
 * `forwarded`: it goes to an instance. `tunnelled`: its bytes do. `answered`: this data plane answers by a rule. `refused`: it answers with
 * an error, or there is nobody to answer.
 */
export interface Outcome {
  readonly kind: 'forwarded' | 'tunnelled' | 'answered' | 'refused';
  /** A sentence without its end. */
  readonly summary: string;
  /** Of the error that is answered. */
  readonly code: ErrorCode | null;
  /** That this data plane answers; null: the instance does, or nobody. */
  readonly status: number | null;
  /** What to do about a refusal; empty otherwise. */
  readonly mend: string;
  /** Names that are like the one that nothing leads to. */
  readonly similar: readonly string[];
}

export interface Caller {
  /** `<namespace>/<service>/<instance>`. */
  readonly workload: string;
  /** How it was chosen, as the end of a sentence that begins with it. */
  readonly why: string;
  /** Other workloads that were meant as well. */
  readonly others: readonly string[];
  /** SPIFFE id by which it calls; empty: it shows none. */
  readonly identity: string;
}

export interface TakenListener {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly state: ListenerState;
  /** Why it waits; empty when it does not. */
  readonly reason: string;
  /** Why this one, as the end of `because …`. */
  readonly why: string;
  /** Names of other listeners that lead to the same service for this caller. */
  readonly others: readonly string[];
}

export interface TakenRoute {
  /** Name of the route configuration. */
  readonly config: string;
  /** Empty: no virtual host has the authority. */
  readonly virtualHost: string;
  readonly domain: string;
  /** Empty: none of the routes fits. */
  readonly name: string;
  /** From 1 on, in its virtual host; 0: none. */
  readonly position: number;
  readonly routes: number;
  readonly match: RouteMatch | null;
  readonly reason: string;
  /** The first of the routes before it, or of all where none fits. */
  readonly passedOver: readonly { readonly route: string; readonly why: string }[];
  readonly passedOverCount: number;
}

export type Action = ForwardFacts | TunnelFacts | RedirectFacts | RespondFacts;

export interface ForwardFacts extends Rules {
  readonly kind: 'forward';
  readonly time: TimeFacts;
  readonly retry: RetryPolicy;
  /** What of it holds for this request, as a sentence without its end. */
  readonly retryNote: string;
  readonly hedge: HedgePolicy | null;
  readonly hedgeNote: string;
  readonly hash: HashFacts | null;
  readonly splitByHash: boolean;
  readonly rewrite: { readonly path: string; readonly authority: string } | null;
}

export interface TunnelFacts {
  readonly kind: 'tunnel';
  /** What the instance's data plane is asked for by CONNECT; empty: the bytes go to the instance as they are. */
  readonly tunnel: string;
  /** 0: the data plane's own limit. */
  readonly idleTimeoutMs: number;
}

export interface RedirectFacts extends Rules {
  readonly kind: 'redirect';
  readonly status: number;
  readonly location: string;
}

export interface RespondFacts extends Rules {
  readonly kind: 'respond';
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export interface Rules {
  readonly requestHeaders: HeaderChanges | null;
  readonly responseHeaders: HeaderChanges | null;
  readonly fault: FaultPolicy | null;
  readonly rateLimits: readonly LimitFacts[];
}

export interface TimeFacts {
  /** Of the whole request, as the route says it; 0: none. */
  readonly routeMs: number;
  /** As the caller says it; null: it does not. */
  readonly callerMs: number | null;
  /** The header by which it does; empty: by none. */
  readonly callerHeader: string;
  /** The shorter one; 0: no limit. */
  readonly limitMs: number;
  /** 0: the data plane's own limit. */
  readonly idleMs: number;
  /** Error of a request that takes longer; null without a limit. */
  readonly error: ErrorCode | null;
}

export interface HashFacts {
  readonly sources: readonly HashSource[];
  /** The first that the request has; null: it has none. */
  readonly source: HashSource | null;
  readonly text: string;
  readonly hash: number | null;
  /** A cookie is made, so that the caller's next request goes the same way. */
  readonly makesCookie: boolean;
}

export interface LimitFacts {
  /** `each caller may make 100 requests per 1s, 200 at once`. */
  readonly text: string;
  readonly by: string;
  /** Who this request is counted as; null: with all others. */
  readonly key: string | null;
  readonly applies: boolean;
  /** Why it does not count for this request; empty if it does. */
  readonly why: string;
}

/** A cluster to which a route leads. */
export interface Target {
  readonly name: string;
  /** `<namespace>/<service>`; empty: the cluster has not arrived. */
  readonly service: string;
  readonly weight: number;
  /** Of all requests of the route, in percent. */
  readonly sharePercent: number;
  /** Whether this request goes there; null: by chance. */
  readonly taken: boolean | null;
  readonly requestHeaders: HeaderChanges | null;
  readonly responseHeaders: HeaderChanges | null;
  /** Null: it has not arrived. */
  readonly cluster: ClusterFacts | null;
  readonly candidates: CandidateList;
}

export interface ClusterFacts {
  readonly balance: BalancePolicy;
  readonly http: 'http1' | 'http2';
  readonly connectTimeoutMs: number;
  readonly breaker: BreakerPolicy;
  /** Requests under way and waiting, in all processes of this data plane. */
  readonly underWay: number;
  readonly pending: number;
  readonly retryBudget: RetryBudget;
  /** Retries and hedges that may be sent now; null: not told. */
  readonly retriesLeft: number | null;
  readonly adaptiveConcurrency: AdaptiveConcurrencyPolicy | null;
  /** Where the limit is now, in each process. */
  readonly concurrency: readonly object[];
  readonly outlier: OutlierPolicy | null;
  readonly session: SessionPolicy | null;
  /** Whether this request has the session's cookie; false without a session. */
  readonly hasSessionCookie: boolean;
}

export interface CandidateList {
  readonly all: number;
  /** Those that can be picked. */
  readonly canBePicked: number;
  /** Those that can be picked first. At most 200. */
  readonly shown: readonly Candidate[];
  /** Instance to which the request's hash leads; empty: by hash nobody is chosen, or it cannot be said. */
  readonly byHash: string;
}

export interface Candidate {
  readonly instance: string;
  readonly address: string;
  readonly port: number;
  /** Empty: not known. */
  readonly locality: string;
  readonly weight: number;
  readonly health: 'healthy' | 'unhealthy' | 'draining';
  readonly canBePicked: boolean;
  /** Why it cannot be picked, or not with its full weight; empty: nothing speaks against it. */
  readonly why: string;
  /** As each process of this data plane sees it. */
  readonly views: readonly CandidateView[];
}

export interface CandidateView {
  /** Null: the data plane has no workers. */
  readonly worker: number | null;
  readonly canBePicked: boolean;
  readonly why: string;
  /** By this caller; before its first call to the cluster nothing is measured, and it is what its balancer would begin with. */
  readonly measured: boolean;
  readonly balancer: Readonly<Record<string, string | number>>;
  readonly connections: { readonly open: number; readonly idle: number; readonly pending: number };
}

export interface Mirrored {
  readonly cluster: string;
  readonly percent: number;
  readonly canBePicked: number;
  readonly all: number;
}

export interface Access {
  /** Of connections to the instances. */
  readonly encrypted: boolean;
  /** SPIFFE id that is shown; empty: none. */
  readonly shows: string;
  /** One of these SPIFFE ids the instance must show, or be certified for this name; empty: nothing is asked. */
  readonly asks: readonly string[];
  /** Whether the called service allows this caller anything at all; null: the caller's side is not told. */
  readonly mayTry: boolean | null;
  /** Name of the token that the call gets; empty: none. */
  readonly token: string;
  /** A sentence without its end. */
  readonly summary: string;
}

/** What the data plane of an instance decides about a request without a token. */
export interface DecisionFacts {
  readonly allowed: boolean;
  /** Of a refusal. */
  readonly code: ErrorCode | null;
  /** Which rule decides; empty: the default. */
  readonly rule: string;
  /** A sentence without its end. */
  readonly reason: string;
  /** What a token would change, as a sentence without its end; empty: nothing. */
  readonly token: string;
  /** As rules compare it; empty: there is none, or it is not understood. */
  readonly path: string;
  /** Nothing is refused, only logged. */
  readonly onlyWatches: boolean;
  /** What would be decided, and is only logged. */
  readonly watched: readonly AuditNote[];
  /** In the order of the policy; at most 100. */
  readonly rules: readonly RuleExplanation[];
  readonly rulesCount: number;
  /** Cluster of the authorizer that is asked about what the rules allow; empty: none is. */
  readonly authorizer: string;
  /** Whose tokens count. */
  readonly issuers: readonly string[];
}

export interface CalledSide {
  readonly instance: string;
  readonly listener: string;
  readonly state: ListenerState;
  readonly application: string;
  /** Null: it asks nothing of who calls. */
  readonly decision: DecisionFacts | null;
  readonly route: string;
  readonly idleTimeoutMs: number;
  readonly rateLimits: readonly LimitFacts[];
  readonly adaptiveConcurrency: AdaptiveConcurrencyPolicy | null;
  readonly concurrency: readonly object[];
  /** Requests that this data plane has under way there. */
  readonly activeRequests: number;
}
