// The data plane inside the two applications, beside none at all and beside a pair of proxies: what a call costs on its whole way, from one application's
// code to the other's and back. All on one processor: one call after the other nothing runs beside anything else, and waking another processor would cost more
// than what is measured.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenario } from '../contestants/contestant.ts';
import { hopsOf } from '../contestants/contestant.ts';
import { insideSpec } from '../contestants/heddle.ts';
import { freePorts } from '../../tests/support/ports.ts';
import type { Process } from '../support/processes.ts';
import type { Measure, Standing } from '../support/result.ts';
import type { Field } from './field.ts';
import { reasonOf } from './field.ts';
import { inOrder, inTurn } from './rounds.ts';
import { CPU, type Row } from './row.ts';

export interface InProcessOptions {
  readonly name: string;
  readonly title: string;
  readonly api: 'fetch' | 'http' | 'grpc';
}

/** No data plane anywhere. */
const BARE = 'bare';
const INSIDE = 'heddle inside';
const AT_ONCE = 16;
const PER_SECOND = 500;
/** Until a runtime that compiles what runs often is done with it. */
const WARM_UP_CALLS = 20_000;
/** A second of the settings is so many calls one after the other, or many at once. */
const CALLS_PER_SECOND = 2_000;

const ADDED: Measure = { key: 'addedUs', label: 'µs added to a call', digits: 0 };
const ALONE: Measure = { key: 'aloneUs', label: 'µs a call', digits: 0 };
const P99: Measure = { key: 'p99Us', label: `p99 µs at ${PER_SECOND}/s`, digits: 0 };

interface Way {
  readonly name: string;
  readonly caller: Process;
  readonly others: readonly Process[];
}

export function inProcessRow({ name, title, api }: InProcessOptions): Row {
  return {
    name,
    group: 'in-process',
    title,
    load: `One application calls the other: one call after the other (µs), ${AT_ONCE} at once (CPU of all processes on the way, the applications included), and ${PER_SECOND}/s (p99). Answers of 100 bytes.`,
    seconds: ({ rounds, seconds }, contestants) => (contestants + 2) * (8 + rounds * seconds * 2.5),
    async run(field, { rounds, seconds, quick }) {
      const ways: Way[] = [await bare(field, api), await inside(field, api)];
      const absent: Standing[] = [];
      for (const contestant of field.contestants) {
        const way = await pair(field, api, contestant.name).catch((error: unknown) => reasonOf(error));
        if (typeof way === 'string') absent.push({ name: contestant.name, rounds: [], absent: way });
        else ways.push(way);
      }
      for (const atOnce of [AT_ONCE, 1]) for (const { caller } of ways) await ask(caller, { calls: quick ? 200 : WARM_UP_CALLS, atOnce });
      const standings = await inTurn(ways, rounds, (way) => measure(way, seconds));
      const names = [BARE, INSIDE, ...field.contestants.map((contestant) => contestant.name)];
      return {
        measures: [ADDED, CPU, P99, ALONE],
        compared: [CPU.key, P99.key],
        standings: inOrder(names, [...withAdded(standings), ...absent]),
      };
    },
  };
}

async function measure({ caller, others }: Way, seconds: number): Promise<Record<string, number>> {
  const calls = CALLS_PER_SECOND * seconds;
  const { meanUs } = await ask(caller, { calls, atOnce: 1 });
  const cpuSeconds = (): number => [caller, ...others].reduce((sum, process) => sum + process.cpuSeconds(), 0);
  const before = cpuSeconds();
  await ask(caller, { calls: calls * 2, atOnce: AT_ONCE });
  const cpuUsPerRequest = ((cpuSeconds() - before) / (calls * 2)) * 1e6;
  const { p99Us } = await ask(caller, { perSecond: PER_SECOND, seconds });
  return { aloneUs: meanUs!, cpuUsPerRequest, p99Us: p99Us! };
}

/** Against the bare call in the same round. */
function withAdded(standings: readonly Standing[]): Standing[] {
  const bareRounds = standings.find(({ name }) => name === BARE)?.rounds ?? [];
  return standings.map((standing) => ({
    ...standing,
    rounds: standing.rounds.map((figures, round) => ({ ...figures, addedUs: figures['aloneUs']! - bareRounds[round]!['aloneUs']! })),
  }));
}

async function ask(caller: Process, question: object): Promise<Record<string, number>> {
  return JSON.parse(await caller.ask(JSON.stringify(question))) as Record<string, number>;
}

async function bare(field: Field, api: InProcessOptions['api']): Promise<Way> {
  const { server, port } = await startServer(field, api);
  return { name: BARE, caller: startCaller(field, api, `127.0.0.1:${port}`), others: [server] };
}

async function inside(field: Field, api: InProcessOptions['api']): Promise<Way> {
  const [applicationPort = 0, wayIn = 0, wayOut = 0] = await freePorts(3);
  const [called, caller] = hopsOf(scenarioOf(api), [wayOut, wayIn], applicationPort);
  const write = (hop: typeof called): string => {
    const file = join(field.folder(`inside-${api}`), 'plane.json');
    writeFileSync(file, JSON.stringify(insideSpec(hop!, field.setting(''))), { mode: 0o600 });
    return file;
  };
  const server = field.runProgram('in-process-server', [String(applicationPort), kindOf(api), '100', write(called)]);
  await server.listensOn(applicationPort);
  await server.listensOn(wayIn);
  return { name: INSIDE, caller: startCaller(field, api, 'orders.mesh.internal', write(caller), String(wayOut)), others: [server] };
}

async function pair(field: Field, api: InProcessOptions['api'], contestantName: string): Promise<Way | string> {
  const contestant = field.contestants.find(({ name }) => name === contestantName)!;
  const scenario = scenarioOf(api);
  const reason = field.whyNot(contestant, scenario);
  if (reason !== undefined) return reason;
  const { server, port } = await startServer(field, api);
  const running = await field.launch(contestant, scenario, port);
  for (const [index, process] of running.processes.entries()) await process.listensOn(running.ports[index]!);
  return { name: contestantName, caller: startCaller(field, api, `127.0.0.1:${running.port}`), others: [server, ...running.processes] };
}

function scenarioOf(api: InProcessOptions['api']): Scenario {
  const isGrpc = api === 'grpc';
  return { http: isGrpc ? 'http2' : 'http1', grpc: isGrpc, tls: false, pair: true, bodyBytes: 100 };
}

const kindOf = (api: InProcessOptions['api']): string => (api === 'grpc' ? 'grpc' : 'http');

async function startServer(field: Field, api: InProcessOptions['api']): Promise<{ readonly server: Process; readonly port: number }> {
  const [port = 0] = await freePorts(1);
  const server = field.runProgram('in-process-server', [String(port), kindOf(api), '100']);
  await server.listensOn(port);
  return { server, port };
}

function startCaller(field: Field, api: InProcessOptions['api'], authority: string, ...spec: string[]): Process {
  return field.runProgram('in-process-caller', [api, api === 'grpc' ? authority : `http://${authority}/orders/17`, ...spec]);
}
