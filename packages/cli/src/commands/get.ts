// `heddle get`: what the control plane knows, once or at every change.
import { formatLocality, type Instance, type ServiceRef } from '@heddle/core';
import type { admin } from '@heddle/api';
import type { ControlClient } from '../control-client.ts';
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatAge, formatData, formatTable, type Column } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';
import { RegistryWatch } from '../registry-watch.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { readProcesses } from '../supervisor/leftovers.ts';
import { listenForStop } from '../signals.ts';
import { getAudit, type AuditOptions } from './get-audit.ts';
import { getEvents } from './get-events.ts';
import { LOAD_COLUMNS, loadRow } from './get-load.ts';
import { policyRow, policyText } from './get-policies.ts';
import { ROUTE_COLUMNS, routeRow } from './get-routes.ts';
import { identitiesText } from './identity-list.ts';

type Listed = 'services' | 'instances' | 'routes' | 'policies' | 'proxies' | 'identities' | 'load';
export type Kind = Listed | 'events' | 'audit';

/** Proxies report every 10 s, not all at once. */
const LOAD_WATCH_MS = 2_000;

export interface GetOptions extends AuditOptions {
  readonly output: OutputFormat;
  readonly watch: boolean;
  /** Of services, instances, routes, policies, events and the audit log only this one's. */
  readonly service?: string;
  readonly namespace: string;
  readonly stateDir?: string;
}

export async function get(kind: Kind, options: GetOptions): Promise<ExitCode> {
  const { output, service, namespace } = options;
  if (service !== undefined && (kind === 'proxies' || kind === 'identities' || kind === 'load'))
    throw new CliError(`${kind} are not of one service`, 'leave out --service', { exitCode: 2 });
  const directory = requireStateDirectory(options.stateDir);
  const only = service === undefined ? undefined : { namespace, name: service };
  refuseAuditOptions(kind, options);
  if (kind === 'events') return getEvents({ directory, output, watch: options.watch, only });
  if (kind === 'audit') return getAudit({ ...options, directory, only });
  if (options.watch) return watch(kind, directory, output, only);
  const control = openControl(directory);
  try {
    // A list of nothing would hide a slip of the finger.
    if (only !== undefined) await (await import('./describe-service.ts')).serviceNamed(only, control);
    process.stdout.write(await render(kind, control, directory, output, false, only));
    return 0;
  } finally {
    control.close();
  }
}

function refuseAuditOptions(kind: Kind, options: GetOptions): void {
  if (kind === 'audit') {
    if (options.watch) throw new CliError('the audit log cannot be watched', 'leave out --watch', { exitCode: 2 });
    return;
  }
  for (const option of ['who', 'action', 'outcome', 'since', 'limit'] as const)
    if (options[option] !== undefined)
      throw new CliError(`--${option} is for the audit log`, 'use it with `heddle get audit`', { exitCode: 2 });
}

async function watch(kind: Listed, directory: string, output: OutputFormat, only: ServiceRef | undefined): Promise<ExitCode> {
  // The first list must come: a mesh that is not there is an error, one that goes away later is waited for.
  const control = openControl(directory);
  const clear = output === 'table' && process.stdout.isTTY ? '\u001b[H\u001b[2J' : '';
  using stop = listenForStop();
  let shown = '';
  const show = (text: string): void => {
    if (text === shown) return;
    shown = text;
    process.stdout.write(`${clear}${clear === '' && output === 'table' ? `${new Date().toISOString()}\n` : ''}${text}`);
  };
  show(await render(kind, control, directory, output, true, only));
  const lost = (reason: string): void => void process.stderr.write(`the control plane does not answer: ${reason}; waiting for it\n`);
  // Another connection than `control`: this one is made anew whenever it breaks.
  const following = new RegistryWatch({
    open: () => openControl(directory),
    ask: (client) => render(kind, client, directory, output, true, only),
    onAnswer: show,
    onLost: lost,
  });
  // Load and certificates change without the registry or the proxies.
  const again = (): void => void render(kind, control, directory, output, true, only).then(show, (error: Error) => lost(error.message));
  const looking = kind === 'load' || kind === 'identities' ? setInterval(again, LOAD_WATCH_MS) : undefined;
  await stop.asked;
  clearInterval(looking);
  following.close();
  control.close();
  return 0;
}

