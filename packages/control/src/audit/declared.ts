// What reading a mesh file changed, for the audit log: one line each, with what it was and what it is.
import { serviceKey } from '@heddle/core';
import type { EgressHost, MeshConfig, SecurityConfig, Service, TelemetryConfig } from '@heddle/core';
import { egressStoreKey } from '../registry/keys.ts';
import { tellEgress, tellSecurity, tellService, tellTelemetry } from '../registry/story.ts';

/** The part of the registry that a mesh file declares. */
export interface Declared {
  readonly services: Iterable<Service>;
  readonly egress: readonly EgressHost[];
  readonly security: SecurityConfig;
  readonly telemetry: TelemetryConfig;
}

/** More lines than anybody reads; the rest is counted. */
const LINES_MAX = 200;

export function declaredBy({ services, egress, security, telemetry }: MeshConfig): Declared {
  return { services: services.map(({ service }) => service), egress, security, telemetry };
}

/** Empty: nothing changed. */
export function declaredChanges(before: Declared, after: Declared): string[] {
  const lines: string[] = [];
  const note = (what: string, told: { readonly message: string } | undefined): void => {
    if (told !== undefined) lines.push(`${what}: ${told.message}`);
  };
  note('security', tellSecurity(before.security, after.security));
  note('telemetry', tellTelemetry(before.telemetry, after.telemetry));
  const [was, is] = [byKey(before.services), byKey(after.services)];
  // The virtual address is the registry's own.
  for (const [key, service] of is) note(`service ${key}`, tellService(plain(was.get(key)), plain(service)));
  for (const [key, service] of was) if (!is.has(key)) note(`service ${key}`, tellService(service, undefined));
  const [hosts, now] = [new Map(before.egress.map(hostEntry)), new Map(after.egress.map(hostEntry))];
  for (const [key, host] of now) note(`egress ${host.host}:${host.port}`, tellEgress(hosts.get(key), host));
  for (const [key, host] of hosts) if (!now.has(key)) note(`egress ${host.host}:${host.port}`, tellEgress(host, undefined));
  return lines.length <= LINES_MAX ? lines : [...lines.slice(0, LINES_MAX), `and ${lines.length - LINES_MAX} more`];
}

function byKey(services: Iterable<Service>): Map<string, Service> {
  return new Map(Array.from(services, (service) => [serviceKey(service), service]));
}

function hostEntry(host: EgressHost): [string, EgressHost] {
  return [egressStoreKey(host), host];
}

function plain(service: Service | undefined): Service | undefined {
  if (service === undefined) return undefined;
  const { virtualAddress: _, ...rest } = service;
  return rest;
}
