// `heddle capture`: sends calls to virtual addresses of services to the proxy's local ports, with a table of nftables of its own. What is
// installed is read back from the kernel, nowhere else is it kept.
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import {
  captureDifferences,
  type CapturePlan,
  chooseCallers,
  counterIn,
  hostnameOf,
  type InstalledTable,
  planCapture,
  REMOVAL,
  renderRuleset,
  CaptureError,
  TABLE,
  type UidChoice,
} from '@heddle/proxy/capture';
import { CliError, type ExitCode } from '../errors.ts';
import { type Column, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { readTable, requireLinux, runScript } from './capture-nft.ts';
import { askProxy, type ProxyChoice } from './capture-proxy.ts';
import { leadsToVirtualNetwork, MISSING_ROUTE } from './capture-route.ts';

export interface CaptureApplyOptions extends ProxyChoice {
  /** Names, or `all`. */
  readonly workload?: readonly string[];
  readonly uid?: readonly UidChoice[];
  readonly dryRun: boolean;
}

export interface CaptureShowOptions extends ProxyChoice {
  readonly output: OutputFormat;
}

export async function captureApply(options: CaptureApplyOptions): Promise<ExitCode> {
  if (!options.dryRun) requireLinux();
  const plan = await explained(async () => {
    const { workloads, services } = await askProxy(options);
    const callers = chooseCallers(
      workloads.map(({ workload }) => workload),
      options.workload ?? [],
      options.uid ?? [],
    );
    return planCapture(workloads, services, callers);
  });
  if (options.dryRun) {
    process.stdout.write(renderRuleset(plan.table));
    return 0;
  }
  const installed = await readTable();
  const differences = installed === undefined ? undefined : captureDifferences(plan.table, installed);
  const unchanged = differences?.length === 0;
  if (!unchanged) await runScript(renderRuleset(plan.table, installed === undefined ? undefined : counterIn(installed)));
  process.stdout.write(summary(plan, unchanged));
  for (const line of [...lacking(plan), ...route()]) process.stderr.write(`warning: ${line}\n`);
  return 0;
}

export async function captureRemove(): Promise<ExitCode> {
  requireLinux();
  if ((await readTable()) === undefined) {
    process.stdout.write(`nothing was captured: there is no table ${TABLE}\n`);
    return 0;
  }
  await runScript(REMOVAL);
  // With the last rule that translates addresses, the kernel forgets what it translated.
  process.stdout.write(`removed the table ${TABLE}; connections that it had captured and that are still open may stall\n`);
  return 0;
}

export async function captureShow(options: CaptureShowOptions): Promise<ExitCode> {
  requireLinux();
  const installed = await readTable();
  if (installed === undefined) {
    process.stdout.write(
      options.output === 'table'
        ? 'nothing is captured; see `heddle capture apply --help`\n'
        : formatData({ installed: false, asItShouldBe: null, differences: [], refused: 0, entries: [] }, options.output),
    );
    return 0;
  }
  const { differences, unknown } = await compareWithProxy(installed, options);
  const rows = installed.callers.flatMap(({ workload, uid, entries }) =>
    entries.map(({ service, address, port, to, counter }) => ({
      workload,
      uid: uid ?? null,
      service,
      hostname: hostnameOf(service),
      address,
      port,
      to,
      connections: counter.packets,
    })),
  );
  const asItShouldBe = unknown === undefined ? differences.length === 0 : null;
  if (options.output === 'table') process.stdout.write(table(rows, installed));
  else {
    const told = unknown === undefined ? differences : [unknown.message];
    process.stdout.write(
      formatData({ installed: true, asItShouldBe, differences: told, refused: installed.refused, entries: rows }, options.output),
    );
  }
  if (unknown !== undefined) throw unknown;
  if (options.output === 'table') process.stdout.write(verdict(differences, installed));
  return asItShouldBe === true ? 0 : 1;
}

type Row = {
  readonly workload: string;
  readonly uid: number | null;
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly to: { readonly address: string; readonly port: number };
  readonly connections: number;
};

function table(rows: readonly Row[], { refused }: InstalledTable): string {
  const columns: Column<Row>[] = [
    { title: 'SERVICE', cell: ({ service }) => service },
    { title: 'ADDRESS', cell: ({ address, port }) => `${address}:${port}` },
    { title: 'PROXY', cell: ({ to }) => `${to.address}:${to.port}` },
    { title: 'CALLER', cell: ({ workload }) => workload },
    { title: 'USER', cell: ({ uid }) => (uid === null ? 'all' : String(uid)) },
    { title: 'CONNECTIONS', cell: ({ connections }) => String(connections) },
  ];
  const shown =
    rows.length === 0 ? 'no service can be called by its address\n' : formatTable(columns, rows, paletteFor(process.stdout, process.env));
  return `${shown}\n${refused} packets to virtual addresses were refused: no entry took them\n`;
}

function verdict(differences: readonly string[], { callers }: InstalledTable): string {
  if (differences.length === 0) return 'installed as it should be\n';
  const choice = callers.map(({ workload, uid }) => (uid === undefined ? ` --workload ${workload}` : ` --uid ${workload}=${uid}`)).join('');
  const lines = differences.map((line) => `  ${line}\n`).join('');
  return `not as it should be:\n${lines}mend: \`heddle capture apply${choice}\`\n`;
}

/** Against what the proxy would have now, for the callers that were chosen when it was installed. */
async function compareWithProxy(installed: InstalledTable, choice: ProxyChoice): Promise<{ differences: string[]; unknown?: CliError }> {
  try {
    const { workloads, services } = await explained(() => askProxy(choice));
    const gone = installed.callers.filter(({ workload }) => !workloads.some((other) => other.workload === workload));
    const callers = installed.callers.filter((caller) => !gone.includes(caller));
    const { table: wanted } = planCapture(workloads, services, callers);
    return { differences: [...captureDifferences(wanted, installed), ...route()] };
  } catch (error) {
    if (error instanceof CliError) return { differences: [], unknown: error };
    throw error;
  }
}

/** What the capture code throws, in the form of this command line. */
async function explained<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof CaptureError) throw new CliError(error.message, error.mend, { exitCode: error.usage ? 2 : 1, cause: error });
    throw error;
  }
}

