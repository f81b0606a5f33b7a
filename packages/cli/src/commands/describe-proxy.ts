// `heddle describe proxy`: everything that the control plane knows of one data plane: who it is, what it was given, what it has taken, what it
// refused and why, and what it carries.
import type { csds } from '@heddle/api';
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor, type Palette } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { LOAD_COLUMNS, loadRow, type LoadRow } from './get-load.ts';
import { proxyRow, sinceThen, syncTrouble, type ProxyRow } from './get.ts';

export interface DescribeProxyOptions {
  readonly output: OutputFormat;
  /** List every resource, not only those that are not in sync. */
  readonly resources: boolean;
  readonly stateDir?: string;
}

/** One stream of the data plane; most have one. */
export interface DescribedProxy extends ProxyRow {
  readonly resources: readonly DescribedResource[];
}

interface DescribedResource {
  readonly kind: string;
  readonly name: string;
  readonly state: csds.ListedResource['state'];
  readonly version: string;
  readonly updated: string | null;
  readonly rejection: string;
  readonly rejected: string | null;
}

export interface ProxyDescription {
  readonly node: string;
  readonly streams: readonly DescribedProxy[];
  readonly load: readonly LoadRow[];
}

export async function describeProxy(node: string, { output, resources, stateDir }: DescribeProxyOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const [proxies, clients, loads] = await Promise.all([control.proxies(), control.clientStatus(node), control.loads(node)]);
    const rows = proxies.filter((proxy) => proxy.node === node).map(proxyRow);
    if (rows.length === 0) throw unknownNode(node, [...new Set(proxies.map((proxy) => proxy.node))]);
    const description = { node, streams: joined(rows, clients), load: loads.map(loadRow) };
    const text =
      output === 'table' ? describe(description, resources, paletteFor(process.stdout, process.env)) : formatData(description, output);
    process.stdout.write(text);
    return 0;
  } finally {
    control.close();
  }
}

function unknownNode(node: string, connected: readonly string[]): CliError {
  const known = connected.length === 0 ? 'none is' : `connected are ${connected.join(', ')}`;
  return new CliError(
    `no data plane named ${node} is connected; ${known}`,
    'see `heddle get proxies`; a data plane that has just left is in `heddle get events`',
  );
}

/** Both answers list the streams of a node in the order in which they were opened, but one may have opened or ended between them. */
function joined(rows: readonly ProxyRow[], clients: readonly csds.ListedClient[]): DescribedProxy[] {
  const left = [...clients];
  return rows.map((row) => {
    const at = left.findIndex(({ service }) => service === row.service);
    const [client] = at === -1 ? [] : left.splice(at, 1);
    return { ...row, resources: (client?.resources ?? []).map(describedResource).toSorted(byKindAndName) };
  });
}

function describedResource({ kind, name, state, version, updatedMs, rejection, rejectedMs }: csds.ListedResource): DescribedResource {
  const time = (ms: number): string | null => (ms === 0 ? null : new Date(ms).toISOString());
  return { kind: kind ?? 'unknown', name, state, version, updated: time(updatedMs), rejection, rejected: time(rejectedMs) };
}

function byKindAndName(a: DescribedResource, b: DescribedResource): number {
  return a.kind === b.kind ? (a.name < b.name ? -1 : 1) : a.kind < b.kind ? -1 : 1;
}

export function describe({ streams, load }: ProxyDescription, allResources: boolean, palette: Palette): string {
  const parts = streams.map((stream) => describeStream(stream, allResources, palette));
  if (load.length > 0) parts.push(`${palette.bold('LOAD')}\n${formatTable(LOAD_COLUMNS, load, palette)}`);
  return parts.join('\n');
}

function describeStream(stream: DescribedProxy, allResources: boolean, palette: Palette): string {
  const facts: (readonly [string, string])[] = [
    ['Node', stream.node],
    ['Agent', `${stream.agent === '' ? 'unnamed' : stream.agent}, flavour ${stream.flavour}`],
    ['Identity', stream.identity],
    ['Connected', `${sinceThen(stream.connected)} ago, by ${stream.service}`],
    ['Sync', stream.inSync ? palette.good('in sync') : palette.bad(syncTrouble(stream))],
    ['Hash', hashes(stream, palette)],
  ];
  const shown = stream.resources.filter(({ state }) => allResources || (state !== 'in sync' && state !== 'does not exist'));
  const sections = [facts.map(([title, value]) => `${palette.bold(title.padEnd(11))}${value}\n`).join(''), kindTable(stream, palette)];
  if (shown.length > 0) sections.push(resourceTable(shown, palette));
  else sections.push(`${stream.resources.length} resources, all in sync\n`);
  return sections.join('\n');
}

function hashes({ heldHash, givenHash, reported, inSync }: ProxyRow, palette: Palette): string {
  const given = heldHash === givenHash ? '' : palette.bad(`, was given ${givenHash}`);
  if (reported === null) return `${heldHash}${given}`;
  const said = `${sinceThen(reported.time)} ago`;
  if (reported.hash === heldHash) return `${heldHash}${given}, confirmed by itself ${said}`;
  // While changes come its word is simply older than what it has acknowledged since.
  const mark = inSync ? palette.warn : palette.dim;
  return `${heldHash}${given}, ${mark(`said ${reported.hash} itself ${said}`)}`;
}

function kindTable({ sync }: ProxyRow, palette: Palette): string {
  return formatTable(
    [
      { title: 'KIND', cell: ({ kind }) => kind },
      { title: 'RESOURCES', cell: ({ resources }) => String(resources) },
      { title: 'SENT', cell: ({ sentVersion }) => sentVersion },
      { title: 'ACKED', cell: ({ ackedVersion }) => ackedVersion },
      { title: 'LAST ACK', cell: ({ acked }) => (acked === null ? 'never' : sinceThen(acked)) },
      { title: 'BEHIND', cell: ({ behindSince }) => (behindSince === null ? '-' : sinceThen(behindSince)) },
      { title: 'HASH', cell: ({ heldHash }) => heldHash },
      { title: 'STATE', cell: ({ state, rejection }) => stateCell(state, rejection, palette) },
    ],
    sync,
    palette,
  );
}

function resourceTable(resources: readonly DescribedResource[], palette: Palette): string {
  return formatTable(
    [
      { title: 'KIND', cell: ({ kind }) => kind },
      { title: 'RESOURCE', cell: ({ name }) => name },
      { title: 'VERSION', cell: ({ version }) => (version === '' ? '-' : version) },
      { title: 'STATE', cell: ({ state, rejection }) => stateCell(state, rejection, palette) },
    ],
    resources,
    palette,
  );
}

function stateCell(state: string, rejection: string, palette: Palette): string {
  if (rejection !== '') return palette.bad(`${state}: ${rejection}`);
  return state === 'in sync' ? palette.good(state) : palette.warn(state);
}
