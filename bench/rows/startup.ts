// From starting the process to the first request that comes through.
import { setTimeout as delay } from 'node:timers/promises';
import type { Scenario } from '../contestants/contestant.ts';
import { askHttp1 } from '../support/prove.ts';
import { inOrder, inTurn } from './rounds.ts';
import type { Measure } from '../support/result.ts';
import { MEMORY, type Row } from './row.ts';

const START_MS_MAX = 15_000;
/** After the first request, before memory is read. */
const SETTLE_MS = 1_000;
const START: Measure = { key: 'startMs', label: 'ms to the first answer', digits: 0 };
const IDLE: Measure = { ...MEMORY, label: 'MB idle' };

export function startupRow(scenario: Scenario): Row {
  return {
    name: 'startup',
    group: 'startup',
    title: 'Start-up: process start to first proxied request',
    load: 'One request after the other until one is answered, a millisecond apart; memory a second later.',
    seconds: ({ rounds }, contestants) => contestants * rounds * 1.8,
    async run(field, { rounds }) {
      const backendPort = await field.startBackend(scenario);
      const names = field.contestants.map((contestant) => contestant.name);
      const absent = field.contestants.flatMap((contestant) => {
        const reason = field.whyNot(contestant, scenario);
        return reason === undefined ? [] : [{ name: contestant.name, rounds: [], absent: reason }];
      });
      const present = field.contestants.filter(({ name }) => !absent.some((one) => one.name === name));
      const standings = await inTurn(present, rounds, async (contestant) => {
        const startMs = performance.now();
        const { port, processes } = await field.launch(contestant, scenario, backendPort);
        try {
          while (!(await isServed(scenario, port))) {
            if (performance.now() - startMs > START_MS_MAX || !processes.every(({ isAlive }) => isAlive))
              throw new Error('it never answered');
            await delay(1);
          }
          const figures = { startMs: performance.now() - startMs };
          await delay(SETTLE_MS);
          return { ...figures, residentMb: processes.reduce((sum, process) => sum + process.residentMb(), 0) };
        } finally {
          await Promise.all(processes.map((process) => process.stop()));
        }
      });
      return { measures: [START, IDLE], compared: [START.key, IDLE.key], standings: inOrder(names, [...standings, ...absent]) };
    },
  };
}

async function isServed(scenario: Scenario, port: number): Promise<boolean> {
  try {
    return (await askHttp1(scenario, port)).status === 200;
  } catch {
    return false;
  }
}
