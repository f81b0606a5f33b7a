// What the authority is opened with, and how it fails.
import type { Clock, Logger, Random } from '@heddle/runtime';
import type { KeyType } from '@heddle/runtime/node';

/** Machines whose clock is late must not find a fresh certificate "not yet valid". */
export const CLOCK_SKEW_MS = 60_000;

/**
 * Programs that read certificates from files look at them now and then: every 10 s those whose bootstrap is from `heddle export grpc`. So long after
 * the last file was written, at the least, nobody goes by an older one.
 */
export const FILES_TAKEN_UP_MS = 15_000;

/** What signs. */
export type CaSource =
  /** A root of our own, made at the first start. */
  | {
      readonly kind: 'own';
      /** Of a new root. Default: `p256`. */
      readonly keyType?: KeyType;
      /** Its key is encrypted with it; one that lies there in the clear is encrypted at the next start. */
      readonly passphrase?: string;
    }
  /** An authority from files, which a root that is elsewhere has certified. */
  | {
      readonly kind: 'files';
      /** Its certificate, then those between it and the root. */
      readonly certificateFile: string;
      readonly keyFile: string;
      readonly rootsFile: string;
      readonly passphrase?: string;
    }
  /** A command that has certificates signed by an authority elsewhere. */
  | {
      readonly kind: 'command';
      /** For `/bin/sh -c`. */
      readonly command: string;
      readonly rootsFile: string;
      /** Default 10 s. */
      readonly timeoutMs?: number;
    };

export interface AuthorityOptions {
  /** `ca/root.key.pem` and `ca/root.pem` live below it. */
  readonly stateDir: string;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Default: a root of our own. */
  readonly source?: CaSource;
  /** Life of workloads' certificates, where it is longer than usual: that of the control plane is not shorter. */
  readonly ttlMs?: number;
}

/**
 * `UNUSABLE_ROOT`: the files of the authority; `BAD_IDENTITY`: an identity this authority does not certify; `SIGNER_FAILED`: an authority
 * elsewhere did not answer, or not with what was asked for; `REFUSED`: a step of a rotation that cannot be made now.
 */
export type AuthorityErrorCode = 'UNUSABLE_ROOT' | 'BAD_IDENTITY' | 'SIGNER_FAILED' | 'REFUSED';

export class AuthorityError extends Error {
  readonly code: AuthorityErrorCode;
  constructor(code: AuthorityErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AuthorityError';
    this.code = code;
  }
}

export function unusable(message: string, cause?: unknown): AuthorityError {
  return new AuthorityError('UNUSABLE_ROOT', message, cause);
}