function summary({ table: { callers, addresses } }: CapturePlan, unchanged: boolean): string {
  const lines = callers.map(({ workload, uid, entries }) => {
    const whose = uid === undefined ? 'calls of every process of this machine' : `calls of user ${uid}`;
    return `  ${whose} are made as ${workload}: ${entries.length} of ${addresses.length} services have an address that leads there\n`;
  });
  return `${unchanged ? `nothing changed: the table ${TABLE} is as it should be` : `installed the table ${TABLE}`}\n${lines.join('')}`;
}

/** One line for each caller. */
function lacking({ lacking: services, table: { callers } }: CapturePlan): string[] {
  return callers.flatMap(({ workload }) => {
    const named = (reason: string): string =>
      services
        .filter((other) => other.workload === workload && other.reason === reason)
        .map(({ service }) => service)
        .join(', ');
    const noPort = named('no-port');
    const ipv6 = named('ipv6-port');
    return [
      ...(noPort === ''
        ? []
        : [
            `${workload} has no local port for ${noPort}; name the services it calls: \`heddle run --uses\`, \`uses:\` in the mesh file, or \`outbounds\` on the admin API`,
          ]),
      ...(ipv6 === ''
        ? []
        : [`the local ports of ${workload} for ${ipv6} are IPv6 ports, and virtual addresses are IPv4; let them listen on 127.0.0.1`]),
    ];
  });
}

function route(): string[] {
  return leadsToVirtualNetwork(readFileSync('/proc/net/route', 'utf8'), endianness() === 'LE') ? [] : [MISSING_ROUTE];
}
