// Which requests a route takes and what becomes of them. The same for every placement; what mesh files, REST and xDS say is converted to this.
import type { HashSource, SessionPolicy } from './balance.ts';
import type { FaultPolicy, HedgePolicy, RateLimit, RetryPolicy } from './resilience.ts';

/** How a text is compared. `regex`: RE2 syntax as far as JavaScript has it too, matching the whole text. Case counts, unless `ignoreCase`. */
export type TextMatch =
  | { readonly kind: 'exact'; readonly value: string; readonly ignoreCase?: true }
  | { readonly kind: 'prefix'; readonly value: string; readonly ignoreCase?: true }
  | { readonly kind: 'suffix'; readonly value: string; readonly ignoreCase?: true }
  | { readonly kind: 'contains'; readonly value: string; readonly ignoreCase?: true }
  | { readonly kind: 'regex'; readonly value: string };

/**
 * Of the path without its query. `prefix`: `/` takes all, `/a` also `/a/b` and `/ab` (Envoy's `prefix`). `segments`: whole segments, `/a` takes
 * `/a` and `/a/b`, not `/ab` (Envoy's `path_separated_prefix`). `template`: `/orders/{id}/items` with `{id}` for one segment and `{rest=**}` at
 * the end for any number. The gRPC method `pkg.Service/Method` is the exact path `/pkg.Service/Method`; a whole service the prefix `/pkg.Service/`.
 */
export type PathMatch =
  | { readonly kind: 'prefix' | 'exact' | 'segments' | 'template'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

/** A header or query parameter. `match` absent: it must be present. `invert`: the opposite; a missing one then fits. */
export interface FieldMatch {
  readonly name: string;
  readonly match?: TextMatch;
  readonly invert?: true;
}

/** All that is given must fit. */
export interface RequestMatch {
  readonly kind: 'request';
  readonly path: PathMatch;
  /** Any of these. */
  readonly methods?: readonly string[];
  readonly headers?: readonly FieldMatch[];
  readonly query?: readonly FieldMatch[];
  /** Beyond the virtual host's domains. */
  readonly authority?: TextMatch;
}

/** CONNECT requests (RFC 9110 §9.3.6), which have no path; nothing else. */
export interface ConnectMatch {
  readonly kind: 'connect';
}

export type RouteMatch = RequestMatch | ConnectMatch;

/** Values may hold `%REQUEST_ID%`, `%SOURCE_IDENTITY%`, `%SOURCE_ADDRESS%`; `%%` is one percent sign. */
export interface HeaderChanges {
  /** In place of what was there. */
  readonly set: Readonly<Record<string, string>>;
  /** Beside what is there. */
  readonly add: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

export interface WeightedCluster {
  readonly cluster: string;
  /** 0 to 1,000,000. Shares are relative to the sum. */
  readonly weight: number;
  readonly requestHeaders?: HeaderChanges;
  readonly responseHeaders?: HeaderChanges;
}

/**
 * `prefix`: what the match's prefix, segments or exact path took is replaced, with one slash where the parts meet if there was one. `full`: the
 * whole path; the variables of a template may stand in it (`/v2/{id}`). `regex`: all that the pattern matches, with \1 to \9, as RE2 replaces.
 * The query stays.
 */
export type PathRewrite =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'full'; readonly value: string }
  | { readonly kind: 'regex'; readonly pattern: string; readonly substitution: string };

export interface MirrorPolicy {
  readonly cluster: string;
  /** 0 to 100, fractions too. */
  readonly percent: number;
}

export interface ForwardAction {
  readonly kind: 'forward';
  /** At least one; with one its weight does not matter. */
  readonly clusters: readonly WeightedCluster[];
  /** For ring-hash, maglev and `splitByHash`. Empty: chosen by chance. */
  readonly hash: readonly HashSource[];
  /** Which of several clusters is taken depends on the hash, so that a user stays on one side. */
  readonly splitByHash?: true;
  /** Whole request, retries included; 0 means no limit. */
  readonly timeoutMs: number;
  /** Without a byte in either direction; 0: the data plane's own limit. */
  readonly idleTimeoutMs: number;
  readonly retry: RetryPolicy;
  readonly hedge?: HedgePolicy;
  readonly rewrite?: { readonly path?: PathRewrite; readonly authority?: string };
  readonly mirrors?: readonly MirrorPolicy[];
  /** As its clusters say it, for data planes that bind sessions where they route (Envoy); ours go by the cluster. */
  readonly session?: SessionPolicy;
}

/** Of CONNECT. `forward`: an endpoint is asked for the same by CONNECT over HTTP/2. `terminate`: the bytes go to the endpoint as they are. */
export interface TunnelAction {
  readonly kind: 'tunnel';
  readonly how: 'forward' | 'terminate';
  readonly cluster: string;
  /** Without a byte in either direction. Absent: the data plane's own limit. */
  readonly idleTimeoutMs?: number;
}

/** What is not given stays as the request has it. */
export interface RedirectAction {
  readonly kind: 'redirect';
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme?: 'http' | 'https';
  readonly authority?: string;
  readonly path?: PathRewrite;
  readonly stripQuery?: true;
}

export interface RespondAction {
  readonly kind: 'respond';
  readonly status: number;
  /** At most 4,096 bytes of UTF-8. */
  readonly body: string;
  readonly contentType: string;
}

export type RouteAction = ForwardAction | TunnelAction | RedirectAction | RespondAction;

/** Several limits of one route may overlap: a request needs a token of each that it fits. */
export interface RouteRateLimit extends RateLimit {
  /** Absent: every request of the route. Present: only those that fit it too; others pass without a token. */
  readonly match?: RequestMatch;
}

export interface Route {
  /** For people, in `heddle explain`, logs and metrics; unique in its virtual host. */
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteAction;
  readonly requestHeaders?: HeaderChanges;
  readonly responseHeaders?: HeaderChanges;
  readonly fault?: FaultPolicy;
  /** All whose `match` fits must have a token. */
  readonly rateLimits?: readonly RouteRateLimit[];
}
