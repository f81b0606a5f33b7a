// From a file that is known to be right to the configuration it means: durations in milliseconds, every default filled in.
import { isAbsolute, join } from 'node:path';
import type { HealthCheckPolicy, Protocol, Service } from '../model/service.ts';
import { DEFAULT_NAMESPACE } from '../model/service.ts';
import { parseDuration } from './duration.ts';
import type { Path } from './fault.ts';
import type { MeshConfig, RunConfig, ServiceConfig } from './mesh.ts';
import type { HealthOutput, MeshFileOutput, ServiceOutput } from './schema.ts';
import { RETRY_CONDITIONS } from './schema.ts';

/** How a scalar was written in the file; undefined for texts. */
type TextOf = (path: Path) => string | undefined;

export function buildMesh(file: MeshFileOutput, directory: string, textOf: TextOf): MeshConfig {
  // One object for each name: with all others as the default, every service names every service.
  const refs = Object.keys(file.services).map((name) => ({ namespace: DEFAULT_NAMESPACE, name }));
  const refOf = new Map(refs.map((ref) => [ref.name, ref]));
  const services = Object.entries(file.services).map(([name, service]): ServiceConfig => {
    const path = ['services', name];
    const run = buildRun(service, directory, textOf, path);
    // Only a process that Heddle starts is told where they are.
    const others = run === undefined ? [] : refs.filter((ref) => ref.name !== name);
    const uses = service.uses?.flatMap((used) => refOf.get(used) ?? []) ?? others;
    return { service: buildService(name, service, textOf, path), ...(run && { run }), uses };
  });
  return deepFreeze({
    name: file.mesh,
    trustDomain: file.trustDomain ?? file.mesh,
    anonymousCalls: file.security.anonymousCalls,
    discovery: { keepOnMassExpiry: file.discovery.keepOnMassExpiry },
    services,
  });
}

function buildService(name: string, input: ServiceOutput, textOf: TextOf, path: Path): Service {
  return {
    namespace: DEFAULT_NAMESPACE,
    name,
    port: input.port,
    protocol: input.protocol,
    labels: texts(input.labels, textOf, [...path, 'labels']),
    metadata: texts(input.metadata, textOf, [...path, 'metadata']),
    ports: { ...input.ports },
    health: buildHealth(input.health),
    ...buildTraffic(input),
  };
}

export function buildHealth(health: HealthOutput): HealthCheckPolicy {
  const intervalMs = milliseconds(health.interval);
  const kind = health.http === undefined ? { kind: 'tcp' as const } : { kind: 'http' as const, path: health.http };
  const limits = { unhealthyAfter: health.unhealthyAfter, healthyAfter: health.healthyAfter };
  const timeoutMs = health.timeout === undefined ? Math.min(1_000, intervalMs) : milliseconds(health.timeout);
  return { ...kind, intervalMs, timeoutMs, ...limits };
}

type TrafficOutput = Pick<ServiceOutput, 'balance' | 'timeout' | 'connectTimeout' | 'retry'> & { readonly protocol: Protocol };

export function buildTraffic(input: TrafficOutput): Pick<Service, 'balance' | 'timeoutMs' | 'connectTimeoutMs' | 'retry'> {
  // A byte stream has no requests to limit or repeat.
  const hasRequests = input.protocol !== 'tcp' && input.protocol !== 'tls';
  // gRPC calls carry their callers' time limit, and a streaming one may go on for days.
  const timeout = input.timeout ?? (input.protocol === 'grpc' ? 0 : '15s');
  return {
    balance: input.balance,
    timeoutMs: hasRequests ? milliseconds(timeout) : 0,
    connectTimeoutMs: milliseconds(input.connectTimeout),
    retry: hasRequests ? buildRetry(input) : { attempts: 0, on: [] },
  };
}

function buildRetry({ retry, protocol }: Pick<TrafficOutput, 'retry' | 'protocol'>): Service['retry'] {
  if (retry === 'off') return { attempts: 0, on: [] };
  // A gRPC library would repeat calls that an application may have seen: only where somebody has asked for it.
  return retry ?? { attempts: 2, on: RETRY_CONDITIONS.filter((condition) => condition !== 'reset' || protocol !== 'grpc') };
}

function buildRun(input: ServiceOutput, directory: string, textOf: TextOf, path: Path): RunConfig | undefined {
  if (input.run === undefined) return undefined;
  const cwd = input.cwd ?? '.';
  return {
    command: input.run,
    directory: isAbsolute(cwd) ? cwd : join(directory, cwd),
    environment: texts(input.env ?? {}, textOf, [...path, 'env']),
    replicas: input.replicas ?? 1,
    needs: input.needs ?? [],
    stopTimeoutMs: milliseconds(input.stopTimeout ?? '10s'),
    version: input.version === undefined ? '' : (textOf([...path, 'version']) ?? String(input.version)),
  };
}

function texts(values: Readonly<Record<string, string | number | boolean>>, textOf: TextOf, path: Path): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, textOf([...path, key]) ?? String(value)]));
}

function milliseconds(duration: string | 0): number {
  return parseDuration(duration) as number;
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
