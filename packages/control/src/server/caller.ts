// Who makes a call: proven by the client certificate of the very connection the call came on, or by the operator's token.
// Nothing that a client writes into metadata, other than that token, says who it is.
import { SYSTEM_NAMESPACE } from '@heddle/core';
import type { SpiffeId } from '@heddle/core';
import { equalInConstantTime, readPeerId, sha256 } from '@heddle/runtime/node';

export type Caller =
  | { readonly kind: 'workload'; readonly id: SpiffeId; readonly uri: string }
  /** `uri` says by which right: the operator's SPIFFE id, or the token. */
  | { readonly kind: 'operator'; readonly id: SpiffeId | undefined; readonly uri: string }
  | { readonly kind: 'anonymous' };

export type CallerResult = { readonly ok: true; readonly caller: Caller } | { readonly ok: false; readonly reason: string };

export interface CallerEvidence {
  /** DER of the client certificate whose chain TLS has verified; undefined without one. */
  readonly certificate: Uint8Array | undefined;
  /** Values of the `authorization` metadata. */
  readonly authorization: readonly string[];
}

export interface CallerRules {
  readonly trustDomain: string;
  readonly operatorToken: string;
}

export function identifyCaller(evidence: CallerEvidence, rules: CallerRules, nowMs: number): CallerResult {
  if (evidence.authorization.length > 0) return byToken(evidence.authorization, rules);
  if (evidence.certificate === undefined) return { ok: true, caller: { kind: 'anonymous' } };
  const svid = readPeerId(evidence.certificate);
  if (!svid.ok) return { ok: false, reason: `the client certificate ${svid.reason}` };
  const { id, uri, facts } = svid;
  if (id.trustDomain !== rules.trustDomain)
    return { ok: false, reason: `the client certificate is of trust domain ${id.trustDomain}, not ${rules.trustDomain}` };
  // The connection may be older than the certificate's end.
  if (nowMs > facts.notAfterMs + 999)
    return { ok: false, reason: `the client certificate of ${uri} has expired; connect again with the renewed one` };
  if (id.namespace !== SYSTEM_NAMESPACE) return { ok: true, caller: { kind: 'workload', id, uri } };
  if (id.name === 'operator') return { ok: true, caller: { kind: 'operator', id, uri } };
  return { ok: false, reason: `${uri} is no identity that calls the control plane` };
}

function byToken(values: readonly string[], rules: CallerRules): CallerResult {
  const [value = ''] = values;
  const token = /^bearer ([\x21-\x7e]{1,256})$/i.exec(value)?.[1];
  if (values.length !== 1 || token === undefined)
    return { ok: false, reason: 'the `authorization` metadata is not `Bearer <operator token>`' };
  // Hashes have one length, so the comparison tells nothing about the token's either.
  if (!equalInConstantTime(sha256(token), sha256(rules.operatorToken)))
    return { ok: false, reason: 'the operator token is wrong; it is in `operator.token` in the state directory of this control plane' };
  return { ok: true, caller: { kind: 'operator', id: undefined, uri: 'operator token' } };
}
