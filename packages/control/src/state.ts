// What a control plane keeps: the state directory with store, authority, operator token, events and join tokens.
import { join } from 'node:path';
import { type MeshConfig, serviceKey } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import { privateDirectory } from '@heddle/runtime/node';
import { denialOf, JoinTokens, LateRenewals, openAuthority } from './ca/index.ts';
import type { Authority } from './ca/index.ts';
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
  readonly registry: Registry;
  readonly tokens: JoinTokens;
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
  const authority = await openAuthority({ stateDir, trustDomain, clock, random, logger });
  const operatorToken = await openOperatorToken(stateDir, random, logger);
  const events = await openEventLog({ path: options.store === 'memory' ? undefined : join(stateDir, 'events.jsonl'), clock, logger });
  undo.push(() => events.close());
  const registry = await openRegistry({ store, logger, events, clock, random });
  undo.push(() => registry.close());
  await takeIn(mesh, registry);
  const tokens = new JoinTokens({ store, trustDomain, pin: authority.pin, clock, random });

  const lateRenewals = new LateRenewals({
    rootsPem: authority.rootsPem,
    trustDomain,
    ...(options.lateRenewalMs === undefined ? {} : { graceMs: options.lateRenewalMs }),
    denial: (id) => denialOf(id, (known) => registry.service(serviceKey(known)) !== undefined),
    clock,
  });
  return { authority, operatorToken, events, registry, tokens, lateRenewals };
}

/** The mesh file's part of the registry. */
export async function takeIn({ services, egress, discovery }: MeshConfig, registry: Registry): Promise<void> {
  await registry.setKeepOnMassExpiry(discovery.keepOnMassExpiry);
  await registry.declareServices(
    services.map((declared) => declared.service),
    egress,
  );
}

function openMemory(clock: Clock, undo: (() => Promise<void> | void)[]): Store {
  const store = openEmbeddedStore({ path: undefined, clock });
  undo.push(() => store.close());
  return store;
}
