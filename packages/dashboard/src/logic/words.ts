// What the model says, in words: rules of access, requests that a rule takes, states.
import type { AccessRule, Health } from '../api/types.ts';

export const HEALTH_WORDS: Readonly<Record<Health, string>> = {
  healthy: 'healthy',
  unhealthy: 'unhealthy',
  draining: 'draining',
  starting: 'starting',
};

type Subject = AccessRule['subjects'][number];
type Permission = AccessRule['permissions'][number];

export function subjectText({ identities, networks, token }: Subject): string {
  const parts = [
    ...(identities ?? []).map((match) =>
      match.kind === 'any' ? 'every workload' : match.kind === 'exact' ? identityName(match.id) : `${identityName(match.prefix)}…`,
    ),
    ...(networks === undefined ? [] : [`from ${networks.join(', ')}`]),
    ...(token === undefined ? [] : [tokenText(token)]),
  ];
  return parts.length === 0 ? 'everybody' : parts.join(', ');
}

function tokenText({ issuers, claims }: NonNullable<Subject['token']>): string {
  const of = issuers.length === 0 ? '' : ` of ${issuers.join(', ')}`;
  const having = claims.map(({ claim, values }) => `${claim.join('.')} ${values.map(String).join(' or ')}`);
  return `a token${of}${having.length === 0 ? '' : ` with ${having.join(', ')}`}`;
}

export function permissionText({ methods, paths, authorities, headers }: Permission): string {
  const parts = [
    (methods ?? []).join(', '),
    (paths ?? [])
      .map(({ kind, value }) => (kind === 'segments' || kind === 'prefix' ? `${value.replace(/\/$/, '')}/**` : value))
      .join(', '),
    authorities === undefined ? '' : `host ${authorities.map(({ value }) => value).join(', ')}`,
    headers === undefined ? '' : `header ${headers.map(({ name }) => name).join(', ')}`,
  ];
  return parts.filter((part) => part !== '').join(' ') || 'every request';
}

/** `spiffe://shop.internal/ns/default/svc/web` as `default/web`. */
export function identityName(id: string): string {
  const [, namespace, service] = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/svc\/(.+)$/.exec(id) ?? [];
  return namespace === undefined || service === undefined ? id : `${namespace}/${service}`;
}

/** How an event is shown: what needs somebody, what is a change, what is well. */
export type Tone = 'bad' | 'warn' | 'good' | 'calm';

export function eventTone(kind: string, message: string): Tone {
  if (kind === 'anomaly') return 'warn';
  if (kind === 'instance-health') return /→ healthy/.test(message) ? 'good' : /→ (unhealthy)/.test(message) ? 'bad' : 'warn';
  if (/reject|nack|denied|fail|alarm|expired|late/.test(kind)) return 'bad';
  if (/deregister|gone|drain|removed|revoked|lost/.test(kind)) return 'warn';
  return 'calm';
}
