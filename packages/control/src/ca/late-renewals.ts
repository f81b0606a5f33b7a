// Renewal with a certificate that has ended: a machine that slept for a night must come back without anybody's help. Who asks holds the
// certificate's key and signs the request for the new one with it; how long ago it may have ended, and how often one may ask, is bounded.
import { formatSpiffeId, lateRenewalStatement, readCertificate, type SpiffeId, SYSTEM_NAMESPACE } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { isSignature, sha256, verifyLeaf } from '@heddle/runtime/node';
import type { Authority } from './authority-types.ts';

/** A long weekend, or a week's leave. Longer absences are joined anew. */
export const LATE_RENEWAL_GRACE_MS = 7 * 24 * 60 * 60_000;
export const LATE_RENEWAL_GRACE_MAX_MS = 90 * 24 * 60 * 60_000;
/** A leaf has some 600 bytes. */
const CERTIFICATE_BYTES_MAX = 8_192;
/** One certificate: the answer may be lost a few times. */
const PER_CERTIFICATE_MAX = 10;
const PER_CERTIFICATE_WINDOW_MS = 60_000;
/** Certificates remembered for that; some MB. */
const REMEMBERED_MAX = 10_000;
/** All together: after an outage longer than certificates live everybody comes at once, and each costs some 0.5 ms. */
const PER_SECOND_MAX = 500;
const BURST_MAX = 1_000;

export interface LateRenewal {
  readonly certificateDer: Uint8Array;
  readonly signature: Uint8Array;
}

export interface LateRenewalsOptions {
  /** As it is at each request: roots change. */
  readonly authority: Pick<Authority, 'rootsPem' | 'intermediates'>;
  readonly trustDomain: string;
  /** Default 7 days; 0: never; at most 90 days. */
  readonly graceMs?: number;
  /** Why this identity is not given out any more; undefined when it is. */
  readonly denial: (identity: SpiffeId) => string | undefined;
  readonly clock: Clock;
}

export type LateRenewalVerdict =
  | { readonly ok: true; readonly identity: SpiffeId; readonly endedMs: number /** Of the ended certificate. */; readonly serial: string }
  | {
      readonly ok: false;
      readonly status: 'UNAUTHENTICATED' | 'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED';
      /** For people, with the mend. */
      readonly message: string;
    };

export class LateRenewals {
  readonly #options: LateRenewalsOptions;
  readonly #graceMs: number;
  /** Uses by certificate, in the order of their windows. */
  readonly #uses = new Map<string, { count: number; readonly endMs: number }>();
  #budget = BURST_MAX;
  #budgetMs: number;

  /** Throws RangeError when the grace is out of bounds. */
  constructor(options: LateRenewalsOptions) {
    const { graceMs = LATE_RENEWAL_GRACE_MS, clock } = options;
    if (!(graceMs >= 0 && graceMs <= LATE_RENEWAL_GRACE_MAX_MS))
      throw new RangeError(`the grace for certificates that have ended can be 0 to ${LATE_RENEWAL_GRACE_MAX_MS} ms, not ${graceMs}`);
    this.#options = options;
    this.#graceMs = graceMs;
    this.#budgetMs = clock.nowMs();
  }

  /** Whether the request may be signed, and for whom. What costs nobody's right comes last, so that strangers cannot use up the budget. */
  check({ certificateDer, signature }: LateRenewal, csrDer: Uint8Array): LateRenewalVerdict {
    const { authority, trustDomain, denial, clock } = this.#options;
    const { rootsPem, intermediates } = authority;
    const refuse = (why: string): LateRenewalVerdict => ({ ok: false, status: 'UNAUTHENTICATED', message: `${why} ${MEND}` });
    const nowMs = clock.wallMs();
    const facts = certificateDer.length > CERTIFICATE_BYTES_MAX ? undefined : read(certificateDer);
    if (facts === undefined) return refuse('The ended certificate cannot be read.');
    // As of its last moment; one that has not ended yet is looked at as of now.
    const verdict = verifyLeaf({ leaf: certificateDer, intermediates, rootsPem, nowMs: Math.min(nowMs, facts.notAfterMs), trustDomain });
    if (!verdict.ok) return refuse(`The certificate shown as ended ${verdict.reason}.`);
    const endedAgoMs = nowMs - verdict.notAfterMs;
    const ended = `The certificate of ${verdict.uri} ended at ${new Date(verdict.notAfterMs).toISOString()}`;
    if (endedAgoMs > this.#graceMs)
      return refuse(`${ended}, longer ago than the ${this.#graceMs / 1_000} s within which it can be renewed.`);
    if (!isSignature(facts.spkiDer, lateRenewalStatement(sha256(certificateDer), sha256(csrDer)), signature))
      return refuse(`${ended}, and the request was not signed with its key.`);
    const denied = denial(verdict.id);
    if (denied !== undefined)
      return { ok: false, status: 'PERMISSION_DENIED', message: `${formatSpiffeId(verdict.id)} ${denied}. ${MEND}` };
    const outcome = this.#take(Buffer.from(sha256(certificateDer)).toString('base64url'), verdict.id);
    return outcome ?? { ok: true, identity: verdict.id, endedMs: verdict.notAfterMs, serial: facts.serial };
  }

  /** Undefined: it may. */
  #take(certificate: string, identity: SpiffeId): LateRenewalVerdict | undefined {
    const nowMs = this.#options.clock.nowMs();
    const exhausted = (message: string): LateRenewalVerdict => ({ ok: false, status: 'RESOURCE_EXHAUSTED', message });
    this.#budget = Math.min(BURST_MAX, this.#budget + ((nowMs - this.#budgetMs) / 1_000) * PER_SECOND_MAX);
    this.#budgetMs = nowMs;
    if (this.#budget < 1) return exhausted('Too many workloads renew ended certificates at once; try again in a second.');
    let use = this.#uses.get(certificate);
    if (use === undefined || nowMs >= use.endMs) {
      this.#uses.delete(certificate);
      if (this.#uses.size >= REMEMBERED_MAX) this.#uses.delete(this.#uses.keys().next().value ?? '');
      use = { count: 0, endMs: nowMs + PER_CERTIFICATE_WINDOW_MS };
      this.#uses.set(certificate, use);
    }
    if (use.count >= PER_CERTIFICATE_MAX)
      return exhausted(
        `This ended certificate of ${formatSpiffeId(identity)} was used ${PER_CERTIFICATE_MAX} times within a minute; try again later.`,
      );
    use.count += 1;
    this.#budget -= 1;
    return undefined;
  }
}

const MEND = 'Give the workload a new token: `heddle token create --service NAME`.';

function read(der: Uint8Array): ReturnType<typeof readCertificate> | undefined {
  try {
    return readCertificate(der);
  } catch {
    return undefined;
  }
}

/** The mesh's own rule: services that the registry knows, and the operator. */
export function denialOf(identity: SpiffeId, isKnownService: (identity: SpiffeId) => boolean): string | undefined {
  if (identity.namespace === SYSTEM_NAMESPACE) return identity.name === 'operator' ? undefined : 'is not given to workloads';
  return isKnownService(identity) ? undefined : 'is of a service that is not in this mesh any more';
}
