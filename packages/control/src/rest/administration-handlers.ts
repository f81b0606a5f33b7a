// Operations on those who administer the mesh: tokens, audit, and the rules that hold.
import { createAdminToken, createLoginCode, logInWith, revokeAdminToken } from '../admin/administrators.ts';
import type { AdminToken } from '../admin/admin-tokens.ts';
import { policiesOf } from '../admin/policies.ts';
import type { AuditEntry } from '../audit/entry.ts';
import type { Handlers } from './handler.ts';
import { time } from './present.ts';
import { ProblemError } from './problems.ts';

type AdministrationOperation =
  | 'listPolicies'
  | 'listAudit'
  | 'createAdminToken'
  | 'listAdminTokens'
  | 'revokeAdminToken'
  | 'getCaller'
  | 'createLoginCode'
  | 'login';

export const administrationHandlers: Pick<Handlers, AdministrationOperation> = {
  listPolicies: ({ query }, { registry }) => {
    const { namespace, service } = query;
    if (service === undefined) return { status: 200, value: present(policiesOf(registry.security)) };
    const view = registry.service(`${namespace}/${service}`);
    if (view === undefined) throw new ProblemError('NOT_FOUND', `there is no service ${namespace}/${service}`);
    return { status: 200, value: present(policiesOf(registry.security, view.service)) };
  },
  listAudit: async ({ query }, { audit }) => {
    const { since, ...filter } = query;
    const entries = await audit.list({ ...filter, sinceMs: since === undefined ? undefined : Date.parse(since) });
    return { status: 200, value: { items: entries.map(presentEntry), lastId: audit.lastId } };
  },
  createAdminToken: async ({ body }, context, _, by) => {
    const { token, ...made } = await createAdminToken(body, context, by);
    return { status: 201, value: { token, ...presentToken(made) }, headers: { 'cache-control': 'no-store' } };
  },
  listAdminTokens: (_, { adminTokens }) => ({ status: 200, value: { items: adminTokens.list().map(presentToken) } }),
  revokeAdminToken: async ({ path }, context, _, by) => {
    await revokeAdminToken(path.name, context, by);
    return { status: 204 };
  },
  getCaller: (_, { mesh, version }, __, { caller }) => {
    if (caller === 'process' || caller.kind !== 'administrator') throw new Error('who calls an operation that needs a role has one');
    return { status: 200, value: { who: caller.uri, role: caller.role, mesh: mesh.name, version } };
  },
  createLoginCode: async ({ body }, context, _, by) => {
    const { code, role, notAfterMs } = await createLoginCode(body.role, context, by);
    return { status: 201, value: { code, role, notAfter: time(notAfterMs) }, headers: { 'cache-control': 'no-store' } };
  },
  login: async ({ body }, context, _, { from }) => {
    const made = await logInWith(body.code, context, from);
    if (made === undefined)
      throw new ProblemError('NOT_FOUND', 'this link was used already, or has ended', {
        mend: '`heddle dashboard` makes a new one; a token of `heddle token create --admin` does as well',
      });
    return { status: 201, value: { token: made.token, ...presentToken(made) }, headers: { 'cache-control': 'no-store' } };
  },
};

function present({ rules, ...policies }: ReturnType<typeof policiesOf>): object {
  return { ...policies, rules: rules.map(({ rule }) => rule) };
}

function presentToken({ name, role, by, createdMs, notAfterMs }: AdminToken): object {
  return { name, role, by, created: time(createdMs), notAfter: time(notAfterMs) };
}

function presentEntry({ id, timeMs, ...entry }: AuditEntry): object {
  return { id, time: time(timeMs), ...entry };
}
