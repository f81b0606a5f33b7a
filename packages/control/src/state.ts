// What a control plane keeps: the state directory with store, authority, tokens, events and audit log.
import { join } from 'node:path';
import { type MeshConfig, serviceKey } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { privateDirectory } from '@heddle/runtime/node';
import { openAdminTokens } from './admin/admin-tokens.ts';
import type { AdminTokens } from './admin/admin-tokens.ts';
import { declaredBy, declaredChanges } from './audit/declared.ts';
import { MESH_FILE } from './audit/entry.ts';
import { openAuditLog } from './audit/log.ts';
import type { AuditLog } from './audit/log.ts';
import { denialOf, JoinTokens, LateRenewals, openAuthority, openDenials } from './ca/index.ts';
import type { Authority, Denials } from './ca/index.ts';
import { type EventLog, openEventLog } from './events/log.ts';
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
  readonly tokens: JoinTokens;
  readonly adminTokens: AdminTokens;
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
  await takeIn(mesh, registry, audit);
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
  return { authority, operatorToken, events, audit, registry, tokens, adminTokens, denials, lateRenewals };
}

/** The mesh file's part of the registry, noted if it changes anything. */
export async function takeIn(mesh: MeshConfig, registry: Registry, audit: AuditLog): Promise<void> {
  const { services, egress, security, telemetry, discovery, name } = mesh;
  const before = {
    services: Array.from(registry.snapshot().services.values(), (view) => view.service),
    egress: registry.egress,
    security: registry.security,
    telemetry: registry.telemetry,
  };
  const changes = declaredChanges(before, declaredBy(mesh));
  const take = async (): Promise<void> => {
    await registry.setKeepOnMassExpiry(discovery.keepOnMassExpiry);
    await registry.declareServices(
      services.map((declared) => declared.service),
      egress,
      security,
      telemetry,
    );
  };
  if (changes.length === 0) return await take();
  await audit.change(MESH_FILE, 'declare-mesh', name, async () => {
    const { revision } = registry;
    await take();
    return { result: undefined, before: { revision }, after: { revision: registry.revision, changes } };
  });
}

function openMemory(clock: Clock, undo: (() => Promise<void> | void)[]): Store {
  const store = openEmbeddedStore({ path: undefined, clock });
  undo.push(() => store.close());
  return store;
}
