// What the authority takes and gives, and how it fails.
import type { SpiffeId } from '@heddle/core';
import type { Clock, Logger, Random } from '@heddle/runtime';
import type { KeyPair } from '@heddle/runtime/node';

/** Machines whose clock is late must not find a fresh certificate "not yet valid". */
export const CLOCK_SKEW_MS = 60_000;

export interface AuthorityOptions {
  /** `ca/root.key.pem` and `ca/root.pem` live below it. */
  readonly stateDir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface SignInput {
  /** PKCS #10; everything but its key is ignored. */
  readonly csrDer: Uint8Array;
  readonly identity: SpiffeId;
  /** Default 1 h; held within 2 s and 7 days, and never beyond the root's end. */
  readonly ttlMs?: number;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
}

export interface IssuedCertificate {
  /** The leaf alone: data planes have the root already. */
  readonly certificatePem: string;
  readonly spiffeId: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface ControlCertificateInput {
  /** Default: a new key. */
  readonly key?: KeyPair;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  readonly ttlMs?: number;
}

export interface ControlCertificate extends IssuedCertificate {
  /** Leaf, then root: joiners pin the root they are shown. */
  readonly chainPem: string;
  readonly key: KeyPair;
  /** Half of its life: replace it then. */
  readonly renewAtMs: number;
}

export interface Authority {
  readonly trustDomain: string;
  readonly rootsPem: string;
  /** base64url SHA-256 of the root's SubjectPublicKeyInfo. */
  readonly pin: string;
  readonly rootNotAfterMs: number;
  /** Whether `sign` would take the request: throws CsrError when not. Returns the pin of its key. */
  checkCsr(csrDer: Uint8Array): string;
  /** Rejects with CsrError (the request), or AuthorityError `BAD_IDENTITY` (what the caller asked for). */
  sign(input: SignInput): Promise<IssuedCertificate>;
  /** For the control plane's own server. */
  issueControlCertificate(input: ControlCertificateInput): Promise<ControlCertificate>;
}

/** `UNUSABLE_ROOT`: the files in the state directory; `BAD_IDENTITY`: an identity this authority does not certify. */
export type AuthorityErrorCode = 'UNUSABLE_ROOT' | 'BAD_IDENTITY';

export class AuthorityError extends Error {
  readonly code: AuthorityErrorCode;
  constructor(code: AuthorityErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AuthorityError';
    this.code = code;
  }
}
