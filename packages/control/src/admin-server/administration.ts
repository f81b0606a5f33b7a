// heddle.admin.v1: who administers the mesh: named tokens, what was changed and by whom, and the rules that hold.
import { status } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { AdminServer } from '@heddle/api/grpc-js';
import type { admin } from '@heddle/api';
import { serviceKey } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { createAdminToken, createLoginCode, revokeAdminToken } from '../admin/administrators.ts';
import type { AdministratorDesk } from '../admin/administrators.ts';
import { policiesOf } from '../admin/policies.ts';
import type { AuditEntry } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { Registry } from '../registry/registry.ts';
import { unary } from '../server/handlers.ts';
import { CallError } from '../server/status.ts';

export interface AdministrationDesk extends AdministratorDesk {
  readonly registry: Registry;
  readonly audit: AuditLog;
  readonly logger: Logger;
}

type Handlers = Pick<
  AdminServer,
  'listPolicies' | 'listAudit' | 'createAdminToken' | 'createLoginCode' | 'listAdminTokens' | 'revokeAdminToken'
>;

/** Where nobody says how many; and the most. */
const ENTRIES_DEFAULT = 1_000;
const ENTRIES_MAX = 10_000;

export function administrationHandlers(desk: AdministrationDesk): Handlers {
  const { registry, audit, adminTokens, logger } = desk;
  return {
    listPolicies: unary(logger, (request: admin.ListPoliciesRequest) => listPolicies(request, registry)),
    listAudit: unary(logger, (request: admin.ListAuditRequest) => listAudit(request, audit)),
    createAdminToken: unary(logger, async ({ name, role, ttlMs }: admin.CreateAdminTokenRequest, _, by) => {
      const { token, notAfterMs } = await createAdminToken({ name, role, ttlMs }, desk, by);
      return { token, notAfterMs };
    }),
    createLoginCode: unary(logger, async ({ role }: admin.CreateLoginCodeRequest, _, by) => {
      const { code, notAfterMs } = await createLoginCode(role, desk, by);
      return { code, notAfterMs };
    }),
    listAdminTokens: unary(logger, () => ({ tokens: adminTokens.list().map((token) => ({ ...token })) })),
    revokeAdminToken: unary(logger, async ({ name }: admin.RevokeAdminTokenRequest, _, by) => {
      await revokeAdminToken(name, desk, by);
      return {};
    }),
  };
}

function listPolicies({ namespace, service }: admin.ListPoliciesRequest, registry: Registry): admin.ListPoliciesResponse {
  if (service === '' && namespace === '') return policiesToMessage(policiesOf(registry.security));
  const ref = { namespace: discovery.namespaceOrDefault(namespace), name: discovery.nameFromMessage(service, 'service') };
  const view = registry.service(serviceKey(ref));
  if (view === undefined) throw new CallError(status.NOT_FOUND, `there is no service ${serviceKey(ref)}`);
  return policiesToMessage(policiesOf(registry.security, view.service));
}

function policiesToMessage({ rules, audit, authorizer = '', ...rest }: ReturnType<typeof policiesOf>): admin.ListPoliciesResponse {
  return {
    ...rest,
    issuers: [...rest.issuers],
    denied: [...rest.denied],
    audit,
    authorizer,
    rules: rules.map(({ rule, ...row }) => ({ ...row, json: JSON.stringify(rule) })),
  };
}

async function listAudit(request: admin.ListAuditRequest, audit: AuditLog): Promise<admin.ListAuditResponse> {
  const { who, action, subject, outcome, sinceMs, afterId, limit } = request;
  const wanted = (text: string): string | undefined => (text === '' ? undefined : text);
  const entries = await audit.list({
    who: wanted(who),
    action: wanted(action),
    subject: wanted(subject),
    outcome: wanted(outcome),
    sinceMs: sinceMs === 0 ? undefined : sinceMs,
    after: afterId,
    limit: Math.min(limit === 0 ? ENTRIES_DEFAULT : limit, ENTRIES_MAX),
  });
  return { entries: entries.map(entryToMessage), lastId: audit.lastId };
}

function entryToMessage({ before, after, reason = '', ...entry }: AuditEntry): admin.AuditEntryMessage {
  return { ...entry, reason, before: textOf(before), after: textOf(after) };
}

function textOf(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}