async function render(
  kind: Listed,
  control: ControlClient,
  directory: string,
  output: OutputFormat,
  oneOfMany: boolean,
  only: ServiceRef | undefined,
): Promise<string> {
  const palette = paletteFor(process.stdout, process.env);
  if (kind === 'services') return put(serviceRows(await control.services(), only), serviceColumns(palette), output, oneOfMany, palette);
  if (kind === 'routes') return put((await control.routes(only)).map(routeRow), ROUTE_COLUMNS, output, oneOfMany, palette);
  if (kind === 'policies') {
    const policies = await control.policies(only);
    if (output === 'table') return policyText(policies, palette);
    return formatData({ ...policies, rules: policies.rules.map(policyRow) }, output, oneOfMany);
  }
  if (kind === 'identities') return identitiesText(control, output, palette, oneOfMany);
  if (kind === 'load') return put((await control.loads()).map(loadRow), LOAD_COLUMNS, output, oneOfMany, palette);
  if (kind === 'proxies') return put((await control.proxies()).map(proxyRow), proxyColumns(palette), output, oneOfMany, palette);
  const pids = new Map(readProcesses(directory).flatMap(({ workload, pid }) => (workload === undefined ? [] : [[workload, pid] as const])));
  return put(
    (await control.instances(only)).map((instance) => instanceRow(instance, pids)),
    instanceColumns(palette),
    output,
    oneOfMany,
    palette,
  );
}

function put<Row extends object>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  output: OutputFormat,
  oneOfMany: boolean,
  palette: Palette,
): string {
  if (output !== 'table') return formatData(rows, output, oneOfMany);
  return rows.length === 0 ? 'none\n' : formatTable(columns, rows, palette);
}

type ListedService = Awaited<ReturnType<ControlClient['services']>>[number];

function serviceRows(services: readonly ListedService[], only: ServiceRef | undefined) {
  const wanted = services.filter(({ namespace, name }) => only === undefined || (namespace === only.namespace && name === only.name));
  return wanted.map(({ namespace, name, port, protocol, labels, metadata, ports, instances }) => ({
    namespace,
    name,
    port,
    protocol,
    labels,
    metadata,
    ports,
    versions: [...new Set(instances.map(({ version }) => version).filter((version) => version !== ''))].sort(),
    instances: instances.length,
    healthy: instances.filter(({ health }) => health === 'healthy').length,
  }));
}
type ServiceRow = ReturnType<typeof serviceRows>[number];

function serviceColumns(palette: Palette): Column<ServiceRow>[] {
  return [
    { title: 'NAMESPACE', cell: ({ namespace }) => namespace },
    { title: 'SERVICE', cell: ({ name }) => name },
    { title: 'PORT', cell: ({ port }) => String(port) },
    { title: 'PROTOCOL', cell: ({ protocol }) => protocol },
    { title: 'VERSIONS', cell: ({ versions }) => (versions.length === 0 ? '-' : versions.join(', ')) },
    {
      title: 'HEALTHY',
      cell: ({ healthy, instances }) => (healthy === instances && healthy > 0 ? palette.good : palette.bad)(`${healthy}/${instances}`),
    },
  ];
}

function instanceRow(instance: Instance, pids: ReadonlyMap<string, number>) {
  const { service, id, node, inbound, application, version, labels, metadata, ports, locality, weight, health, healthReason } = instance;
  const pid = pids.get(`${service.namespace}/${service.name}/${id}`);
  return {
    namespace: service.namespace,
    service: service.name,
    instance: id,
    health,
    healthReason,
    pid: pid ?? null,
    inbound,
    application,
    node,
    version,
    labels,
    metadata,
    ports,
    locality: locality ?? null,
    weight,
    revision: instance.revision,
  };
}
type InstanceRow = ReturnType<typeof instanceRow>;

