// `heddle describe instance`: everything that the control plane knows of one instance: what it is, what the verdict about it is made from, who has
// been told, and what has happened to it.
import type { admin } from '@heddle/api';
import { formatLocality, serviceKey } from '@heddle/core';
import type { Instance, SocketAddress } from '@heddle/core';
import { openControl, type ControlClient } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatAge, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { readProcesses } from '../supervisor/leftovers.ts';
import { evidenceOf } from './describe-instance-call.ts';
import { instanceNamed } from './drain.ts';
import { proxyRow, sinceThen } from './get.ts';

export interface DescribeInstanceOptions {
  /** Of which service, where several have an instance of this name. */
  readonly service?: string;
  readonly namespace: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export interface InstanceDescription {
  readonly instance: Instance;
  readonly pid: number | null;
  /** The worst first. */
  readonly reasons: readonly Reason[];
  readonly told: Told;
  readonly events: readonly DescribedEvent[];
}

interface Reason {
  readonly source: string;
  readonly detector: string | null;
  readonly health: string;
  readonly text: string;
}

/** Who routes by what is said here: data planes by how far they are with the endpoints that they were given. */
interface Told {
  readonly dataPlanes: number;
  readonly applied: number;
  readonly behind: readonly { readonly node: string; readonly since: string | null; readonly rejection: string }[];
  /** Whether the data plane that hosts the instance is connected. */
  readonly hostConnected: boolean;
}

interface DescribedEvent {
  readonly time: string;
  readonly kind: string;
  readonly message: string;
}

/** The newest ones. */
const EVENTS_MAX = 10;
const TITLE_WIDTH = 13;

export async function describeInstance(name: string, options: DescribeInstanceOptions): Promise<ExitCode> {
  const { service, namespace, output } = options;
  const directory = requireStateDirectory(options.stateDir);
  const control = openControl(directory);
  try {
    const description = await look(service === undefined ? name : `${namespace}/${service}/${name}`, control, directory);
    process.stdout.write(
      output === 'table' ? describe(description, paletteFor(process.stdout, process.env)) : formatData(description, output),
    );
    return 0;
  } finally {
    control.close();
  }
}

async function look(name: string, control: ControlClient, directory: string): Promise<InstanceDescription> {
  const found = await instanceNamed(name, control);
  const workload = `${serviceKey(found.service)}/${found.id}`;
  const [{ instance, reasons }, proxies, { events }] = await Promise.all([
    evidenceOf(found, directory, control.info),
    control.proxies(),
    control.events({ subject: workload }),
  ]);
  return {
    instance,
    pid: readProcesses(directory).find((record) => record.workload === workload)?.pid ?? null,
    reasons: reasons.map(({ source, detector, health, text }) => ({ source, detector: detector === '' ? null : detector, health, text })),
    told: toldTo(proxies, instance),
    events: events.slice(-EVENTS_MAX).map(({ timeMs, kind, message }) => ({ time: new Date(timeMs).toISOString(), kind, message })),
  };
}

function toldTo(proxies: readonly admin.ProxyMessage[], { node }: Instance): Told {
  const states = proxies.map(proxyRow).flatMap((proxy) => {
    const endpoints = proxy.sync.find(({ kind }) => kind === 'endpoints');
    return endpoints === undefined
      ? []
      : [{ node: proxy.node, state: endpoints.state, since: endpoints.behindSince, rejection: endpoints.rejection }];
  });
  const behind = states.filter(({ state }) => state !== 'in sync');
  return {
    dataPlanes: states.length,
    applied: states.length - behind.length,
    behind: behind.map(({ node: of, since, rejection }) => ({ node: of, since, rejection })),
    hostConnected: proxies.some((proxy) => proxy.node === node),
  };
}

export function describe({ instance, pid, reasons, told, events }: InstanceDescription, palette: Palette): string {
  const { service, id, node, inbound, application, version, labels, metadata, ports, outbounds, locality, weight, health, healthReason } =
    instance;
  const color = colorOf(palette);
  const facts: (readonly [string, string])[] = [
    ['Instance', `${serviceKey(service)}/${id}`],
    ['Health', `${color(health)(health)}${healthReason === '' ? '' : `: ${healthReason}`}`],
    ['Node', `${node}${told.hostConnected ? '' : palette.warn(', which is not connected')}`],
    ['Inbound', place(inbound)],
    ['Application', place(application)],
    ...(pid === null ? [] : [['Process', String(pid)] as const]),
    ['Version', version],
    ['Labels', pairs(labels)],
    ['Metadata', pairs(metadata)],
    ['Ports', pairs(ports)],
    ['Calls', outbounds.map(({ service: used, listen }) => `${serviceKey(used)} by ${place(listen)}`).join(', ')],
    ['Locality', locality === undefined ? '' : formatLocality(locality)],
    ['Weight', String(weight)],
    ['Revision', String(instance.revision)],
    ['Told', toldText(told, palette)],
  ];
  const shown = facts.filter(([, value]) => value !== '');
  const sections = [shown.map(([title, value]) => `${palette.bold(title.padEnd(TITLE_WIDTH))}${value}\n`).join('')];
  if (reasons.length > 0) sections.push(reasonTable(reasons, palette));
  sections.push(events.length === 0 ? 'no events of it are kept\n' : eventTable(events, palette));
  return sections.join('\n');
}

function toldText({ dataPlanes, applied, behind }: Told, palette: Palette): string {
  if (dataPlanes === 0) return 'no data plane follows endpoints';
  const all = `${dataPlanes} data ${dataPlanes === 1 ? 'plane' : 'planes'}`;
  if (behind.length === 0)
    return palette.good(`${all}, ${dataPlanes === 1 ? 'which has' : 'all of which have'} applied the newest endpoints`);
  const late = behind.map(({ node, since, rejection }) => {
    const forLong = since === null ? '' : ` for ${sinceThen(since)}`;
    return `${node}${forLong}${rejection === '' ? '' : `, which rejected them: ${rejection}`}`;
  });
  return `${applied} of ${all} have applied the newest endpoints; ${palette.warn(`behind: ${late.join('; ')}`)}`;
}

function reasonTable(reasons: readonly Reason[], palette: Palette): string {
  const color = colorOf(palette);
  return formatTable(
    [
      { title: 'EVIDENCE', cell: ({ source, detector }) => (detector === null ? source : `${source} by ${detector}`) },
      { title: 'SAYS', cell: ({ health }) => color(health)(health) },
      { title: 'BECAUSE', cell: ({ text }) => text },
    ],
    reasons,
    palette,
  );
}

function eventTable(events: readonly DescribedEvent[], palette: Palette): string {
  return formatTable(
    [
      { title: 'AGO', cell: ({ time }) => formatAge(Date.now() - Date.parse(time)) },
      { title: 'EVENT', cell: ({ kind }) => kind },
      { title: 'MESSAGE', cell: ({ message }) => message },
    ],
    events,
    palette,
  );
}

function colorOf({ good, warn, bad }: Palette): (health: string) => (text: string) => string {
  return (health) => (health === 'healthy' ? good : health === 'unhealthy' ? bad : warn);
}

function place({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function pairs(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}
