// When a workload joins and when it renews, as a function of what it holds and the time. Renewal begins at half of a
// certificate's life; the last good certificate stays in use until it ends, and being late is told long before that. One that has ended
// (the machine slept) can still be renewed for some days; only when that is refused a new token is needed. When the roots of the mesh
// change, whoever holds a certificate of before asks for a new one soon, and not all in the same moment.
import { type Backoff, backoffMs, RECONNECT_BACKOFF } from '@heddle/core';

export interface Validity {
  /** When the certificate came, by this machine's clock; its life is counted from here. Unix time. */
  readonly receivedMs: number;
  readonly notAfterMs: number;
}

export interface RenewalState {
  readonly certificate: Validity | undefined;
  /** Whether a join token is at hand that has not been refused. */
  readonly hasToken: boolean;
  /** The control plane did not accept the ended certificate: a token goes before. */
  readonly isLateRefused: boolean;
  /** Failed tries in a row. */
  readonly failures: number;
  readonly nextTryMs: number;
  /** When to renew because the roots have changed, Unix time; undefined: they have not, or that was tried. */
  readonly rootsDueMs: number | undefined;
  /** The roots for whose sake a renewal was planned last. */
  readonly rootsPlannedFor: string | undefined;
}

export type RenewalKind = 'join' | 'renew' | 'renew-late';

export type RenewalAction =
  /** `renew-late`: with a certificate that has ended. */
  | { readonly kind: RenewalKind }
  /** Look again then, or when a token comes. Undefined: nothing will change by itself. */
  | { readonly kind: 'wait'; readonly untilMs: number | undefined };

/** `none`: no certificate yet; `good`; `overdue`: still valid, but renewal should have succeeded by now; `expired`. */
export type CertificateHealth = 'none' | 'good' | 'overdue' | 'expired';

const RENEW_AT = 0.5;
/** Workloads that started together shall not renew together: half life ± 5 %. */
const JITTER = 0.1;
/** From here on late renewal is an alarm: with 1 h of life, a quarter of an hour is left to act. */
const OVERDUE_AT = 0.75;
const RENEWAL_BACKOFF: Backoff = { baseMs: 1_000, maxMs: 60_000 };
/** A refusal may be taken back: a service is declared again, a grace lengthened. */
const LATE_REFUSED_PAUSE_MS = 60_000;
/** With short lives there must be time for several tries before the end. */
const BACKOFF_SHARE_MAX = 0.05;
/**
 * So long all data planes together take to renew when the roots have changed: with 1,000 of them some 30 certificates a second, a hundredth of what
 * a control plane signs. With short lives it is a share of those.
 */
const ROOTS_SPREAD_MAX_MS = 30_000;
const ROOTS_SPREAD_SHARE = 0.25;

export const NOTHING_HELD: RenewalState = {
  certificate: undefined,
  hasToken: false,
  isLateRefused: false,
  failures: 0,
  nextTryMs: 0,
  rootsDueMs: undefined,
  rootsPlannedFor: undefined,
};

export function nextAction(state: RenewalState, nowMs: number): RenewalAction {
  const { certificate, hasToken, isLateRefused, nextTryMs, rootsDueMs = Infinity } = state;
  if (certificate !== undefined && nowMs < certificate.notAfterMs) {
    const dueMs = Math.min(nextTryMs, rootsDueMs);
    if (nowMs >= dueMs) return { kind: 'renew' };
    const overdueMs = overdueAtMs(certificate);
    return { kind: 'wait', untilMs: Math.min(dueMs, certificate.notAfterMs, nowMs < overdueMs ? overdueMs : dueMs) };
  }
  const kind = certificate !== undefined && !(isLateRefused && hasToken) ? 'renew-late' : 'join';
  if (kind === 'join' && !hasToken) return { kind: 'wait', untilMs: undefined };
  return nowMs >= nextTryMs ? { kind } : { kind: 'wait', untilMs: nextTryMs };
}

