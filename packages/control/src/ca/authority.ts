// The mesh's certificate authority: one root, leaves of an hour. It decides nothing about who may have which identity; callers
// have authenticated the workload before they ask for a signature.
import {
  certificateTbs,
  controlPlaneId,
  distinguishedName,
  encodePem,
  formatSpiffeId,
  isSpiffeId,
  type SpiffeId,
  withSignature,
} from '@heddle/core';
import type { Clock, Random } from '@heddle/runtime';
import { generateKeyPair, keyIdentifier, pinOfKey, readCsr } from '@heddle/runtime/node';
import {
  type Authority,
  AuthorityError,
  type AuthorityOptions,
  CLOCK_SKEW_MS,
  type ControlCertificate,
  type ControlCertificateInput,
  type IssuedCertificate,
  type SignInput,
} from './authority-types.ts';
import { openRoot, type Root } from './root.ts';

/** Short enough that a stolen key is soon worthless, long enough that an hour's outage of the control plane is harmless. */
export const LEAF_TTL_MS = 60 * 60_000;
/** Below this, renewal at half life would be a constant load and clock differences would matter. */
export const LEAF_TTL_MIN_MS = 2_000;
export const LEAF_TTL_MAX_MS = 7 * 24 * 60 * 60_000;
const SERIAL_BYTES = 16;
/** CommonName ends at 64 characters (RFC 5280 A.1); service names are shorter. */
const COMMON_NAME_MAX = 64;

/** Reads the root or, on the first start, creates it. Rejects with AuthorityError `UNUSABLE_ROOT`, whose message says how to mend. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  return new LocalAuthority(await openRoot(options), options);
}

interface LeafInput {
  readonly spkiDer: Uint8Array;
  readonly identity: SpiffeId;
  readonly ttlMs: number | undefined;
  readonly dns: readonly string[] | undefined;
  readonly ips: readonly string[] | undefined;
}

class LocalAuthority implements Authority {
  readonly trustDomain: string;
  readonly rootsPem: string;
  readonly pin: string;
  readonly rootNotAfterMs: number;
  readonly #root: Root;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(root: Root, options: AuthorityOptions) {
    this.trustDomain = options.trustDomain;
    this.rootsPem = root.certificatePem;
    this.pin = pinOfKey(root.facts.spkiDer);
    this.rootNotAfterMs = root.facts.notAfterMs;
    this.#root = root;
    this.#clock = options.clock;
    this.#random = options.random;
  }

  checkCsr(csrDer: Uint8Array): string {
    return pinOfKey(readCsr(csrDer));
  }

  async sign(input: SignInput): Promise<IssuedCertificate> {
    const { identity } = input;
    const control = controlPlaneId(this.trustDomain);
    if (identity.namespace === control.namespace && identity.name === control.name) {
      throw new AuthorityError('BAD_IDENTITY', 'The identity of the control plane itself is not given to anyone else.');
    }
    return this.#leaf({ ...input, spkiDer: readCsr(input.csrDer), dns: input.dns, ips: input.ips, ttlMs: input.ttlMs });
  }

  async issueControlCertificate(input: ControlCertificateInput): Promise<ControlCertificate> {
    const key = input.key ?? generateKeyPair();
    const identity = controlPlaneId(this.trustDomain);
    const issuedMs = this.#clock.wallMs();
    const leaf = this.#leaf({ spkiDer: key.spkiDer, identity, ttlMs: input.ttlMs, dns: input.dns, ips: input.ips });
    return { ...leaf, key, chainPem: leaf.certificatePem + this.rootsPem, renewAtMs: issuedMs + (leaf.notAfterMs - issuedMs) / 2 };
  }

  #leaf({ spkiDer, identity, ttlMs, dns, ips }: LeafInput): IssuedCertificate {
    this.#checkIdentity(identity);
    const root = this.#root;
    const nowMs = this.#clock.wallMs();
    const lifeMs = Math.min(Math.max(ttlMs ?? LEAF_TTL_MS, LEAF_TTL_MIN_MS), LEAF_TTL_MAX_MS);
    const notBeforeMs = wholeSeconds(Math.max(nowMs - CLOCK_SKEW_MS, root.facts.notBeforeMs));
    const notAfterMs = wholeSeconds(Math.min(nowMs + lifeMs, root.facts.notAfterMs));
    if (notAfterMs <= nowMs)
      throw new AuthorityError(
        'UNUSABLE_ROOT',
        `The root certificate ended at ${new Date(root.facts.notAfterMs).toISOString()}. ${root.mend}`,
      );
    const uri = formatSpiffeId(identity);
    const tbs = certificateTbs({
      serial: this.#random.bytes(SERIAL_BYTES),
      issuerDer: root.facts.subjectDer,
      subjectDer: distinguishedName({ organization: 'Heddle', commonName: identity.name.slice(0, COMMON_NAME_MAX) }),
      notBeforeMs,
      notAfterMs,
      spkiDer,
      role: 'leaf',
      names: { uris: [uri], dns: dns ?? [], ips: ips ?? [] },
      subjectKeyId: keyIdentifier(spkiDer),
      authorityKeyId: root.facts.subjectKeyId ?? keyIdentifier(root.facts.spkiDer),
    });
    const der = withSignature(tbs, root.key.sign(tbs));
    return { certificatePem: encodePem('CERTIFICATE', der), spiffeId: uri, notBeforeMs, notAfterMs };
  }

  #checkIdentity(identity: SpiffeId): void {
    if (identity.trustDomain !== this.trustDomain) {
      throw new AuthorityError('BAD_IDENTITY', `This authority certifies trust domain ${this.trustDomain}, not ${identity.trustDomain}.`);
    }
    if (!isSpiffeId(identity))
      throw new AuthorityError(
        'BAD_IDENTITY',
        `${JSON.stringify(`${identity.namespace}/${identity.name}`)} cannot be written as a SPIFFE id.`,
      );
  }
}

function wholeSeconds(unixMs: number): number {
  return Math.floor(unixMs / 1000) * 1000;
}
