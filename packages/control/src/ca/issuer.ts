// What `heddle.identity.v1.Identity/Sign` decides, without its transport: who asks, what they may be called, and in which order
// things are checked, so that a bad request never burns a token.
import { formatSpiffeId, type SpiffeId } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { CsrError } from '@heddle/runtime/node';
import { AuthorityError } from './authority-options.ts';
import type { Authority, IssuedCertificate } from './authority-types.ts';
import type { Denials } from './denials.ts';
import type { IssueReason } from './ledger.ts';
import type { JoinTokens } from './join-tokens.ts';
import type { LateRenewal, LateRenewals } from './late-renewals.ts';

export interface Issuer {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly lateRenewals: LateRenewals;
  readonly denials: Pick<Denials, 'reasonFor'>;
  readonly clock: Pick<Clock, 'wallMs'>;
}

export interface SignCall {
  readonly csrDer: Uint8Array;
  /** Empty: renewal. */
  readonly joinToken: string;
  /** The identity proven by the caller's client certificate; undefined without one. */
  readonly peerId: SpiffeId | undefined;
  /** Serial number of that certificate. */
  readonly peerSerial?: string;
  /** A certificate that has ended, with the proof of its key. Counts only without token and client certificate. */
  readonly late?: LateRenewal;
  /** Default: the authority's. */
  readonly ttlMs?: number;
}

/** Names of gRPC status codes. */
export type SignFailureStatus = 'UNAUTHENTICATED' | 'INVALID_ARGUMENT' | 'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED';

export type SignOutcome =
  | {
      readonly ok: true;
      readonly certificate: IssuedCertificate;
      readonly rootsPem: string;
      readonly why: IssueReason;
      /** When the certificate before had ended, Unix time; undefined where it had not, or there was none. */
      readonly endedMs: number | undefined;
      /** How much of the life of the certificate before was over, from 0 to 1; undefined where that is not known. */
      readonly lifeOver: number | undefined;
    }
  | { readonly ok: false; readonly status: SignFailureStatus /** For people, with the mend. */; readonly message: string };

/** Rejects only with StoreError and with AuthorityError `UNUSABLE_ROOT`: the fault is the control plane's then, and a retry may help. */
export async function issueCertificate(issuer: Issuer, call: SignCall): Promise<SignOutcome> {
  const { authority, tokens, lateRenewals, denials, clock } = issuer;
  try {
    const keyPin = authority.checkCsr(call.csrDer);
    let identity = call.peerId;
    let endedMs: number | undefined;
    let replaces = call.peerSerial;
    let pin: string | undefined;
    let why: IssueReason = 'renewal';
    if (call.joinToken !== '') {
      const redeemed = await tokens.redeem(call.joinToken, keyPin);
      if (!redeemed.ok)
        return { ok: false, status: redeemed.code === 'denied' ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED', message: redeemed.reason };
      ({ identity, pin } = redeemed);
      replaces = undefined;
      why = 'token';
    } else if (identity === undefined && call.late !== undefined) {
      const verdict = lateRenewals.check(call.late, call.csrDer);
      if (!verdict.ok) return verdict;
      ({ identity, endedMs, serial: replaces } = verdict);
      why = 'late-renewal';
    }
    if (identity === undefined) {
      return {
        ok: false,
        status: 'UNAUTHENTICATED',
        message: 'Neither a join token nor a client certificate was shown. Make a token with `heddle token create --service NAME`.',
      };
    }
    const denied = denials.reasonFor(identity);
    if (denied !== undefined) return { ok: false, status: 'PERMISSION_DENIED', message: `${formatSpiffeId(identity)} ${denied}.` };
    const before = replaces === undefined ? undefined : authority.ledger.of(replaces);
    const lifeOver = before === undefined ? undefined : (clock.wallMs() - before.timeMs) / Math.max(1, before.untilMs - before.timeMs);
    const certificate = await authority.sign({
      ...{ csrDer: call.csrDer, identity, ttlMs: call.ttlMs, why },
      ...(replaces === undefined ? {} : { replaces }),
      ...(pin === undefined ? {} : { pin }),
    });
    return { ok: true, certificate, rootsPem: authority.rootsPem, why, endedMs, lifeOver };
  } catch (error) {
    if (error instanceof CsrError) return { ok: false, status: 'INVALID_ARGUMENT', message: error.message };
    if (error instanceof AuthorityError && error.code === 'BAD_IDENTITY') {
      const who = call.peerId === undefined ? '' : ` (asked for by ${formatSpiffeId(call.peerId)})`;
      return { ok: false, status: 'PERMISSION_DENIED', message: error.message + who };
    }
    throw error;
  }
}
