// What `heddle ca`, `heddle identity` and `heddle token` ask for: certificates that are valid, identities that are denied, join tokens, and the
// replacement of the root.
import { status } from '@grpc/grpc-js';
import type { admin } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import type { Authority, AuthorityStatus, Denials, JoinTokens, RootFacts, RotationDesk, RotationStep } from '../ca/index.ts';
import { STRAGGLERS_TOLD_MAX } from '../drain/message.ts';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog, Changed } from '../audit/log.ts';
import type { EventSink } from '../events/sink.ts';
import { unary } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

export interface IdentityDesk {
  readonly authority: Authority;
  readonly tokens: JoinTokens;
  readonly denials: Denials;
  readonly rotation: RotationDesk;
  readonly events: EventSink;
  readonly audit: AuditLog;
  readonly logger: Logger;
}

type Handlers = Pick<
  admin.AdminServer,
  'listTokens' | 'revokeToken' | 'listIdentities' | 'denyIdentity' | 'allowIdentity' | 'getAuthority' | 'rotateRoot'
>;

const STEPS: readonly RotationStep[] = ['start', 'use', 'finish', 'abort'];

export function identityHandlers(desk: IdentityDesk): Handlers {
  const { denials, tokens, rotation, audit, logger } = desk;
  return {
    listTokens: unary(logger, async () => ({ tokens: await tokens.list() })),
    revokeToken: unary(logger, ({ id }: admin.RevokeTokenRequest, _, by) => revokeToken(id, desk, by)),
    listIdentities: unary(logger, () => listIdentities(desk)),
    denyIdentity: unary(logger, ({ id, reason }: admin.DenyIdentityRequest, _, by) =>
      audit.change(by, 'deny-identity', id, async () => {
        const isNew = await denials.deny(id, reason);
        return { result: { wasDenied: !isNew }, before: { denied: !isNew }, after: { denied: true, reason } };
      }),
    ),
    allowIdentity: unary(logger, ({ id }: admin.AllowIdentityRequest, _, by) =>
      audit.change(by, 'allow-identity', id, async () => {
        const wasDenied = await denials.allow(id);
        return { result: { wasDenied }, before: { denied: wasDenied }, after: { denied: false } };
      }),
    ),
    getAuthority: unary(logger, () => ({ authority: authorityToMessage(rotation.status()) })),
    rotateRoot: unary(logger, (request: admin.RotateRootRequest, _, by) => rotateRoot(request, desk, by)),
  };
}

async function revokeToken(id: string, { tokens, events, audit, logger }: IdentityDesk, by: Doer): Promise<admin.RevokeTokenResponse> {
  const revoked = await audit.change(by, 'revoke-join-token', id, () => revoke(id, tokens));
  const { token } = revoked;
  logger.info({ id, service: `${token.namespace}/${token.service}` }, 'join token revoked');
  events.record('token-revoked', `${token.namespace}/${token.service}`, `the join token ${id} was revoked before it was used`);
  return { token };
}

async function revoke(id: string, tokens: JoinTokens): Promise<Changed<NonNullable<Awaited<ReturnType<JoinTokens['revoke']>>>>> {
  const revoked = await tokens.revoke(id);
  if (revoked === undefined)
    throw new CallError(
      status.NOT_FOUND,
      `there is no join token ${JSON.stringify(id)}; those that are used or have expired are forgotten after a while`,
    );
  const { token, wasGood } = revoked;
  if (!wasGood)
    throw new CallError(status.FAILED_PRECONDITION, `the join token ${id} cannot be used any more anyway: it is ${token.state}`);
  const { namespace, service, state } = token;
  return { result: revoked, before: { service: `${namespace}/${service}`, state: 'open' }, after: { state } };
}

function listIdentities({ authority, denials }: IdentityDesk): admin.ListIdentitiesResponse {
  const certificates = Array.from(authority.ledger.valid(), ({ serial, id, timeMs, untilMs, why, keyPin, root }) => ({
    ...{ serial, id, issuedMs: timeMs, notAfterMs: untilMs, why, keyPin, rootPin: root },
  }));
  return { certificates, denied: denials.list().map((denied) => ({ ...denied })) };
}

async function rotateRoot(
  { step, force, automatic }: admin.RotateRootRequest,
  { rotation, audit }: IdentityDesk,
  by: Doer,
): Promise<admin.RotateRootResponse> {
  const known = STEPS.find((one) => one === step);
  if (known === undefined) throw new CallError(status.INVALID_ARGUMENT, `step: one of ${STEPS.join(', ')}, not ${JSON.stringify(step)}`);
  await audit.change(by, 'rotate-root', known, async () => {
    const before = pinsOf(rotation.status());
    await rotation.step(known, { force, isAutomatic: automatic });
    return { result: undefined, before, after: pinsOf(rotation.status()) };
  });
  return { authority: authorityToMessage(rotation.status()) };
}

function pinsOf({ root, next, step }: AuthorityStatus): object {
  return { root: root.pin, ...(next !== undefined && { next: next.pin }), ...(step !== undefined && { step }) };
}

function authorityToMessage(authority: AuthorityStatus): admin.AuthorityMessage {
  const { root, next, step = '', obstacles, stragglers } = authority;
  return {
    ...authority,
    root: rootToMessage(root),
    next: next === undefined ? undefined : rootToMessage(next),
    step,
    obstacles: [...obstacles],
    stragglers: stragglers.slice(0, STRAGGLERS_TOLD_MAX).map((one) => ({ ...one })),
  };
}

function rootToMessage({ pin, notAfterMs, certificates, lastEndMs }: RootFacts): admin.RootMessage {
  return { pin, notAfterMs, certificates, lastEndMs };
}
