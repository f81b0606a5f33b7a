// Who signs leaves: a key of ours with its certificate. What a leaf looks like stands here; whether it may be given out, elsewhere.
import { certificateTbs, distinguishedName, encodePem, forbiddenName, type SpiffeId, withSignature } from '@heddle/core';
import type { Random } from '@heddle/runtime';
import { type ChainLink, keyIdentifier, type KeyPair, pinOfKey, readChain } from '@heddle/runtime/node';
import { AuthorityError, CLOCK_SKEW_MS } from './authority-options.ts';

export interface LeafRequest {
  /** PKCS #10, for signers elsewhere. */
  readonly csrDer: Uint8Array;
  readonly spkiDer: Uint8Array;
  readonly identity: SpiffeId;
  readonly uri: string;
  readonly nowMs: number;
  /** As asked for; the signer may give less. */
  readonly notAfterMs: number;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

export interface SignedLeaf {
  /** The leaf, then authorities between it and the root. */
  readonly certificatePem: string;
  /** The root it leads to. */
  readonly rootPem: string;
  readonly rootPin: string;
}

export interface Signer {
  /** Of the root that its certificates lead to; undefined where that is known only from them. */
  readonly rootPin: string | undefined;
  /** When nothing of it is valid any more. */
  readonly notAfterMs: number;
  /** DER of the authorities between its leaves and the root, as far as known. */
  readonly intermediates: readonly Uint8Array[];
  /** Rejects with AuthorityError. */
  issue(request: LeafRequest): Promise<SignedLeaf>;
}

export interface LocalSignerOptions {
  readonly key: KeyPair;
  /** Its own certificate, then those above it, the root last. A root has but its own. */
  readonly path: readonly ChainLink[];
  readonly random: Random;
  /** What to do when it can no longer be used. */
  readonly mend: string;
}

const SERIAL_BYTES = 16;
/** CommonName ends at 64 characters (RFC 5280 A.1); service names are shorter. */
const COMMON_NAME_MAX = 64;

export class LocalSigner implements Signer {
  readonly rootPin: string;
  readonly notAfterMs: number;
  readonly intermediates: readonly Uint8Array[];
  readonly #options: LocalSignerOptions;
  readonly #issuer: ChainLink['facts'];
  readonly #notBeforeMs: number;
  readonly #betweenPem: string;
  readonly #rootPem: string;

  constructor(options: LocalSignerOptions) {
    const { path } = options;
    const own = path[0];
    const root = path.at(-1);
    if (own === undefined || root === undefined) throw new RangeError('an authority without a certificate');
    this.#options = options;
    this.#issuer = own.facts;
    this.rootPin = pinOfKey(root.facts.spkiDer);
    this.#rootPem = encodePem('CERTIFICATE', root.der);
    this.notAfterMs = Math.min(...path.map(({ facts }) => facts.notAfterMs));
    this.#notBeforeMs = Math.max(...path.map(({ facts }) => facts.notBeforeMs));
    this.intermediates = path.slice(0, -1).map(({ der }) => der);
    this.#betweenPem = this.intermediates.map((der) => encodePem('CERTIFICATE', der)).join('');
  }

  async issue(request: LeafRequest): Promise<SignedLeaf> {
    const { key, random, mend, path } = this.#options;
    const { identity, uri, nowMs, spkiDer, dns, ips } = request;
    const notBeforeMs = wholeSeconds(Math.max(nowMs - CLOCK_SKEW_MS, this.#notBeforeMs));
    const notAfterMs = wholeSeconds(Math.min(request.notAfterMs, this.notAfterMs));
    if (notAfterMs <= nowMs)
      throw new AuthorityError('UNUSABLE_ROOT', `The authority's certificate ended at ${new Date(this.notAfterMs).toISOString()}. ${mend}`);
    for (const { facts } of path) {
      const forbidden =
        facts.nameConstraints === undefined ? undefined : forbiddenName(facts.nameConstraints, { uris: [uri], dns, ips: [] });
      if (forbidden !== undefined)
        throw new AuthorityError('BAD_IDENTITY', `The authority's name constraints do not allow it to certify ${forbidden}.`);
    }
    const tbs = certificateTbs({
      serial: random.bytes(SERIAL_BYTES),
      issuerDer: this.#issuer.subjectDer,
      subjectDer: distinguishedName({ organization: 'Heddle', commonName: identity.name.slice(0, COMMON_NAME_MAX) }),
      notBeforeMs,
      notAfterMs,
      spkiDer,
      role: 'leaf',
      names: { uris: [uri], dns, ips },
      subjectKeyId: keyIdentifier(spkiDer),
      authorityKeyId: this.#issuer.subjectKeyId ?? keyIdentifier(this.#issuer.spkiDer),
      signatureAlgorithm: key.algorithm,
    });
    const certificatePem = encodePem('CERTIFICATE', withSignature(tbs, key.sign(tbs), key.algorithm)) + this.#betweenPem;
    return { certificatePem, rootPem: this.#rootPem, rootPin: this.rootPin };
  }
}

function wholeSeconds(unixMs: number): number {
  return Math.floor(unixMs / 1000) * 1000;
}

/** The roots in their order, but the one with this pin before all others. */
export function signerFirst(rootsPem: string, rootPin: string | undefined): string {
  const isLast = (link: ChainLink): number => Number(pinOfKey(link.facts.spkiDer) !== rootPin);
  const sorted = readChain(rootsPem).sort((a, b) => isLast(a) - isLast(b));
  return sorted.map(({ der }) => encodePem('CERTIFICATE', der)).join('');
}
