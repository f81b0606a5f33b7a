// Operations on identities: certificates and denials, join tokens, the root and its replacement.
import { formatSpiffeId } from '@heddle/core';
import { allowIdentity, denyIdentity, knownIdentities, revokeJoinToken, rotateRoot } from '../admin/identities.ts';
import type { AuthorityStatus, ListedToken, RootFacts } from '../ca/index.ts';
import { createJoinToken } from '../admin/tokens.ts';
import type { Handlers, RestContext } from './handler.ts';
import { itemsAfter, pageJson } from './listing.ts';
import { time } from './present.ts';
import { ProblemError } from './problems.ts';

type IdentityOperation =
  | 'createToken'
  | 'listTokens'
  | 'revokeToken'
  | 'listIdentities'
  | 'listDeniedIdentities'
  | 'denyIdentity'
  | 'allowIdentity'
  | 'getAuthority'
  | 'rotateRoot';

/** The first by name; their number is told besides. */
const STRAGGLERS_TOLD_MAX = 100;

export const identityHandlers: Pick<Handlers, IdentityOperation> = {
  createToken: async ({ body }, context, _, by) => {
    const { namespace, service, ttlMs } = body;
    const { token, notAfterMs } = await createJoinToken({ namespace, name: service }, ttlMs, context, by);
    return { status: 201, value: { token, namespace, service, notAfter: time(notAfterMs) }, headers: { 'cache-control': 'no-store' } };
  },
  listTokens: async ({ query }, { tokens }) => {
    const listed = itemsAfter(await tokens.list(), query.cursor, ({ id }) => id);
    const textOf = (token: ListedToken): string => JSON.stringify(presentToken(token));
    return { status: 200, text: pageJson({}, listed, query.limit, textOf, ({ id }) => id) };
  },
  revokeToken: async ({ path }, context, _, by) => {
    await revokeJoinToken(path.id, context, by);
    return { status: 204 };
  },
  listIdentities: ({ query }, context) => {
    const { certificates, denied } = knownIdentities(context);
    const deniedIds = new Set(denied.map(({ id }) => id));
    const rows = itemsAfter(certificates, query.cursor, ({ serial }) => serial);
    const textOf = ({ serial, id, timeMs, untilMs, why, keyPin, root }: (typeof certificates)[number]): string =>
      JSON.stringify({
        ...{ serial, identity: id, issued: time(timeMs), notAfter: time(untilMs), why, keyPin, rootPin: root },
        denied: deniedIds.has(id),
      });
    return { status: 200, text: pageJson({}, rows, query.limit, textOf, ({ serial }) => serial) };
  },
  listDeniedIdentities: (_, context) => {
    const { denied } = knownIdentities(context);
    const items = denied.map(({ id, reason, sinceMs, by }) => ({ identity: id, reason, since: timeOrNull(sinceMs), by }));
    return { status: 200, value: { items } };
  },
  denyIdentity: async ({ path, body }, context, _, by) => {
    const identity = identityOf(path, context);
    const isNew = await denyIdentity(identity, body.reason, context, by);
    const denied = context.denials.list().find(({ id }) => id === identity);
    const since = timeOrNull(denied?.sinceMs ?? 0);
    return { status: isNew ? 201 : 200, value: { identity, reason: denied?.reason ?? '', since, by: denied?.by ?? 'operator' } };
  },
  allowIdentity: async ({ path }, context, _, by) => {
    const identity = identityOf(path, context);
    if (!context.denials.isDenied(identity)) throw new ProblemError('NOT_FOUND', `${identity} is not denied`);
    await allowIdentity(identity, context, by);
    return { status: 204 };
  },
  getAuthority: (_, { rotation }) => ({ status: 200, value: presentAuthority(rotation.status()) }),
  rotateRoot: async ({ body }, context, _, by) => {
    const { step, force, automatic } = body;
    return { status: 200, value: presentAuthority(await rotateRoot(step, { force, isAutomatic: automatic }, context, by)) };
  },
};

function identityOf({ namespace, service }: { readonly namespace: string; readonly service: string }, { mesh }: RestContext): string {
  return formatSpiffeId({ trustDomain: mesh.trustDomain, namespace, name: service });
}

function presentToken({ id, namespace, service, state, createdMs, notAfterMs, usedMs }: ListedToken): object {
  return { id, namespace, service, state, created: timeOrNull(createdMs), notAfter: time(notAfterMs), used: timeOrNull(usedMs) };
}

function presentAuthority(authority: AuthorityStatus): object {
  const { source, phase, isAutomatic, addedMs, usedMs, root, next, step = null, obstacles } = authority;
  const { dataPlanes, acknowledged, stragglers, isLogFailing } = authority;
  return {
    ...{ source, phase, automatic: isAutomatic, added: timeOrNull(addedMs), used: timeOrNull(usedMs) },
    ...{ root: presentRoot(root), next: next === undefined ? null : presentRoot(next), step, obstacles },
    ...{ dataPlanes, acknowledged, stragglers: stragglers.slice(0, STRAGGLERS_TOLD_MAX), logFailing: isLogFailing },
  };
}

function presentRoot({ pin, notAfterMs, certificates, lastEndMs }: RootFacts): object {
  return { pin, notAfter: time(notAfterMs), certificates, lastCertificateEnds: timeOrNull(lastEndMs) };
}

/** 0: it is not known, or has not been. */
function timeOrNull(unixMs: number): string | null {
  return unixMs === 0 ? null : time(unixMs);
}
