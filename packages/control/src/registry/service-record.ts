// What the store holds of the mesh file: services with their policies and rules, and hosts outside the mesh. Read with the same schemas that
// the REST API shows; a record of a version before this one is read as what it meant then, so that a registry survives an upgrade.
import {
  DEFAULT_BALANCE,
  DEFAULT_RETRY_BACKOFF,
  DEFAULT_RETRY_BUDGET,
  NO_BREAKER,
  NO_RETRY,
  isVirtualAddress,
  serviceKey,
} from '@heddle/core';
import type { EgressHost, Service, TelemetryConfig } from '@heddle/core';
import type { z } from 'zod';
import { faultsOf } from '../schema/faults.ts';
import { EgressRecord, ServiceRecord } from '../schema/service.ts';
import { TelemetryRecord } from '../schema/telemetry.ts';
import { egressStoreKey, TELEMETRY_KEY } from './keys.ts';
import { invalid, parseJson } from './reader.ts';
import type { StoreEntry } from './store.ts';

/** Throws RegistryError INVALID that names the field. */
export function readService(text: string): Service {
  return readRecord(ServiceRecord, current(parseJson(text)), 'service');
}

/** Throws RegistryError INVALID that names the field. */
export function readEgress(text: string): EgressHost {
  return readRecord(EgressRecord, parseJson(text), 'egress');
}

/** Throws RegistryError INVALID that names the field. */
export function readTelemetry(text: string): TelemetryConfig {
  return readRecord(TelemetryRecord, parseJson(text), 'telemetry');
}

/**
 * What the store holds of a declaration, by key. `services`: by key; `addresses`: of each, by `<namespace>/<name>`. Throws RegistryError INVALID that names the field:
 * what cannot be read back must not be written.
 */
export function declaredValues(
  services: ReadonlyMap<string, Service>,
  addresses: ReadonlyMap<string, string>,
  egress: readonly EgressHost[],
  telemetry: TelemetryConfig,
): Map<string, string> {
  const values = new Map<string, string>();
  for (const [key, service] of services)
    values.set(key, JSON.stringify({ ...service, virtualAddress: addresses.get(serviceKey(service)) }));
  for (const host of egress) values.set(egressStoreKey(host), JSON.stringify(host));
  if (Object.keys(telemetry).length === 0) return values;
  const text = JSON.stringify(telemetry);
  readTelemetry(text);
  return values.set(TELEMETRY_KEY, text);
}

/** Virtual addresses that services have, by `<namespace>/<name>`. Records that cannot be read hold none. */
export function heldAddresses(entries: readonly StoreEntry[]): Map<string, string> {
  const held = new Map<string, string>();
  for (const { value } of entries) {
    try {
      // Nothing else is read: there may be many, and what is wrong with the rest is told elsewhere.
      const { namespace, name, virtualAddress } = parseJson(value) as Readonly<Record<string, unknown>>;
      if (typeof namespace !== 'string' || typeof name !== 'string') continue;
      if (typeof virtualAddress === 'string' && isVirtualAddress(virtualAddress)) held.set(serviceKey({ namespace, name }), virtualAddress);
    } catch {
      // The view has logged it; the declaration that is going on replaces it.
    }
  }
  return held;
}

/** Throws RegistryError INVALID that names the field. `what`: of what the record is. */
export function readRecord<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [first = { path: '', message: 'is wrong' }] = result.error.issues.flatMap(faultsOf);
  const place = first.path === '' || first.path.startsWith('[') ? `${what}${first.path}` : `${what}.${first.path}`;
  throw invalid(place, first.message);
}

/** Fields that versions before did not write. What they did not do then, they do not do now; the next declaration says what is wanted. */
function current(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { balance, retry, ...rest } = value as Readonly<Record<string, unknown>>;
  return {
    metadata: {},
    ports: {},
    idleTimeoutMs: 0,
    retryBudget: DEFAULT_RETRY_BUDGET,
    breaker: NO_BREAKER,
    hash: [],
    rateLimits: [],
    rules: [],
    ...rest,
    balance: balance === 'round-robin' ? { ...DEFAULT_BALANCE, algorithm: balance, locality: 'any' } : balance,
    retry: isObject(retry) ? { ...NO_RETRY, backoff: DEFAULT_RETRY_BACKOFF, ...retry } : retry,
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
