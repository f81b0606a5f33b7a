// What `heddle ca`, `heddle identity` and `heddle token` ask for: certificates that are valid, identities that are denied, join tokens, and the
// replacement of the root.
import { status } from '@grpc/grpc-js';
import type { admin } from '@heddle/api';
import type { AdminServer } from '@heddle/api/grpc-js';
import { allowIdentity, denyIdentity, knownIdentities, revokeJoinToken, ROTATION_STEPS, rotateRoot } from '../admin/identities.ts';
import type { IdentityDesk } from '../admin/identities.ts';
import type { Doer } from '../audit/entry.ts';
import type { AuthorityStatus, RootFacts } from '../ca/index.ts';
import { STRAGGLERS_TOLD_MAX } from '../drain/message.ts';
import { unary } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

type Handlers = Pick<
  AdminServer,
  'listTokens' | 'revokeToken' | 'listIdentities' | 'denyIdentity' | 'allowIdentity' | 'getAuthority' | 'rotateRoot'
>;

export function identityHandlers(desk: IdentityDesk): Handlers {
  const { tokens, rotation, logger } = desk;
  return {
    listTokens: unary(logger, async () => ({ tokens: await tokens.list() })),
    revokeToken: unary(logger, async ({ id }: admin.RevokeTokenRequest, _, by) => ({ token: await revokeJoinToken(id, desk, by) })),
    listIdentities: unary(logger, () => listIdentities(desk)),
    denyIdentity: unary(logger, async ({ id, reason }: admin.DenyIdentityRequest, _, by) => ({
      wasDenied: !(await denyIdentity(id, reason, desk, by)),
    })),
    allowIdentity: unary(logger, async ({ id }: admin.AllowIdentityRequest, _, by) => ({ wasDenied: await allowIdentity(id, desk, by) })),
    getAuthority: unary(logger, () => ({ authority: authorityToMessage(rotation.status()) })),
    rotateRoot: unary(logger, (request: admin.RotateRootRequest, _, by) => rotate(request, desk, by)),
  };
}

function listIdentities(desk: IdentityDesk): admin.ListIdentitiesResponse {
  const { certificates, denied } = knownIdentities(desk);
  return {
    certificates: certificates.map(({ serial, id, timeMs, untilMs, why, keyPin, root }) => ({
      ...{ serial, id, issuedMs: timeMs, notAfterMs: untilMs, why, keyPin, rootPin: root },
    })),
    denied: denied.map((one) => ({ ...one })),
  };
}

async function rotate(
  { step, force, automatic }: admin.RotateRootRequest,
  desk: IdentityDesk,
  by: Doer,
): Promise<admin.RotateRootResponse> {
  const known = ROTATION_STEPS.find((one) => one === step);
  if (known === undefined)
    throw new CallError(status.INVALID_ARGUMENT, `step: one of ${ROTATION_STEPS.join(', ')}, not ${JSON.stringify(step)}`);
  return { authority: authorityToMessage(await rotateRoot(known, { force, isAutomatic: automatic }, desk, by)) };
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
