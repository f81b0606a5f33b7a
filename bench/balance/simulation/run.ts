// One scenario with one algorithm on virtual time.
import type { BalanceAlgorithm, Endpoint } from '@heddle/core';
import type { Figures } from '../figures.ts';
import { Outcomes } from '../figures.ts';
import type { BalanceScenario } from '../scenarios.ts';
import { capacityOf } from '../scenarios.ts';
import { SimulatedCaller } from './caller.ts';
import { Events, seeded } from './events.ts';
import { SimulatedServer } from './server.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly callers: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly networkMs: number;
}

export const SIMULATION: SimulationOptions = { seed: 1, callers: 8, warmUpMs: 10_000, durationMs: 120_000, networkMs: 0.25 };

export function simulate(scenario: BalanceScenario, algorithm: BalanceAlgorithm, options: SimulationOptions): Figures {
  const events = new Events();
  const random = seeded(options.seed);
  const servers = new Map<Endpoint, SimulatedServer>();
  scenario.servers.forEach((server, index) => {
    const endpoint: Endpoint = { address: '10.0.0.1', port: 1_000 + index, health: 'healthy', weight: 1, instance: `server-${index}` };
    servers.set(endpoint, new SimulatedServer(events, seeded(options.seed * 100 + index), seeded(options.seed * 100 + 50 + index), server));
  });
  const outcomes = new Outcomes(scenario.timeoutMs);
  const requestsPerSecond = (capacityOf(scenario) * scenario.load) / options.callers;
  for (let index = 0; index < options.callers; index += 1) {
    const caller = { algorithm, requestsPerSecond, networkMs: options.networkMs, timeoutMs: scenario.timeoutMs, users: scenario.users };
    new SimulatedCaller(events, random, caller, servers, (latencyMs, outcome) => {
      if (events.nowMs >= options.warmUpMs) outcomes.add(latencyMs, outcome);
    });
  }
  events.runUntil(options.warmUpMs + options.durationMs);
  return outcomes.figures();
}
