// SPIFFE identities as Heddle writes them: spiffe://<trust domain>/ns/<namespace>/svc/<service>. SPIFFE-ID spec, section 2.
import type { ServiceRef } from '../model/service.ts';
import { SYSTEM_NAMESPACE } from '../model/service.ts';

export interface SpiffeId extends ServiceRef {
  readonly trustDomain: string;
}

// SPIFFE-ID 2.2: a path segment is never `.` or `..`.
const SEGMENT = '(?!\\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,63}';
const TRUST_DOMAIN = '[a-z0-9._-]{1,255}';
const FORM = new RegExp(`^spiffe://(${TRUST_DOMAIN})/ns/(${SEGMENT})/svc/(${SEGMENT})$`);
const TRUST_DOMAIN_FORM = new RegExp(`^spiffe://(${TRUST_DOMAIN})$`);
/** SPIFFE-ID 2.3. */
const URI_LENGTH_MAX = 2048;

export function formatSpiffeId(id: SpiffeId): string {
  return `spiffe://${id.trustDomain}/ns/${id.namespace}/svc/${id.name}`;
}

/** Returns undefined for anything that is not exactly of Heddle's form; never throws. */
export function parseSpiffeId(uri: string): SpiffeId | undefined {
  if (uri.length > URI_LENGTH_MAX) return undefined;
  const match = FORM.exec(uri);
  if (match === null) return undefined;
  const [, trustDomain, namespace, name] = match as unknown as [string, string, string, string];
  return { trustDomain, namespace, name };
}

/** Whether the parts can be written as an identity and read back the same. */
export function isSpiffeId(id: SpiffeId): boolean {
  const back = parseSpiffeId(formatSpiffeId(id));
  return back !== undefined && back.trustDomain === id.trustDomain && back.namespace === id.namespace && back.name === id.name;
}

/** The SPIFFE id of a trust domain itself, which a root certificate carries (X.509-SVID 3.1): no path. */
export function formatTrustDomain(trustDomain: string): string {
  return `spiffe://${trustDomain}`;
}

/** The trust domain of a URI without a path; undefined for anything else. */
export function parseTrustDomain(uri: string): string | undefined {
  return TRUST_DOMAIN_FORM.exec(uri)?.[1];
}

/** Who the control plane of a trust domain is. */
export function controlPlaneId(trustDomain: string): SpiffeId {
  return { trustDomain, namespace: SYSTEM_NAMESPACE, name: 'control' };
}
