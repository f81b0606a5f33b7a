// What a long life does to a proxy: a million requests, and ten thousand connections that say nothing.
import type { Scenario } from '../contestants/contestant.ts';
import { readH2load } from '../support/figures.ts';
import { inOrder, inTurn } from './rounds.ts';
import type { Measure } from '../support/result.ts';
import type { Row } from './row.ts';

const REQUESTS = 1_000_000;
/** A tenth warms up: from there on memory should stay. */
const WARM_UP_SHARE = 0.1;
const CONNECTIONS = 10_000;
/** --quick. */
const QUICK_SHARE = 0.02;

const BEFORE: Measure = { key: 'beforeMb', label: 'MB before', digits: 0 };
const WARM: Measure = { key: 'warmMb', label: 'MB after a tenth', digits: 0 };
const AFTER: Measure = { key: 'afterMb', label: 'MB after all', digits: 0 };
const IDLE: Measure = { key: 'idleMb', label: 'MB with all open', digits: 0 };
const EACH: Measure = { key: 'kbPerConnection', label: 'kB/connection', digits: 1 };
const ANSWERED: Measure = { key: 'answered', label: 'answered afterwards', digits: 0 };

export function requestsRow(name: string, title: string, scenario: Scenario): Row {
  const client = scenario.http === 'http1' ? ['--h1', '-c64'] : ['-c8', '-m16'];
  return {
    name,
    group: 'soak',
    title,
    load: `h2load ${client.join(' ')}: ${REQUESTS} requests in all; memory before, after a tenth, and at the end.`,
    seconds: ({ quick }, contestants) => contestants * (quick ? 2 : scenario.http === 'http1' ? 40 : 15),
    async run(field, { quick }) {
      const { running, absent } = await field.startAll(scenario, await field.startBackend(scenario));
      const total = quick ? REQUESTS * QUICK_SHARE : REQUESTS;
      const standings = await inTurn(running, 1, async ({ port, processes }) => {
        const memory = () => processes.reduce((sum, process) => sum + process.residentMb(), 0);
        const send = async (requests: number) =>
          readH2load(await field.load(['h2load', '-t1', ...client, `-n${requests}`, `http://127.0.0.1:${port}/orders/17?x=1`]));
        const beforeMb = memory();
        await send(total * WARM_UP_SHARE);
        const warmMb = memory();
        await send(total * (1 - WARM_UP_SHARE));
        return { beforeMb, warmMb, afterMb: memory() };
      });
      const names = field.contestants.map((contestant) => contestant.name);
      return { measures: [BEFORE, WARM, AFTER], compared: [AFTER.key], standings: inOrder(names, [...standings, ...absent]) };
    },
  };
}

export function connectionsRow(scenario: Scenario): Row {
  return {
    name: 'soak-connections',
    group: 'soak',
    title: `${CONNECTIONS.toLocaleString('en-US')} idle connections`,
    load: 'Each connection makes one request and then stays open; at the end each makes another.',
    seconds: ({ quick }, contestants) => contestants * (quick ? 2 : 8),
    async run(field, { quick }) {
      const { running, absent } = await field.startAll(scenario, await field.startBackend(scenario));
      const count = quick ? CONNECTIONS * QUICK_SHARE : CONNECTIONS;
      const standings = await inTurn(running, 1, async ({ port, processes }) => {
        const memory = () => processes.reduce((sum, process) => sum + process.residentMb(), 0);
        const beforeMb = memory();
        const client = field.spawnProgram('idle-connections', [String(port), String(count)]);
        try {
          const opened = Number(await client.nextLine());
          if (opened !== count) throw new Error(`${opened} of ${count} connections were answered`);
          const idleMb = memory();
          const answered = Number(await client.ask('again'));
          return { beforeMb, idleMb, kbPerConnection: ((idleMb - beforeMb) * 1024) / count, answered };
        } finally {
          await client.stop();
        }
      });
      const names = field.contestants.map((contestant) => contestant.name);
      return { measures: [BEFORE, IDLE, EACH, ANSWERED], compared: [IDLE.key], standings: inOrder(names, [...standings, ...absent]) };
    },
  };
}
