// At a fixed rate, far from what any proxy can take: how long requests take, the rarest ones included.
import { readFileSync } from 'node:fs';
import type { Scenario } from '../contestants/contestant.ts';
import { type Percentiles, percentiles, readH2loadLog } from '../support/figures.ts';
import type { Field } from './field.ts';
import { inOrder, inTurn } from './rounds.ts';
import type { Measure, Standing } from '../support/result.ts';
import type { Row } from './row.ts';

const HTTP1_CONNECTIONS = 20;
const HTTP2_CONNECTIONS = 4;
/** Of h2load: its connections begin together, and find their rhythm. */
const HTTP2_WARM_UP_MS = 500;
/** Before the first round: until then a runtime that compiles what runs often is still at it. */
const WARM_UP_SECONDS = 15;
/** The path without a proxy. */
const DIRECT = 'direct';

const P50: Measure = { key: 'p50Us', label: 'p50 µs', digits: 0 };
const P99: Measure = { key: 'p99Us', label: 'p99 µs', digits: 0 };
const P999: Measure = { key: 'p999Us', label: 'p99.9 µs', digits: 0 };
const ADDED_P99: Measure = { key: 'addedP99Us', label: 'p99 µs above direct', digits: 0 };

export function latencyRow(options: { name: string; title: string; scenario: Scenario; requestsPerSecond: number }): Row {
  const { name, title, scenario, requestsPerSecond } = options;
  const isHttp1 = scenario.http === 'http1';
  return {
    name,
    group: 'latency',
    title,
    load: isHttp1
      ? `An open-loop client sends ${requestsPerSecond} requests/s over ${HTTP1_CONNECTIONS} connections, answered or not; a request's clock runs from when it was due.`
      : `h2load sends ${requestsPerSecond} requests/s over ${HTTP2_CONNECTIONS} connections, answered or not.`,
    seconds: ({ rounds, seconds }, contestants) => (contestants + 1) * (WARM_UP_SECONDS + rounds * (seconds + 0.9)),
    async run(field, { rounds, seconds }) {
      const backendPort = await field.startBackend(scenario);
      const { running, absent } = await field.startAll(scenario, backendPort);
      const paths = [{ name: DIRECT, port: backendPort }, ...running];
      const ask = isHttp1 ? askHttp1 : askHttp2;
      await inTurn(paths, 1, ({ port }) => ask(field, port, requestsPerSecond, WARM_UP_SECONDS));
      const standings = await inTurn(paths, rounds, ({ port }) => ask(field, port, requestsPerSecond, seconds));
      const names = [DIRECT, ...field.contestants.map((contestant) => contestant.name)];
      return {
        measures: [P50, P99, P999, ADDED_P99],
        compared: [P50.key, P99.key],
        standings: inOrder(names, [...withAdded(standings), ...absent]),
      };
    },
  };
}

/** Against the direct path in the same round. */
function withAdded(standings: readonly Standing[]): Standing[] {
  const direct = standings.find(({ name }) => name === DIRECT)?.rounds ?? [];
  return standings.map((standing) => ({
    ...standing,
    rounds: standing.rounds.map((figures, round) => ({
      ...figures,
      addedP99Us: figures['p99Us']! - (direct[round]?.['p99Us'] ?? Number.NaN),
    })),
  }));
}

type Figures = Readonly<Record<keyof Percentiles, number>>;

async function askHttp1(field: Field, port: number, rate: number, seconds: number): Promise<Figures> {
  const text = await field.loadProgram('open-loop', [port, rate, seconds, HTTP1_CONNECTIONS].map(String));
  const { p50Us, p99Us, p999Us } = JSON.parse(text) as Percentiles;
  return { p50Us, p99Us, p999Us };
}

async function askHttp2(field: Field, port: number, rate: number, seconds: number): Promise<Figures> {
  const log = field.file('h2load.log', '');
  const [each, duration] = [rate / HTTP2_CONNECTIONS, seconds + HTTP2_WARM_UP_MS / 1000];
  const requests = Math.round(rate * duration);
  const command = ['h2load', '-t1', `-c${HTTP2_CONNECTIONS}`, '-m100', `-n${requests}`, `--rps=${each}`, `--log-file=${log}`];
  await field.load([...command, `http://127.0.0.1:${port}/orders/17?x=1`]);
  return { ...percentiles(readH2loadLog(readFileSync(log, 'utf8'), HTTP2_WARM_UP_MS)) };
}
