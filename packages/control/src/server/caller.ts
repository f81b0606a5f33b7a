// Who makes a call: proven by the client certificate of the very connection the call came on, or by a token. Nothing that a client writes into
// metadata, other than that token, says who it is.
import { SYSTEM_NAMESPACE } from '@heddle/core';
import type { SpiffeId } from '@heddle/core';
import { equalInConstantTime, readPeerId, sha256 } from '@heddle/runtime/node';

/** `viewer` reads everything; `editor` also changes what runs; `operator` may do everything: tokens and the authority too. */
export const ROLES = ['viewer', 'editor', 'operator'] as const;
export type Role = (typeof ROLES)[number];

export type Caller =
  | { readonly kind: 'workload'; readonly id: SpiffeId; readonly uri: string }
  /** `uri` says by which right: the operator's SPIFFE id, or which token. `id`: only with the certificate. */
  | { readonly kind: 'administrator'; readonly role: Role; readonly id: SpiffeId | undefined; readonly uri: string }
  | { readonly kind: 'anonymous' };

export type CallerResult =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly reason: string /** Too many failed attempts came from there. */; readonly isThrottled?: true };

export interface CallerEvidence {
  /** DER of the client certificate whose chain TLS has verified; undefined without one. */
  readonly certificate: Uint8Array | undefined;
  /** Values of the `authorization` metadata. */
  readonly authorization: readonly string[];
}

export interface CallerRules {
  readonly trustDomain: string;
  readonly operatorToken: string;
  /** Named tokens. Absent: there are none. */
  readonly named?: NamedTokens;
  /** Whether the identity was taken away. */
  readonly isDenied?: (uri: string) => boolean;
}

/** Of an administrator, by the text of the token. */
export interface NamedTokens {
  /** Undefined: it has not the form of one. */
  check(token: string, nowMs: number): { readonly name: string; readonly role: Role } | { readonly reason: string } | undefined;
}

/** What is read of a token: logins come as signed tokens, which have some kB. */
const TOKEN_FORM = /^bearer ([\x21-\x7e]{1,8192})$/i;

export function hasRole(caller: Caller, role: Role): boolean {
  return caller.kind === 'administrator' && ROLES.indexOf(caller.role) >= ROLES.indexOf(role);
}

export function identifyCaller(evidence: CallerEvidence, rules: CallerRules, nowMs: number): CallerResult {
  if (evidence.authorization.length > 0) return byToken(evidence.authorization, rules, nowMs);
  if (evidence.certificate === undefined) return { ok: true, caller: { kind: 'anonymous' } };
  const svid = readPeerId(evidence.certificate);
  if (!svid.ok) return { ok: false, reason: `the client certificate ${svid.reason}` };
  const { id, uri, facts } = svid;
  if (id.trustDomain !== rules.trustDomain)
    return { ok: false, reason: `the client certificate is of trust domain ${id.trustDomain}, not ${rules.trustDomain}` };
  // The connection may be older than the certificate's end.
  if (nowMs > facts.notAfterMs + 999)
    return { ok: false, reason: `the client certificate of ${uri} has expired; connect again with the renewed one` };
  if (rules.isDenied?.(uri) === true) return { ok: false, reason: `${uri} is denied: it may not do anything in this mesh any more` };
  if (id.namespace !== SYSTEM_NAMESPACE) return { ok: true, caller: { kind: 'workload', id, uri } };
  if (id.name === 'operator') return { ok: true, caller: { kind: 'administrator', role: 'operator', id, uri } };
  return { ok: false, reason: `${uri} is no identity that calls the control plane` };
}

/** The token of `authorization: Bearer <token>`; undefined: it is not of this form. */
export function bearerToken(values: readonly string[]): string | undefined {
  return values.length === 1 ? TOKEN_FORM.exec(values[0] ?? '')?.[1] : undefined;
}

function byToken(values: readonly string[], rules: CallerRules, nowMs: number): CallerResult {
  const token = bearerToken(values);
  if (token === undefined) return { ok: false, reason: 'the `authorization` metadata is not `Bearer <token>`' };
  const named = rules.named?.check(token, nowMs);
  if (named !== undefined) {
    if ('reason' in named) return { ok: false, reason: named.reason };
    return { ok: true, caller: { kind: 'administrator', role: named.role, id: undefined, uri: `admin token ${named.name}` } };
  }
  // Hashes have one length, so the comparison tells nothing about the token's either.
  if (!equalInConstantTime(sha256(token), sha256(rules.operatorToken)))
    return { ok: false, reason: 'the operator token is wrong; it is in `operator.token` in the state directory of this control plane' };
  return { ok: true, caller: { kind: 'administrator', role: 'operator', id: undefined, uri: 'operator token' } };
}
