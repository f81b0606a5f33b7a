// Whether instances whose leases have ended are gone, or only unheard: when most of a service fall silent at about the same time, it is
// the way to them that broke (a network, a stalled machine, this process), and taking them all out would make the outage certain.

/** Services with fewer instances are left alone: of two, one that crashes is already half. */
const INSTANCES_MIN = 3;
/** Leases end up to a third of their time apart, as heartbeats come in thirds; this is for short ones and slow machines. */
const WINDOW_MS_MIN = 15_000;

export interface ExpiryState {
  /** Leases that ended of late, oldest first. */
  readonly recent: readonly { readonly id: string; readonly atMs: number }[];
  /** They are being kept. */
  readonly keeping: boolean;
}

export const NO_EXPIRY: ExpiryState = { recent: [], keeping: false };

export interface Expired {
  /** Instances whose leases ended just now. */
  readonly ids: readonly string[];
  /** Instances of the service that still have one. Those that are leaving count neither here nor there. */
  readonly live: number;
  /** The time of the ended leases. */
  readonly leaseTtlMs: number;
}

export interface ExpiryDecision {
  readonly state: ExpiryState;
  /** Instances to be kept, that were not kept before; also those that ended a moment before it was known that many would. */
  readonly keep: readonly string[];
  /** This is the moment at which they became too many. */
  readonly began: boolean;
}

/** More than half of all that were there within the window: kept. Otherwise each has crashed on its own. */
export function decideExpiry(state: ExpiryState, { ids, live, leaseTtlMs }: Expired, nowMs: number): ExpiryDecision {
  const windowMs = Math.max(WINDOW_MS_MIN, leaseTtlMs / 2);
  const first = state.recent.findIndex(({ atMs }) => nowMs - atMs <= windowMs);
  const before = first === -1 ? [] : state.recent.slice(first);
  const recent = [...before, ...ids.map((id) => ({ id, atMs: nowMs }))];
  const total = live + recent.length;
  const keeping = total >= INSTANCES_MIN && recent.length * 2 > total;
  const began = keeping && !(state.keeping && before.length > 0);
  const keep = began ? recent.map(({ id }) => id) : keeping ? ids : [];
  return { state: { recent, keeping }, keep, began };
}

/** An instance has registered again, or was deregistered: its lease is no evidence any more. */
export function withoutInstance(state: ExpiryState, id: string): ExpiryState {
  if (!state.recent.some((one) => one.id === id)) return state;
  return { ...state, recent: state.recent.filter((one) => one.id !== id) };
}
