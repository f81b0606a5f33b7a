// What `heddle up` shows once everything runs: what there is, where it is, and three things to try.
import type { MeshConfig } from '@heddle/core';
import { formatTable } from '../output/format.ts';
import type { Palette } from '../output/palette.ts';

export interface ReadyInstance {
  readonly service: string;
  readonly id: string;
  readonly pid: number | undefined;
  readonly healthy: boolean;
  /** Why not, when not. */
  readonly reason: string;
}

export interface ReadyFacts {
  readonly mesh: MeshConfig;
  readonly instances: readonly ReadyInstance[];
  /** Services that were left out, with the programs that are missing. */
  readonly leftOut: ReadonlyMap<string, readonly string[]>;
  readonly stateDirectory: string;
  readonly controlPort: number;
  /** Undefined: it serves no names. */
  readonly dnsPort: number | undefined;
  readonly proxyPort: number;
  readonly adminPort: number;
  /** Undefined: there is no REST API. */
  readonly restPort: number | undefined;
  /** With what logs a browser in once, where that may be shown; empty: only its address. */
  readonly dashboardLink: string;
  /** How a person runs a Heddle command from here, with what it needs to find this mesh. */
  readonly command: string;
  readonly commandOptions: string;
}

export function readyBlock(facts: ReadyFacts, palette: Palette): string {
  const { mesh, instances } = facts;
  const unhealthy = instances.filter(({ healthy }) => !healthy);
  const head =
    unhealthy.length === 0
      ? palette.good(
          `ready: mesh ${mesh.name}, ${plural(instances.length, 'instance')} of ${plural(new Set(instances.map(({ service }) => service)).size, 'service')}, all healthy`,
        )
      : `${palette.warn(`ready: mesh ${mesh.name}, except for ${unhealthy.length} of ${plural(instances.length, 'instance')}:`)}\n${unhealthy.map(({ id, reason }) => `  ${id} ${reason}`).join('\n')}`;
  return `\n${head}\n\n${serviceTable(facts, palette)}\n${addresses(facts)}\n${palette.bold('Try:')}\n${thingsToTry(facts).join('\n')}\n\n`;
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

function serviceTable({ mesh, instances, leftOut }: ReadyFacts, palette: Palette): string {
  const rows = mesh.services.map(({ service, run }) => {
    const own = instances.filter((instance) => instance.service === service.name);
    const missing = leftOut.get(service.name);
    const names =
      missing !== undefined
        ? `left out: needs ${missing.join(', ')}`
        : run === undefined
          ? 'started by somebody else'
          : own.map(({ id, pid }) => `${id} (${pid ?? 'down'})`).join(', ');
    return {
      name: service.name,
      port: String(service.port),
      protocol: service.protocol,
      healthy: `${own.filter(({ healthy }) => healthy).length}/${own.length}`,
      names,
    };
  });
  return formatTable(
    [
      { title: 'SERVICE', cell: ({ name }) => name },
      { title: 'PORT', cell: ({ port }) => port },
      { title: 'PROTOCOL', cell: ({ protocol }) => protocol },
      { title: 'HEALTHY', cell: ({ healthy }) => healthy },
      { title: 'INSTANCES (PROCESS)', cell: ({ names }) => names },
    ],
    rows,
    palette,
  );
}

function addresses({ controlPort, dnsPort, proxyPort, adminPort, restPort, stateDirectory }: ReadyFacts): string {
  return [
    `HTTP proxy     http://127.0.0.1:${proxyPort}`,
    `proxy admin    http://127.0.0.1:${adminPort}/metrics`,
    `control plane  127.0.0.1:${controlPort} (gRPC, TLS)`,
    ...(dnsPort === undefined ? [] : [`names by DNS   127.0.0.1:${dnsPort} (UDP and TCP)`]),
    ...(restPort === undefined
      ? []
      : [`dashboard      http://127.0.0.1:${restPort}/`, `REST API       http://127.0.0.1:${restPort}/api/v1/openapi.json`]),
    `state          ${stateDirectory}`,
    '',
  ].join('\n');
}

/** With real names and process ids: lines to copy. */
function thingsToTry({ mesh, instances, proxyPort, restPort, dashboardLink, command, commandOptions }: ReadyFacts): string[] {
  const http = mesh.services.filter(({ service, run }) => service.protocol === 'http' && (run?.replicas ?? 0) > 0);
  // The service with the most instances shows balancing best.
  const most = http.toSorted((a, b) => (b.run?.replicas ?? 0) - (a.run?.replicas ?? 0))[0]?.service;
  const shown = most?.name;
  const victim =
    instances.filter(({ service, pid, healthy }) => healthy && pid !== undefined && service === shown).at(-1) ??
    instances.find(({ pid }) => pid !== undefined);
  const others = instances.filter(({ service, id, healthy }) => healthy && service === victim?.service && id !== victim.id).length;
  const lines: [string, string][] = [];
  if (shown !== undefined)
    lines.push([
      `curl -x http://127.0.0.1:${proxyPort} http://${shown}.mesh.internal/`,
      others === 0
        ? 'it answers through the mesh'
        : `again and again: ${most?.balance.algorithm === 'round-robin' ? 'another instance answers each time' : 'its instances share the calls'}`,
    ]);
  if (victim !== undefined)
    lines.push([
      `kill -9 ${victim.pid}`,
      `${victim.id} dies, ${others === 0 ? 'and is started again' : 'nobody notices, and it comes back'}`,
    ]);
  if (restPort === undefined) lines.push([`${command} get instances --watch${commandOptions}`, 'in another terminal']);
  else if (dashboardLink !== '') lines.push([dashboardLink, 'the dashboard: this link logs you in once, within 10 minutes']);
  else lines.push([`${command} dashboard${commandOptions}`, 'prints a link to the dashboard that logs you in']);
  const width = Math.max(...lines.map(([line]) => line.length));
  return lines.map(([line, about]) => `  ${line.padEnd(width)}   # ${about}`);
}
