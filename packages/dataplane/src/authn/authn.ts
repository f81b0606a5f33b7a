// What everything here shares: the ports of the data plane, and the way to issuers.
import type { Limits } from '@heddle/core';
import type { Clock, Logger, Metrics, Random } from '@heddle/runtime';
import type { HttpsClient } from '../asking/https-client.ts';

export interface AuthnDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly limits: Limits;
  readonly client: HttpsClient;
  /** See Context. */
  readonly tellsClaims?: true;
}

/** Of what is thrown while an issuer is asked. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
