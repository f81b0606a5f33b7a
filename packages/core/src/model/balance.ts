// How callers of a service choose among its instances, and when they leave one out on their own evidence.

/** Balancing algorithms by the names of the mesh file. */
export const BALANCE_ALGORITHMS = [
  'probing',
  'least-response-time',
  'least-request',
  'round-robin',
  'random',
  'weighted',
  'ring-hash',
  'maglev',
] as const;
export type BalanceAlgorithm = (typeof BALANCE_ALGORITHMS)[number];

/**
 * `any`: where an instance runs does not matter. `prefer`: the nearest first (same zone, then same region, then elsewhere); as instances there
 * fall ill, load spills over to the next. `zone-aware`: as much stays in the zone as its instances can carry when every zone's callers do the
 * same (Envoy's zone aware routing).
 */
export const LOCALITY_MODES = ['any', 'prefer', 'zone-aware'] as const;
export type LocalityMode = (typeof LOCALITY_MODES)[number];

export interface BalancePolicy {
  readonly algorithm: BalanceAlgorithm;
  readonly locality: LocalityMode;
  /** An instance that is new or healthy again gets a growing share for so long (Envoy's `slow_start_window`); 0: its full share at once. */
  readonly slowStartMs: number;
  /** When a smaller share of the instances is healthy, all are used, draining ones excepted; 0 to 100, 0: never. */
  readonly panicPercent: number;
}

/** Where consistent hashing, and splits that keep a user on one side, get their hash from. The first that the request has counts. */
export type HashSource =
  | { readonly kind: 'header'; readonly name: string }
  /** `ttlMs`: a request without the cookie gets one, which lives for so long (0: for the browser's session). Absent: none is made. */
  | { readonly kind: 'cookie'; readonly name: string; readonly ttlMs?: number }
  | { readonly kind: 'query'; readonly name: string }
  /** Of the client: the address in front of the first data plane. */
  | { readonly kind: 'source' };

/** Requests with this cookie go to the instance that it names while that can be picked; responses set it (Envoy's stateful session). */
export interface SessionPolicy {
  readonly cookie: string;
  /** Of the cookie; 0: for the browser's session. */
  readonly ttlMs: number;
}

/**
 * When a caller leaves out an instance that the verdict calls healthy (Envoy's `outlier_detection`). Counters are the caller's own. Thresholds
 * of 0 switch their detector off.
 */
export interface OutlierPolicy {
  /** Responses with 5xx, gRPC statuses that mean the same, and local failures, in a row. */
  readonly consecutiveErrors: number;
  /** 502, 503, 504 and local failures in a row. */
  readonly consecutiveGatewayErrors: number;
  /** Connects that failed, resets and time limits of a try, in a row. */
  readonly consecutiveLocalErrors: number;
  /** How often shares are looked at. */
  readonly intervalMs: number;
  /** Ejected when its success rate is below mean − factor × standard deviation over the instances; 0: off. Envoy's default is 1.9. */
  readonly successRateFactor: number;
  /** Ejected when so many percent of its requests in the interval failed; 0: off. */
  readonly failurePercent: number;
  /** Ejected when its median latency in the interval is so many times the median of all; 0: off. */
  readonly latencyFactor: number;
  /** Requests an instance must have had in the interval to be judged by shares or latency. */
  readonly minimumRequests: number;
  /** Instances that must have had so many. */
  readonly minimumInstances: number;
  /** For the first time so long, for the second twice, up to `maxEjectMs`. */
  readonly ejectMs: number;
  readonly maxEjectMs: number;
  /** At most so many percent of the instances are out at a time, at least one of two or more. */
  readonly maxEjectedPercent: number;
}
