// What is compared: four instances of one service, and what is the matter with them. The same for the simulation and for real processes.
import type { ServerOptions } from './simulation/server.ts';

export interface BalanceScenario {
  readonly name: string;
  readonly title: string;
  readonly servers: readonly ServerOptions[];
  /** Share of what all instances together can do. */
  readonly load: number;
  readonly timeoutMs: number;
  /** Whose requests have a hash each. */
  readonly users: number;
}

const SERVER: ServerOptions = { workers: 8, meanWorkMs: 20, speed: 1 };
const COMMON = { load: 0.9, timeoutMs: 2_000, users: 10_000 } as const;
const ANTAGONIST = { takes: 0.5, meanPauseMs: 8_000, meanWhileMs: 1_000 } as const;

export const SCENARIOS: readonly BalanceScenario[] = [
  { ...COMMON, name: 'equal', title: 'four equal instances', servers: [SERVER, SERVER, SERVER, SERVER] },
  {
    ...COMMON,
    name: 'slow',
    title: 'one instance at a third of the speed of the others',
    servers: [SERVER, SERVER, SERVER, { ...SERVER, speed: 1 / 3 }],
  },
  {
    ...COMMON,
    name: 'antagonists',
    title: 'each instance loses half of its speed for a second in every nine',
    servers: [0, 1, 2, 3].map(() => ({ ...SERVER, antagonist: ANTAGONIST })),
  },
  {
    ...COMMON,
    name: 'failing',
    title: 'one instance answers at once, with an error',
    servers: [SERVER, SERVER, SERVER, { ...SERVER, failing: { share: 1, failMs: 0.5 } }],
  },
];

/** Requests per second that all instances together can answer. */
export function capacityOf({ servers }: BalanceScenario): number {
  const each = servers.map(({ workers, meanWorkMs, speed, antagonist, failing }) => {
    const { takes = 0, meanPauseMs = 1, meanWhileMs = 0 } = antagonist ?? {};
    const free = 1 - (takes * meanWhileMs) / (meanPauseMs + meanWhileMs);
    return (workers / meanWorkMs) * 1_000 * speed * free * (1 - (failing?.share ?? 0));
  });
  return each.reduce((sum, capacity) => sum + capacity, 0);
}
