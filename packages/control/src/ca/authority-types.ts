// What the authority takes and gives.
import type { SpiffeId } from '@heddle/core';
import type { KeyPair } from '@heddle/runtime/node';
import type { FollowerHooks } from './authority-follower.ts';
import type { CaSource } from './authority-options.ts';
import type { IssueReason, IssuedLedger } from './ledger.ts';
import type { RootRotation } from './root-rotation.ts';

export interface SignInput {
  /** PKCS #10; everything but its key is ignored. */
  readonly csrDer: Uint8Array;
  readonly identity: SpiffeId;
  /** Default 1 h; held within 2 s and 7 days, and never beyond the issuer's end. */
  readonly ttlMs?: number;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  /** For the log. Default: `renewal`. */
  readonly why?: IssueReason;
  /** Serial number of the certificate in whose place the new one stands. */
  readonly replaces?: string;
  /** The root that must vouch for it, where that is not the one of today: who joins trusts nothing but this pin. */
  readonly pin?: string;
}

export interface IssuedCertificate {
  /** The leaf, then authorities between it and the root; data planes have the root already. */
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
  /** Leaf first, root last: joiners pin the root they are shown. */
  readonly chainPem: string;
  readonly key: KeyPair;
  /** Half of its life: replace it then. */
  readonly renewAtMs: number;
}

export interface Authority {
  readonly trustDomain: string;
  /** All roots that are trusted now, the one that certificates come from first; during a rotation there are two. */
  readonly rootsPem: string;
  /** base64url SHA-256 of the SubjectPublicKeyInfo of the root that the control plane shows: for tokens. */
  readonly pin: string;
  /** Of all roots that tokens may name. */
  readonly pins: readonly string[];
  readonly rootNotAfterMs: number;
  /** DER of authorities that may stand between a leaf and its root. */
  readonly intermediates: readonly Uint8Array[];
  readonly ledger: IssuedLedger;
  readonly source: CaSource['kind'];
  /** Undefined where the root is not ours to replace. */
  readonly rotation: RootRotation | undefined;
  /** Called, and waited for, at each change of the roots or of the one that is shown, before anybody hears of it. It must not reject. One alone. */
  showFirst(show: () => Promise<void>): void;
  /** Called when the roots, or the one that is shown, have changed. */
  onChange(listener: () => void): { close(): void };
  /** Follows the files of an authority that is elsewhere from now on; does nothing where the root is ours. Call once. */
  follow(hooks: FollowerHooks): void;
  /** Whether `sign` would take the request: throws CsrError when not. Returns the pin of its key. */
  checkCsr(csrDer: Uint8Array): string;
  /** Rejects with CsrError (the request), or AuthorityError. */
  sign(input: SignInput): Promise<IssuedCertificate>;
  /** For the control plane's own server. */
  issueControlCertificate(input: ControlCertificateInput): Promise<ControlCertificate>;
  close(): Promise<void>;
}
