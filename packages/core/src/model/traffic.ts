// What a service's owners say about requests to it, by the names of services and labels. The control plane compiles it to routes and clusters.
import type { HeaderChanges, PathRewrite, RedirectAction, RequestMatch, RespondAction, RouteRateLimit } from './route.ts';
import type { FaultPolicy, HedgePolicy, RetryPolicy } from './resilience.ts';
import type { ServiceRef } from './service-ref.ts';

/** Some of a service's instances: those that have all of these labels. `version` is a label that every instance with a version has. */
export interface Destination {
  readonly service: ServiceRef;
  /** Empty: all instances. */
  readonly labels: Readonly<Record<string, string>>;
  /** 0 to 1,000,000. Shares are relative to the sum. */
  readonly weight: number;
  readonly requestHeaders?: HeaderChanges;
  readonly responseHeaders?: HeaderChanges;
}

/** What is not given is as the service has it. */
export interface RuleForward {
  readonly kind: 'forward';
  readonly to: readonly Destination[];
  readonly splitByHash?: true;
  readonly timeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly retry?: RetryPolicy;
  /** `false`: none, although the service has it. */
  readonly hedge?: HedgePolicy | false;
  readonly rewrite?: { readonly path?: PathRewrite; readonly authority?: string };
  readonly mirrors?: readonly RuleMirror[];
}

export interface RuleMirror {
  readonly service: ServiceRef;
  readonly labels: Readonly<Record<string, string>>;
  readonly percent: number;
}

/** The first rule of a service that fits takes the request; what fits none goes to all instances. */
export interface TrafficRule {
  /** Given, or `rule 1`, `rule 2`, …; unique in the service. */
  readonly name: string;
  /** Any of these. */
  readonly matches: readonly RequestMatch[];
  readonly action: RuleForward | RedirectAction | RespondAction;
  readonly requestHeaders?: HeaderChanges;
  readonly responseHeaders?: HeaderChanges;
  readonly fault?: FaultPolicy;
  /** At the caller's data plane. */
  readonly rateLimits?: readonly RouteRateLimit[];
}

/** At the data planes of the service's instances, each on its own. All whose `match` fits must have a token. */
export type ServiceRateLimit = RouteRateLimit;

/** A host outside the mesh that workloads may call through it. */
export interface EgressHost {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** `http`: requests are routed and measured. `https`: the same, encrypted by the data plane. `tcp`: bytes, by CONNECT; TLS is the application's. */
  readonly protocol: 'http' | 'https' | 'tcp';
}

/** Behind the name of a service's cluster: which instances it has; empty for all. Different labels have different names, whatever is in them. */
export function subsetName(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = entries.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join(',');
  return entries.length === 0 ? '' : `{${text}}`;
}
