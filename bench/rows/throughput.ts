// As much as the proxy can take: CPU time per request is the figure, since throughput on a shared machine says little.
import type { Scenario } from '../contestants/contestant.ts';
import { readH2load, readWrk } from '../support/figures.ts';
import type { Field, Running } from './field.ts';
import { inOrder, inTurn } from './rounds.ts';
import { CPU, MEMORY, type Row, type Settings, THROUGHPUT } from './row.ts';

const WARM_UP_SECONDS = 2;
const START_SECONDS = 1;
const PATH = '/orders/17?x=1';

export interface ThroughputOptions {
  readonly name: string;
  readonly group: string;
  readonly title: string;
  readonly scenario: Scenario;
  readonly connections: number;
  /** Of each connection; 1 for HTTP/1.1. */
  readonly streams: number;
}

export function throughputRow(options: ThroughputOptions): Row {
  const { name, group, title, scenario, connections, streams } = options;
  const client =
    scenario.http === 'http1' ? `wrk, ${connections} connections` : `h2load, ${connections} connections with ${streams} streams each`;
  return {
    name,
    group,
    title,
    load: `${client}, kept open; responses of ${scenario.bodyBytes} bytes. CPU: user and system time of the proxies.`,
    seconds: ({ rounds, seconds, quick }, contestants) =>
      contestants * (START_SECONDS + (quick ? seconds : WARM_UP_SECONDS) + rounds * (seconds + 0.2)),
    async run(field, settings) {
      const { running, absent } = await field.startAll(scenario, await field.startBackend(scenario));
      const warm = { ...settings, seconds: settings.quick ? settings.seconds : WARM_UP_SECONDS };
      await inTurn(running, 1, (one) => measure(field, options, one, warm));
      const standings = await inTurn(running, settings.rounds, (one) => measure(field, options, one, settings));
      const names = field.contestants.map((contestant) => contestant.name);
      return { measures: [CPU, THROUGHPUT, MEMORY], compared: [CPU.key, MEMORY.key], standings: inOrder(names, [...standings, ...absent]) };
    },
  };
}

async function measure(field: Field, options: ThroughputOptions, { port, processes }: Running, { seconds }: Settings) {
  const cpuSeconds = () => processes.reduce((sum, process) => sum + process.cpuSeconds(), 0);
  const before = cpuSeconds();
  const startMs = performance.now();
  const requests = await load(field, options, port, seconds);
  const elapsedSeconds = (performance.now() - startMs) / 1000;
  return {
    cpuUsPerRequest: ((cpuSeconds() - before) / requests) * 1e6,
    requestsPerSecond: requests / elapsedSeconds,
    residentMb: processes.reduce((sum, process) => sum + process.residentMb(), 0),
  };
}

async function load(field: Field, { scenario, connections, streams }: ThroughputOptions, port: number, seconds: number): Promise<number> {
  const url = `${scenario.tls ? 'https' : 'http'}://127.0.0.1:${port}${PATH}`;
  if (scenario.http === 'http1') return readWrk(await field.load(['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, url]));
  const command = ['h2load', '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, ...grpcOptions(field, scenario), url];
  return readH2load(await field.load(command));
}

/** A unary call: one message of 100 bytes. */
export function grpcOptions(field: Field, { grpc }: Scenario): string[] {
  if (!grpc) return [];
  const message = Buffer.alloc(105, 'x');
  message.writeUIntBE(0, 0, 1);
  message.writeUInt32BE(100, 1);
  return ['-d', field.file('message', message), '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
}
