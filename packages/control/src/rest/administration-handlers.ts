// Operations on those who administer the mesh: tokens, audit, and the rules that hold.
import { createAdminToken, revokeAdminToken } from '../admin/administrators.ts';
import type { AdminToken } from '../admin/admin-tokens.ts';
import { policiesOf } from '../admin/policies.ts';
import type { AuditEntry } from '../audit/entry.ts';
import type { Handlers } from './handler.ts';
import { time } from './present.ts';
import { ProblemError } from './problems.ts';

type AdministrationOperation = 'listPolicies' | 'listAudit' | 'createAdminToken' | 'listAdminTokens' | 'revokeAdminToken';

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
