// What a control plane keeps: the state directory with store, authority, tokens, events and audit log.
import { join } from 'node:path';
import { serviceKey } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { privateDirectory } from '@heddle/runtime/node';
import { openAdminTokens } from './admin/admin-tokens.ts';
import { LoginCodes } from './admin/login-codes.ts';
import type { AdminTokens } from './admin/admin-tokens.ts';
import { openAuditLog } from './audit/log.ts';
import type { AuditLog } from './audit/log.ts';
import { denialOf, JoinTokens, LateRenewals, openAuthority, openDenials } from './ca/index.ts';
import type { Authority, Denials } from './ca/index.ts';
import { type EventLog, openEventLog } from './events/log.ts';
import { openMeshFile } from './mesh-file/desk.ts';
import type { MeshFileDesk } from './mesh-file/desk.ts';
import type { ControlOptions } from './options.ts';
import { openEmbeddedStore } from './registry/embedded/store.ts';
import { openRegistry } from './registry/registry.ts';
import type { Registry } from './registry/registry.ts';
import type { Store } from './registry/store.ts';
import { openOperatorToken } from './server/operator-token.ts';

export interface ControlState {
  readonly authority: Authority;
  readonly operatorToken: string;
  readonly events: EventLog;
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly meshFile: MeshFileDesk;
  readonly tokens: JoinTokens;
  readonly adminTokens: AdminTokens;
  readonly logins: LoginCodes;
  readonly denials: Denials;
  readonly lateRenewals: LateRenewals;
}

/** What was opened is closed by `undo`, in the opposite order. Rejects as `startControl`. */
export async function openState(options: ControlOptions, undo: (() => Promise<void> | void)[]): Promise<ControlState> {
  const { mesh, stateDir, clock, random, logger } = options;
  const { trustDomain } = mesh;
  await privateDirectory(stateDir);
  // First, because its lock keeps a second control plane away from everything else in the directory.
  const lock = openEmbeddedStore({ path: join(stateDir, 'registry.sqlite'), clock });
  undo.push(() => lock.close());
  const store = options.store === 'memory' ? openMemory(clock, undo) : lock;
  const authority = await openAuthority({
    stateDir,
    trustDomain,
    clock,
    random,
    logger,
    ...(options.ca !== undefined && { source: options.ca }),
    ...(options.certificateTtlMs !== undefined && { ttlMs: options.certificateTtlMs }),
  });
  undo.push(() => authority.close());
  const operatorToken = await openOperatorToken(stateDir, random, logger);
  const events = await openEventLog({ path: options.store === 'memory' ? undefined : join(stateDir, 'events.jsonl'), clock, logger });
  undo.push(() => events.close());
  const audit = await openAuditLog({ path: options.store === 'memory' ? undefined : join(stateDir, 'audit.jsonl'), clock, logger });
  undo.push(() => audit.close());
  const registry = await openRegistry({ store, logger, events, clock, random });
  undo.push(() => registry.close());
  const meshFile = await openMeshFile(mesh, options.meshFile, { store, registry, audit, events, clock, logger });
  const adminTokens = await openAdminTokens({ store, clock, random, logger });
  undo.push(() => adminTokens.close());
  const denials = await openDenials({ store, trustDomain, configured: () => registry.security.denied, events, clock, logger });
  const tokens = new JoinTokens({ store, trustDomain, authority, denial: (id) => denials.reasonFor(id), clock, random });
  const lateRenewals = new LateRenewals({
    authority,
    trustDomain,
    ...(options.lateRenewalMs === undefined ? {} : { graceMs: options.lateRenewalMs }),
    denial: (id) => denials.reasonFor(id) ?? denialOf(id, (known) => registry.service(serviceKey(known)) !== undefined),
    clock,
  });
  return {
    authority,
    operatorToken,
    events,
    audit,
    registry,
    meshFile,
    tokens,
    adminTokens,
    logins: new LoginCodes(clock, random),
    denials,
    lateRenewals,
  };
}

function openMemory(clock: Clock, undo: (() => Promise<void> | void)[]): Store {
  const store = openEmbeddedStore({ path: undefined, clock });
  undo.push(() => store.close());
  return store;
}
