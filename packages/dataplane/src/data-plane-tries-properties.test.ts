// Whatever instances and clients do, with retries, hedges and time limits at once: every request ends, and nothing is left counted.
import assert from 'node:assert/strict';
import type http from 'node:http';
import { afterEach, describe, test } from 'node:test';
import { DEFAULT_OUTLIER, NO_BREAKER } from '@heddle/core';
import { startFleet, WAYS } from './testing/instances.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

const REQUESTS = 250;
/** All time limits are below 1 s; the machine may have other things to do. */
const QUIET_DEADLINE_MS = 20_000;
const CONDITIONS = ['connect-failure', 'refused', 'reset', 'timeout', '5xx'] as const;

interface Dump {
  readonly clusters: readonly {
    readonly underWay: number;
    readonly pending: number;
    readonly concurrency?: { readonly inFlight: number };
    readonly hosts: readonly { readonly balancers: Record<string, { readonly inFlight?: number }> }[];
  }[];
}

/** Numbers from a seed (mulberry32), so that a failing run can be repeated. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function behave(random: () => number, request: http.IncomingMessage, response: http.ServerResponse): void {
  response.on('error', () => {});
  request.on('error', () => {});
  const dice = random();
  if (dice < 0.4) response.end('good');
  else if (dice < 0.5) response.writeHead(500).end('bad');
  else if (dice < 0.6) response.writeHead(503).end(Buffer.alloc(30_000));
  else if (dice < 0.7) setTimeout(() => response.end('late'), random() * 60);
  else if (dice < 0.8) request.socket.destroy();
  else if (dice < 0.9) {
    response.write('half');
    setTimeout(() => (random() < 0.5 ? request.socket.destroy() : response.end('whole')), 5);
  }
  // Else nothing is ever said.
}

describe('many tries at once', () => {
  let mesh = new TestMesh();
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  for (const way of WAYS) {
    test(`every request ends and nothing is left (${way.name})`, async () => {
      const random = seeded(7);
      const route = {
        timeoutMs: 500,
        hedge: { afterMs: 15, attempts: 2 },
        retry: { attempts: 3, on: CONDITIONS, perTryMs: 40, backoff: { baseMs: 1, maxMs: 5 } },
      };
      const cluster = {
        breaker: { ...NO_BREAKER, requests: 200, pending: 150 },
        adaptiveConcurrency: { minRequests: 50, maxRequests: 200 },
        outlier: { ...DEFAULT_OUTLIER, ejectMs: 50, maxEjectMs: 100 },
      };
      const { client, way: through } = await startFleet(mesh, { ...way, count: 4, route, cluster }, (request, response) =>
        behave(random, request, response),
      );
      const ended = { answered: 0, broken: 0 };
      const calls: Promise<unknown>[] = [];
      for (let number = 0; number < REQUESTS; number++) {
        const isPut = random() < 0.3;
        const call = client.begin({ method: isPut ? 'PUT' : 'GET', ...(isPut && { body: [] }) });
        if (isPut) call.write(Buffer.alloc(Math.floor(random() * 100_000)));
        if (isPut) setTimeout(() => call.end(), random() * 10);
        if (random() < 0.15) setTimeout(() => call.cancel(), random() * 50);
        calls.push(call.answer.then(() => (ended.answered += 1)).catch(() => (ended.broken += 1)));
        if (number % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await Promise.all(calls);
      assert.equal(ended.answered + ended.broken, REQUESTS);
      assert.ok(ended.answered > REQUESTS / 2, `${ended.answered} answers`);
      // The last answers may still be on their way to clients that are gone.
      await until(() => isQuiet(through.planes), 'nothing is under way', QUIET_DEADLINE_MS).catch((error: Error) => {
        const left = through.planes.map(({ plane }) => ({ status: plane.status(), clusters: (plane.configDump() as Dump).clusters }));
        throw new Error(`${error.message}, but: ${JSON.stringify(left)}`);
      });
      for (const { plane, faults } of through.planes) {
        for (const { underWay, pending, concurrency, hosts } of (plane.configDump() as Dump).clusters) {
          assert.deepEqual([underWay, pending, concurrency?.inFlight ?? 0], [0, 0, 0]);
          for (const { inFlight = 0 } of hosts.flatMap(({ balancers }) => Object.values(balancers))) assert.equal(inFlight, 0);
        }
        assert.deepEqual(faults, []);
      }
    });
  }
});
