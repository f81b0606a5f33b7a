// Named tokens as the operator makes and revokes them, by gRPC and by REST.
import type { Logger } from '@heddle/runtime';
import type { Doer } from '../audit/entry.ts';
import type { AuditLog } from '../audit/log.ts';
import type { EventSink } from '../events/sink.ts';
import { RegistryError } from '../registry/errors.ts';
import type { AdminToken, AdminTokens } from './admin-tokens.ts';
import { LOGIN_TTL_MS, type LoginCode, type LoginCodes } from './login-codes.ts';

export interface AdministratorDesk {
  readonly adminTokens: AdminTokens;
  readonly logins: LoginCodes;
  readonly events: EventSink;
  readonly audit: AuditLog;
  readonly logger: Logger;
}

/** Rejects with RegistryError INVALID, LIMIT; StoreError; AuditError. */
export async function createAdminToken(
  wanted: { readonly name: string; readonly role: string; readonly ttlMs: number },
  { adminTokens, events, audit, logger }: AdministratorDesk,
  by: Doer,
): Promise<AdminToken & { readonly token: string }> {
  const maker = by.caller === 'process' || by.caller.kind === 'anonymous' ? '' : by.caller.uri;
  const made = await audit.change(by, 'create-admin-token', wanted.name, async () => {
    const result = await adminTokens.create({ ...wanted, by: maker });
    return { result, after: factsOf(result) };
  });
  const { name, role, notAfterMs } = made;
  logger.info({ name, role, notAfterMs }, 'administrator token created');
  events.record(
    'token-created',
    `administrator ${name}`,
    `a token with the role ${role} was made, good until ${new Date(notAfterMs).toISOString()}`,
  );
  return made;
}

/** Rejects with RegistryError NOT_FOUND; StoreError; AuditError. */
export async function revokeAdminToken(name: string, { adminTokens, events, audit, logger }: AdministratorDesk, by: Doer): Promise<void> {
  await audit.change(by, 'revoke-admin-token', name, async () => {
    const revoked = await adminTokens.revoke(name);
    if (revoked === undefined)
      throw new RegistryError(
        'NOT_FOUND',
        `there is no administrator token ${JSON.stringify(name.slice(0, 100))}; see \`heddle token list --admin\``,
      );
    return { result: undefined, before: factsOf(revoked) };
  });
  logger.info({ name }, 'administrator token revoked');
  events.record('token-revoked', `administrator ${name}`, 'the token was revoked');
}

/** Rejects with RegistryError INVALID, LIMIT; AuditError. */
export async function createLoginCode(role: string, { logins, audit, logger }: AdministratorDesk, by: Doer): Promise<LoginCode> {
  const made = await audit.change(by, 'create-login-code', role, () => {
    const result = logins.create(role, by.caller);
    return Promise.resolve({ result, after: { role, notAfter: new Date(result.notAfterMs).toISOString() } });
  });
  logger.info({ role, notAfterMs: made.notAfterMs }, 'login code created');
  return made;
}

/** Undefined: the code is none, or none any more. Rejects with RegistryError LIMIT; StoreError; AuditError. */
export async function logInWith(
  code: string,
  desk: AdministratorDesk,
  from: string,
): Promise<(AdminToken & { readonly token: string }) | undefined> {
  const found = desk.logins.take(code);
  if (found === undefined) {
    desk.audit.refused({ caller: { kind: 'anonymous' }, from }, 'call', 'login', 'the code is not known, was used, or has ended');
    return undefined;
  }
  const { maker: caller, name, role } = found;
  return await createAdminToken({ name, role, ttlMs: LOGIN_TTL_MS }, desk, { caller, from });
}

function factsOf({ name, role, by, createdMs, notAfterMs }: AdminToken): object {
  return { name, role, by, created: new Date(createdMs).toISOString(), notAfter: new Date(notAfterMs).toISOString() };
}
