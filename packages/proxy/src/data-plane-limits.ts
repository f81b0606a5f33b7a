// Limits of the data path: core's table, and what only a proxy needs.
import { DEFAULT_LIMITS as CORE_LIMITS } from '@heddle/core';
import type { Limits } from '@heddle/core';

export interface DataPlaneLimits extends Limits {
  /** A pooled connection to the application without a request. Below 5 s, after which Node's and many other servers close without asking. */
  readonly applicationIdleTimeoutMs: number;
  /** A TCP stream without a byte in either direction. Hours, since databases keep idle connections; the kernel's probes find dead peers. */
  readonly tcpIdleTimeoutMs: number;
  /** After an error response to a broken request: time for the client to read it before the connection is dropped (RFC 9112 §9.6). */
  readonly lingerTimeoutMs: number;
}

export const DEFAULT_LIMITS: DataPlaneLimits = Object.freeze({
  ...CORE_LIMITS,
  applicationIdleTimeoutMs: 4_000,
  tcpIdleTimeoutMs: 4 * 3_600_000,
  lingerTimeoutMs: 2_000,
});
