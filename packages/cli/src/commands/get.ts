// `heddle get`: what the control plane knows, once or at every change.
import type { Instance } from '@heddle/core';
import type { admin } from '@heddle/api';
import type { ControlClient } from '../control-client.ts';
import { openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatAge, formatData, formatTable, type Column } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';
import { RegistryWatch } from '../registry-watch.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { readProcesses } from '../supervisor/leftovers.ts';
import { listenForStop } from '../signals.ts';

export type Kind = 'services' | 'instances' | 'proxies';

export interface GetOptions {
  readonly output: OutputFormat;
  readonly watch: boolean;
  readonly stateDir?: string;
}

export async function get(kind: Kind, options: GetOptions): Promise<ExitCode> {
  const directory = requireStateDirectory(options.stateDir);
  if (options.watch) return watch(kind, directory, options.output);
  const control = openControl(directory);
  try {
    process.stdout.write(await render(kind, control, directory, options.output, false));
    return 0;
  } finally {
    control.close();
  }
}

async function watch(kind: Kind, directory: string, output: OutputFormat): Promise<ExitCode> {
  // The first list must come: a mesh that is not there is an error, one that goes away later is waited for.
  const control = openControl(directory);
  const clear = output === 'table' && process.stdout.isTTY ? '\u001b[H\u001b[2J' : '';
  using stop = listenForStop();
  let shown = '';
  const show = async (): Promise<void> => {
    const text = await render(kind, control, directory, output, true);
    if (text === shown) return;
    shown = text;
    process.stdout.write(`${clear}${clear === '' && output === 'table' ? `${new Date().toISOString()}\n` : ''}${text}`);
  };
  await show();
  const lost = (reason: string): void => void process.stderr.write(`the control plane does not answer: ${reason}; waiting for it\n`);
  // Another connection than `control`: this one is made anew whenever it breaks.
  const following = new RegistryWatch({
    open: () => openControl(directory),
    onInstances: () => void show().catch((error: Error) => lost(error.message)),
    onLost: lost,
  });
  await stop.asked;
  following.close();
  control.close();
  return 0;
}

async function render(kind: Kind, control: ControlClient, directory: string, output: OutputFormat, oneOfMany: boolean): Promise<string> {
  const palette = paletteFor(process.stdout, process.env);
  if (kind === 'services')
    return put(serviceRows(await control.services(), await control.instances()), serviceColumns(palette), output, oneOfMany, palette);
  if (kind === 'proxies') return put((await control.proxies()).map(proxyRow), proxyColumns(palette), output, oneOfMany, palette);
  const pids = new Map(readProcesses(directory).flatMap(({ workload, pid }) => (workload === undefined ? [] : [[workload, pid] as const])));
  return put(
    (await control.instances()).map((instance) => instanceRow(instance, pids)),
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

function serviceRows(services: readonly ListedService[], instances: readonly Instance[]) {
  return services.map(({ namespace, name, port, protocol, labels }) => {
    const own = instances.filter(({ service }) => service.namespace === namespace && service.name === name);
    return {
      namespace,
      name,
      port,
      protocol,
      labels,
      instances: own.length,
      healthy: own.filter(({ health }) => health === 'healthy').length,
    };
  });
}
type ServiceRow = ReturnType<typeof serviceRows>[number];

function serviceColumns(palette: Palette): Column<ServiceRow>[] {
  return [
    { title: 'NAMESPACE', cell: ({ namespace }) => namespace },
    { title: 'SERVICE', cell: ({ name }) => name },
    { title: 'PORT', cell: ({ port }) => String(port) },
    { title: 'PROTOCOL', cell: ({ protocol }) => protocol },
    {
      title: 'HEALTHY',
      cell: ({ healthy, instances }) => (healthy === instances && healthy > 0 ? palette.good : palette.bad)(`${healthy}/${instances}`),
    },
  ];
}

function instanceRow(instance: Instance, pids: ReadonlyMap<string, number>) {
  const { service, id, node, inbound, application, version, labels, weight, health, healthReason } = instance;
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
    weight,
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
    { title: 'REASON', cell: ({ healthReason }) => healthReason },
  ];
}

function socket({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function proxyRow({ node, identity, connectedMs, sync }: admin.ProxyMessage) {
  const kinds = sync.map(({ kind, sentResources, sentVersion, ackedVersion, ackedMs, rejection }) => ({
    kind,
    resources: sentResources,
    state: rejection !== '' ? 'rejected' : sentVersion === ackedVersion ? 'in sync' : 'behind',
    sentVersion,
    ackedVersion,
    acked: ackedMs === 0 ? null : new Date(ackedMs).toISOString(),
    rejection,
  }));
  return {
    node,
    identity,
    connected: new Date(connectedMs).toISOString(),
    inSync: kinds.every(({ state }) => state === 'in sync'),
    sync: kinds,
  };
}
type ProxyRow = ReturnType<typeof proxyRow>;

function proxyColumns(palette: Palette): Column<ProxyRow>[] {
  return [
    { title: 'NODE', cell: ({ node }) => node },
    { title: 'IDENTITY', cell: ({ identity }) => identity },
    { title: 'CONNECTED', cell: ({ connected }) => formatAge(Date.now() - Date.parse(connected)) },
    { title: 'SYNC', cell: (row) => (row.inSync ? palette.good('in sync') : palette.bad(syncTrouble(row))) },
  ];
}

/** Which kinds of configuration the proxy has not applied, and why. */
export function syncTrouble({ sync }: ProxyRow): string {
  const trouble = sync.filter(({ state }) => state !== 'in sync');
  return trouble.map(({ kind, state, rejection }) => `${kind} ${state}${rejection === '' ? '' : `: ${rejection}`}`).join('; ');
}

export { proxyRow };