export function instanceColumns(palette: Palette): Column<InstanceRow>[] {
  const color = { healthy: palette.good, starting: palette.warn, draining: palette.warn, unhealthy: palette.bad };
  return [
    { title: 'INSTANCE', cell: ({ instance }) => instance },
    { title: 'SERVICE', cell: ({ namespace, service }) => (namespace === 'default' ? service : `${namespace}/${service}`) },
    { title: 'HEALTH', cell: ({ health }) => color[health](health) },
    { title: 'PID', cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
    { title: 'INBOUND', cell: ({ inbound }) => socket(inbound) },
    { title: 'NODE', cell: ({ node }) => node },
    { title: 'VERSION', cell: ({ version }) => (version === '' ? '-' : version) },
    { title: 'LOCALITY', cell: ({ locality }) => (locality === null ? '-' : formatLocality(locality)) },
    { title: 'REASON', cell: ({ healthReason }) => healthReason },
  ];
}

function socket({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function proxyRow(proxy: admin.ProxyMessage) {
  const { node, identity, flavour, userAgent, service, connectedMs, heldHash, givenHash, reportedHash, reportedMs } = proxy;
  const kinds = proxy.sync.map((state) => ({
    kind: state.kind,
    resources: state.sentResources,
    state: state.rejection !== '' ? 'rejected' : state.sentVersion === state.ackedVersion ? 'in sync' : 'behind',
    sentVersion: state.sentVersion,
    ackedVersion: state.ackedVersion,
    acked: isoTime(state.ackedMs),
    behindSince: isoTime(state.behindSinceMs),
    heldHash: state.heldHash,
    givenHash: state.givenHash,
    rejection: state.rejection,
  }));
  return {
    node,
    flavour,
    agent: userAgent,
    identity,
    service,
    connected: new Date(connectedMs).toISOString(),
    acked: isoTime(Math.max(0, ...proxy.sync.map(({ ackedMs }) => ackedMs))),
    heldHash,
    givenHash,
    reported: reportedHash === '' ? null : { hash: reportedHash, time: new Date(reportedMs).toISOString() },
    inSync: kinds.every(({ state }) => state === 'in sync'),
    sync: kinds,
  };
}

function isoTime(wallMs: number): string | null {
  return wallMs === 0 ? null : new Date(wallMs).toISOString();
}

export type ProxyRow = ReturnType<typeof proxyRow>;

function proxyColumns(palette: Palette): Column<ProxyRow>[] {
  return [
    { title: 'NODE', cell: ({ node }) => node },
    { title: 'AGENT', cell: ({ agent, flavour }) => (agent === '' ? flavour : agent) },
    { title: 'BY', cell: ({ service }) => service },
    { title: 'IDENTITY', cell: ({ identity }) => identity },
    { title: 'CONNECTED', cell: ({ connected }) => sinceThen(connected) },
    { title: 'ACKED', cell: ({ acked }) => (acked === null ? 'never' : sinceThen(acked)) },
    { title: 'HASH', cell: ({ heldHash }) => heldHash },
    { title: 'SYNC', cell: (row) => (row.inSync ? palette.good('in sync') : palette.bad(syncTrouble(row))) },
  ];
}

/** Which kinds of configuration the proxy has not applied, and why. */
export function syncTrouble({ sync }: ProxyRow): string {
  const trouble = sync.filter(({ state }) => state !== 'in sync');
  return trouble
    .map(({ kind, state, rejection, behindSince }) => {
      const since = behindSince === null ? '' : ` for ${sinceThen(behindSince)}`;
      return `${kind} ${state}${since}${rejection === '' ? '' : `: ${rejection}`}`;
    })
    .join('; ');
}

/** How long ago it was. */
export function sinceThen(time: string): string {
  return formatAge(Date.now() - Date.parse(time));
}

export { proxyRow };
