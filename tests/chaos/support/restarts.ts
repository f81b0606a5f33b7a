// Rolling restarts of a real mesh under load: `heddle up` with three instances of a service, a second proxy on the same control plane, and clients
// at both. One instance after the other is restarted, in turn, as often as it is wanted.
import { request } from 'node:http';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunningMesh, startUp } from '../../support/up.ts';
import { waitFor } from '../../support/wait.ts';
import { type Edge, startEdge } from './edge.ts';
import { type SteadyCounts, SteadyLoad } from './steady-load.ts';

const URL_OF_ECHO = 'http://echo.mesh.internal/';
const INSTANCES = ['echo-1', 'echo-2', 'echo-3'];
const MESH = `
mesh: test
services:
  echo:
    port: 8080
    uses: []
    health: { http: /healthz, interval: 1s, timeout: 800ms }
    env: { ECHO_ENDS: at-once }
    run: exec {{ECHO}}
    replicas: ${INSTANCES.length}
`;

export interface RestartsOptions {
  /** Of single instances. */
  readonly count: number;
  /** Of all clients together. */
  readonly requestsPerSecond: number;
  readonly say: (line: string) => void;
}

export interface RestartsReport {
  readonly restarts: number;
  readonly seconds: number;
  /** From the call to the healthy instance. */
  readonly restartP50Ms: number;
  readonly restartMaxMs: number;
  /** Processes of each instance that answered a request. */
  readonly processes: Readonly<Record<string, number>>;
  readonly clients: Readonly<Record<string, SteadyCounts>>;
}

interface UpInfo {
  readonly doorPort: number;
}

export async function runRestarts({ count, requestsPerSecond, say }: RestartsOptions): Promise<RestartsReport> {
  const mesh = await startUp(MESH);
  let edge: Edge | undefined;
  const loads = new Map<string, SteadyLoad>();
  try {
    edge = await startEdge(mesh, URL_OF_ECHO);
    const { port: outboundPort } = edge.proxy;
    const rate = requestsPerSecond / 4;
    const begin = (name: string, proxyPort: number, how: 'http1' | 'http2', method: 'GET' | 'POST', url: string): void =>
      void loads.set(name, new SteadyLoad({ name, proxyPort, how, method, url, requestsPerSecond: rate }));
    begin('up http1 GET', mesh.proxy.port, 'http1', 'GET', URL_OF_ECHO);
    begin('up http2 POST', mesh.proxy.port, 'http2', 'POST', URL_OF_ECHO);
    begin('edge http1 POST, slow', outboundPort, 'http1', 'POST', `${URL_OF_ECHO}?delay=40`);
    begin('edge http2 GET', outboundPort, 'http2', 'GET', URL_OF_ECHO);
    await waitFor('all clients to be answered by all instances', () =>
      [...loads.values()].every(({ counts }) => Object.keys(counts.byInstance).length === INSTANCES.length),
    );
    const startMs = performance.now();
    const tookMs: number[] = [];
    const pids = new Map<string, Set<number>>(INSTANCES.map((instance) => [instance, new Set()]));
    for (let done = 0; done < count; done += 1) {
      const instance = INSTANCES[done % INSTANCES.length] ?? '';
      const beganMs = performance.now();
      await restart(mesh, instance);
      tookMs.push(performance.now() - beganMs);
      pids.get(instance)?.add(await mesh.pid(instance));
      if ((done + 1) % 20 === 0) say(progressLine(done + 1, loads));
    }
    await waitFor('every client to be answered after the last one', moreAnswers(loads));
    const seconds = (performance.now() - startMs) / 1_000;
    const clients = Object.fromEntries(await Promise.all([...loads].map(async ([name, load]) => [name, await load.stop()] as const)));
    const sorted = tookMs.toSorted((a, b) => a - b);
    return {
      restarts: count,
      seconds,
      restartP50Ms: Math.round(sorted[sorted.length >> 1] ?? 0),
      restartMaxMs: Math.round(sorted.at(-1) ?? 0),
      processes: Object.fromEntries([...pids].map(([instance, { size }]) => [instance, size])),
      clients,
    };
  } finally {
    await Promise.all([...loads.values()].map((load) => load.stop()));
    await edge?.stop();
    await mesh.stop();
  }
}

/** As `heddle restart` does it, without a process of its own. */
async function restart(mesh: RunningMesh, instance: string): Promise<void> {
  const { doorPort } = JSON.parse(await readFile(join(mesh.stateDirectory, 'up.json'), 'utf8')) as UpInfo;
  const token = (await readFile(join(mesh.stateDirectory, 'operator.token'), 'utf8')).trim();
  const lines = await new Promise<string>((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const sent = request({ host: '127.0.0.1', port: doorPort, path: '/restart', method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        text += piece;
      });
      response.on('error', reject);
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
    sent.end(JSON.stringify({ name: instance, tellMs: 30_000, force: false }));
  });
  if (!lines.includes('{"outcome":"complete"}')) throw new Error(`${instance} was not restarted: ${lines}\n${mesh.output().slice(-2_000)}`);
}

function moreAnswers(loads: ReadonlyMap<string, SteadyLoad>): () => boolean {
  const before = new Map([...loads].map(([name, { counts }]) => [name, counts.sent]));
  return () => [...loads].every(([name, { counts }]) => counts.answered + counts.failed > (before.get(name) ?? 0) + 20);
}

function progressLine(done: number, loads: ReadonlyMap<string, SteadyLoad>): string {
  const all = [...loads.values()].map(({ counts }) => counts);
  const sum = (count: (counts: SteadyCounts) => number): number => all.reduce((total, counts) => total + count(counts), 0);
  return `${done} restarts, ${sum(({ answered }) => answered).toLocaleString('en-US')} answers, ${sum(({ failed }) => failed)} failures`;
}
