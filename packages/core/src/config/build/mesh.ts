// From a file that is known to be right to the configuration it means: durations in milliseconds, every default filled in.
import { isAbsolute, join } from 'node:path';
import type { Service, ServiceRef } from '../../model/service.ts';
import { DEFAULT_NAMESPACE } from '../../model/service.ts';
import type { EgressHost, ServiceRateLimit } from '../../model/traffic.ts';
import type { Path } from '../fault.ts';
import type { MeshConfig, RunConfig, ServiceConfig } from '../mesh.ts';
import type { MeshFileOutput, ServiceOutput } from '../schema/mesh.ts';
import { buildMatch } from './match.ts';
import { buildRules } from './rules.ts';
import { buildSecurity } from './security.ts';
import { buildServiceTelemetry, buildTelemetry } from './telemetry.ts';
import { buildHealth, buildRateLimit, buildTraffic } from './traffic.ts';
import { deepFreeze, listAt, milliseconds, textsAt, type TextOf } from './values.ts';

const EGRESS_PORTS = { http: 80, https: 443, tcp: 0 };

/** @param contentOf gives what is in a file that was read, by its name in the configuration. */
export function buildMesh(file: MeshFileOutput, directory: string, textOf: TextOf, contentOf: (name: string) => string): MeshConfig {
  // One object for each name: with all others as the default, every service names every service.
  const refs = Object.keys(file.services).map((name) => ({ namespace: DEFAULT_NAMESPACE, name }));
  const refOf = new Map(refs.map((ref) => [ref.name, ref]));
  const services = Object.entries(file.services).map(([name, service]): ServiceConfig => {
    const run = buildRun(service, directory, textOf, ['services', name]);
    // Only a process that Heddle starts is told where they are.
    const others = run === undefined ? [] : refs.filter((ref) => ref.name !== name);
    const uses = service.uses?.flatMap((used) => refOf.get(used) ?? []) ?? others;
    const built = buildService(name, service, textOf);
    return { service: { ...built, rules: rulesOf(built, file, refOf, textOf) }, ...(run && { run }), uses };
  });
  const egress = file.egress.map(
    ({ host, port, protocol }): EgressHost => ({ host: host.toLowerCase(), port: port ?? EGRESS_PORTS[protocol], protocol }),
  );
  const trustDomain = file.trustDomain ?? file.mesh;
  return deepFreeze({
    name: file.mesh,
    trustDomain,
    anonymousCalls: file.security.anonymousCalls,
    discovery: { keepOnMassExpiry: file.discovery.keepOnMassExpiry },
    services,
    security: buildSecurity(file.security, { trustDomain, egress, directory, contentOf, textOf }),
    egress,
    telemetry: buildTelemetry(file.telemetry, { directory, textOf }, ['telemetry']),
  });
}

function buildService(name: string, input: ServiceOutput, textOf: TextOf): Service {
  const path = ['services', name];
  return {
    namespace: DEFAULT_NAMESPACE,
    name,
    port: input.port,
    protocol: input.protocol,
    labels: textsAt(input.labels, textOf, [...path, 'labels']),
    metadata: textsAt(input.metadata, textOf, [...path, 'metadata']),
    ports: { ...input.ports },
    health: buildHealth(input.health),
    ...buildTraffic(input),
    ...(input.mtls !== undefined && { mtls: input.mtls }),
    ...(input.telemetry && { telemetry: buildServiceTelemetry(input.telemetry) }),
    rateLimits: listAt(input.rateLimit, [...path, 'rateLimit']).map(
      ({ item, path: inside }): ServiceRateLimit => ({
        ...buildRateLimit(item),
        ...(item.match && { match: buildMatch(item.match, textOf, [...inside, 'match']) }),
      }),
    ),
    rules: [],
  };
}

function rulesOf(service: Service, { routes }: MeshFileOutput, refs: ReadonlyMap<string, ServiceRef>, textOf: TextOf): Service['rules'] {
  const index = routes.findIndex((route) => route.service === service.name);
  const refOf = (name: string): ServiceRef => refs.get(name) as ServiceRef;
  return buildRules(routes[index]?.rules ?? [], { service, refOf, textOf }, ['routes', index, 'rules']);
}

function buildRun(input: ServiceOutput, directory: string, textOf: TextOf, path: Path): RunConfig | undefined {
  if (input.run === undefined) return undefined;
  const cwd = input.cwd ?? '.';
  return {
    command: input.run,
    directory: isAbsolute(cwd) ? cwd : join(directory, cwd),
    environment: textsAt(input.env ?? {}, textOf, [...path, 'env']),
    replicas: input.replicas ?? 1,
    needs: input.needs ?? [],
    stopTimeoutMs: milliseconds(input.stopTimeout ?? '10s'),
    version: input.version === undefined ? '' : (textOf([...path, 'version']) ?? String(input.version)),
  };
}
