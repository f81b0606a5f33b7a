// Opens a look at live requests, for whichever API it was asked by. Who looks at what is in the audit log before the first request is told.
import type { Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { TrafficSource } from '../rest/sources.ts';
import type { OpenTap, TapWish } from '../telemetry/tap-desk.ts';

export const TAP_DEFAULTS = { perSecond: 100, forMs: 300_000 } as const;

export interface TapSource {
  readonly traffic: Pick<TrafficSource, 'tap'>;
  readonly audit: Pick<AuditLog, 'change'>;
}

/** Rejects with TapRefusal, AuditError. */
export async function openTap({ traffic, audit }: TapSource, by: Doer, wish: TapWish, poke: () => void): Promise<OpenTap> {
  const { service, destination, source } = wish.filter;
  let tap: OpenTap | undefined;
  try {
    return await audit.change(by, 'tap', service ?? destination ?? source ?? 'mesh', () => {
      tap = traffic.tap(wish, poke);
      return Promise.resolve({ result: tap, after: wish });
    });
  } catch (error) {
    tap?.close();
    throw error;
  }
}