/** A certificate came, or was found in the state directory. `random` is uniform in [0, 1). */
export function afterIssued(state: RenewalState, certificate: Validity, random: () => number): RenewalState {
  const share = RENEW_AT + (random() - 0.5) * JITTER;
  const nextTryMs = certificate.receivedMs + lifeMs(certificate) * share;
  return { ...state, certificate, isLateRefused: false, failures: 0, nextTryMs, rootsDueMs: undefined };
}

/**
 * `roots`: those that the mesh trusts now. `areHeld`: the certificate came from the first of them, and with all of them; otherwise one that is asked
 * for now is another. That is planned once for each change: where what comes is no other after all, the schedule of its life holds.
 */
export function afterRoots(state: RenewalState, roots: string, areHeld: boolean, nowMs: number, random: () => number): RenewalState {
  const { certificate, rootsDueMs, rootsPlannedFor } = state;
  if (areHeld || certificate === undefined) return rootsDueMs === undefined ? state : { ...state, rootsDueMs: undefined };
  if (rootsPlannedFor === roots) return state;
  const spreadMs = Math.min(ROOTS_SPREAD_MAX_MS, lifeMs(certificate) * ROOTS_SPREAD_SHARE);
  const dueMs = Math.min(nowMs + random() * spreadMs, rootsDueMs ?? Infinity);
  return { ...state, rootsDueMs: dueMs, rootsPlannedFor: roots };
}

/** `refused`: what the control plane said no to; undefined where the try failed otherwise. A refused token will never be accepted. */
export function afterFailure(
  state: RenewalState,
  refused: 'token' | 'ended-certificate' | undefined,
  nowMs: number,
  random: () => number,
): RenewalState {
  const { certificate, failures, hasToken } = state;
  const isValid = certificate !== undefined && nowMs < certificate.notAfterMs;
  const backoff = isValid
    ? { ...RENEWAL_BACKOFF, maxMs: Math.min(RENEWAL_BACKOFF.maxMs, lifeMs(certificate) * BACKOFF_SHARE_MAX) }
    : RECONNECT_BACKOFF;
  // Half of the wait is fixed, so that a lucky die cannot make it a busy loop.
  const waitMs = backoffMs(backoff, failures, () => 0.5 + random() / 2);
  // It is tried again soon anyway, for whatever reason it was tried.
  const failed = { ...state, failures: failures + 1, nextTryMs: nowMs + waitMs, rootsDueMs: undefined };
  // Nothing is put off beyond the end: from then on tries are made more often.
  if (isValid) return { ...failed, nextTryMs: Math.min(failed.nextTryMs, certificate.notAfterMs) };
  if (refused === 'token') return { ...failed, hasToken: false };
  if (refused === 'ended-certificate')
    return { ...failed, isLateRefused: true, nextTryMs: hasToken ? nowMs : nowMs + LATE_REFUSED_PAUSE_MS };
  return failed;
}

/** A token was offered. It is used at once where no valid certificate is held, and kept otherwise. */
export function afterToken(state: RenewalState, nowMs: number): RenewalState {
  const holds = state.certificate !== undefined && nowMs < state.certificate.notAfterMs;
  return holds ? { ...state, hasToken: true } : { ...state, hasToken: true, failures: 0, nextTryMs: nowMs };
}

export function certificateHealth(state: RenewalState, nowMs: number): CertificateHealth {
  const { certificate } = state;
  if (certificate === undefined) return 'none';
  if (nowMs >= certificate.notAfterMs) return 'expired';
  return nowMs >= overdueAtMs(certificate) ? 'overdue' : 'good';
}

function overdueAtMs(certificate: Validity): number {
  return certificate.receivedMs + lifeMs(certificate) * OVERDUE_AT;
}

function lifeMs(certificate: Validity): number {
  return certificate.notAfterMs - certificate.receivedMs;
}
