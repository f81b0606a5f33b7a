// Identities, join tokens and the root as the operator changes them, by gRPC and by REST: each change noted, with what it was before.
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog, Changed } from '../audit/log.ts';
import { AuthorityError } from '../ca/index.ts';
import type {
  Authority,
  AuthorityStatus,
  DeniedIdentity,
  Denials,
  IssuedRecord,
  JoinTokens,
  ListedToken,
  RotationDesk,
  RotationStep,
} from '../ca/index.ts';
import type { EventSink } from '../events/sink.ts';
import { RegistryError } from '../registry/errors.ts';

export interface IdentityDesk {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly denials: Denials;
  readonly rotation: RotationDesk;
  readonly events: EventSink;
  readonly audit: AuditLog;
  readonly logger: Logger;
}

export const ROTATION_STEPS = ['start', 'use', 'finish', 'abort'] as const satisfies readonly RotationStep[];

/** Valid certificates, oldest first, and who is denied, sorted. */
export function knownIdentities({ authority, denials }: Pick<IdentityDesk, 'authority' | 'denials'>): {
  readonly certificates: readonly IssuedRecord[];
  readonly denied: readonly DeniedIdentity[];
} {
  return { certificates: [...authority.ledger.valid()], denied: denials.list() };
}

/** False: it was denied already. Rejects with RegistryError (INVALID, LIMIT), StoreError, AuditError. */
export function denyIdentity(id: string, reason: string, { denials, audit }: IdentityDesk, by: Doer): Promise<boolean> {
  return audit.change(by, 'deny-identity', id, async () => {
    const isNew = await denials.deny(id, reason);
    return { result: isNew, before: { denied: !isNew }, after: { denied: true, reason } };
  });
}

/** False: it was not denied. Rejects with RegistryError (INVALID where the mesh file denies it), StoreError, AuditError. */
export function allowIdentity(id: string, { denials, audit }: IdentityDesk, by: Doer): Promise<boolean> {
  return audit.change(by, 'allow-identity', id, async () => {
    const wasDenied = await denials.allow(id);
    return { result: wasDenied, before: { denied: wasDenied }, after: { denied: false } };
  });
}

/** Rejects with RegistryError NOT_FOUND, AuthorityError REFUSED where it cannot be used anyway, StoreError, AuditError. */
export async function revokeJoinToken(id: string, { tokens, events, audit, logger }: IdentityDesk, by: Doer): Promise<ListedToken> {
  const token = await audit.change(by, 'revoke-join-token', id, () => revoke(id, tokens));
  const service = `${token.namespace}/${token.service}`;
  logger.info({ id, service }, 'join token revoked');
  events.record('token-revoked', service, `the join token ${id} was revoked before it was used`);
  return token;
}

async function revoke(id: string, tokens: JoinTokens): Promise<Changed<ListedToken>> {
  const revoked = await tokens.revoke(id);
  if (revoked === undefined)
    throw new RegistryError(
      'NOT_FOUND',
      `there is no join token ${JSON.stringify(id.slice(0, 100))}; those that are used or have expired are forgotten after a while`,
    );
  const { token, wasGood } = revoked;
  if (!wasGood) throw new AuthorityError('REFUSED', `the join token ${id} cannot be used any more anyway: it is ${token.state}`);
  const { namespace, service, state } = token;
  return { result: token, before: { service: `${namespace}/${service}`, state: 'open' }, after: { state } };
}

/** How it is then. Rejects with AuthorityError REFUSED, whose message says why and what helps; AuditError. */
export async function rotateRoot(
  step: RotationStep,
  how: { readonly force: boolean; readonly isAutomatic: boolean },
  { rotation, audit }: IdentityDesk,
  by: Doer,
): Promise<AuthorityStatus> {
  await audit.change(by, 'rotate-root', step, async () => {
    const before = pinsOf(rotation.status());
    await rotation.step(step, how);
    return { result: undefined, before, after: pinsOf(rotation.status()) };
  });
  return rotation.status();
}

function pinsOf({ root, next, step }: AuthorityStatus): object {
  return { root: root.pin, ...(next !== undefined && { next: next.pin }), ...(step !== undefined && { step }) };
}
