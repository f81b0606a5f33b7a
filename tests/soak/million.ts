// A long life in short: a million requests through one proxy, then ten thousand connections that make one request each and stay open.
// Memory must be the same after them as it was once the proxy was warm.
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/ports.ts';
import { waitFor } from '../support/wait.ts';
import { Dice } from './support/dice.ts';
import { IdleConnection } from './support/idle-connection.ts';
import { inTurn, sendLoad } from './support/load.ts';
import type { MemorySample } from './support/memory.ts';
import { type HeldMemory, type Metrics, SoakedProxy } from './support/proxy.ts';

export interface MillionOptions {
  readonly requests: number;
  readonly connections: number;
  readonly say: (line: string) => void;
}

export interface RequestsReport {
  readonly requests: number;
  readonly answered: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** As it went, with its garbage. */
  readonly samples: readonly MemorySample[];
  /** After the first tenth, and at the end. */
  readonly warm: HeldMemory;
  readonly end: HeldMemory;
}

export interface ConnectionsReport {
  readonly how: 'http1' | 'http2';
  readonly connections: number;
  /** Of those that were opened, how many were answered at once. */
  readonly answered: number;
  /** Of some that were asked again after the silence, how many were answered. */
  readonly askedLater: number;
  readonly answeredLater: number;
  /** One more than the listener takes was closed without an answer; undefined where there were fewer. */
  readonly isSurplusRefused?: boolean;
  readonly before: HeldMemory;
  /** With all of them open and silent. */
  readonly open: HeldMemory;
  /** What the process got from the system for each, and what its objects and buffers are. */
  readonly residentKbEach: number;
  readonly heldKbEach: number;
  readonly after: HeldMemory;
}

export interface MillionReport {
  readonly load: RequestsReport;
  /** Opened and closed several times: what they leave behind would add up. */
  readonly idle: readonly ConnectionsReport[];
  readonly internalFaults: number;
}

const BACKEND = fileURLToPath(new URL('../../bench/programs/backend.ts', import.meta.url));
const BODY_BYTES = 1_000;
const STEP = 50_000;
/** The listener's `connectionsPerListenerMax`. */
const LISTENER_MAX = 10_000;
const OPENING_AT_ONCE = 100;
/** Silence of the open connections; below the 60 s after which the proxy closes them. */
const SILENCE_MS = 5_000;
const CYCLES: readonly ConnectionsReport['how'][] = ['http1', 'http2', 'http1', 'http2'];
/** Asked again one by one after the silence. */
const PROBED = 200;

export async function runMillion({ requests, connections, say }: MillionOptions): Promise<MillionReport> {
  const backends: ChildProcess[] = [];
  const backend = async (protocol: string): Promise<string> => {
    const port = await freePort();
    const child = spawn(process.execPath, [BACKEND, String(port), protocol, String(BODY_BYTES)], { stdio: 'ignore' });
    backends.push(child);
    process.once('exit', () => child.kill('SIGKILL'));
    return `127.0.0.1:${port}`;
  };
  const listeners = [{ service: 'web1' }, { service: 'web2' }];
  const services = { web1: { endpoints: [await backend('http1')] }, web2: { protocol: 'http2', endpoints: [await backend('http2')] } };
  let proxy: SoakedProxy | undefined;
  try {
    proxy = await SoakedProxy.start(listeners, services);
    const [web1 = 0, web2 = 0] = await proxy.ports(listeners);
    await waitFor('the backends', async () => (await askOnce(web1)) && (await askOnce(web2)));
    const load = await runRequests(proxy, [web1, web2], requests, say);
    const idle: ConnectionsReport[] = [];
    for (const how of CYCLES) {
      idle.push(await runConnections(proxy, web1, how, connections));
      say(JSON.stringify(idle.at(-1)));
    }
    return { load, idle, internalFaults: (await proxy.metrics()).sum('heddle_internal_faults_total') };
  } finally {
    await proxy?.stop();
    for (const child of backends) child.kill('SIGKILL');
  }
}

async function askOnce(port: number): Promise<boolean> {
  const connection = new IdleConnection(port, 'http1');
  const answered = await connection.ask();
  connection.close();
  return answered;
}

/** HTTP/1.1 and HTTP/2 to instances of both, in turn. */
async function runRequests(
  proxy: SoakedProxy,
  ports: readonly number[],
  requests: number,
  say: (line: string) => void,
): Promise<RequestsReport> {
  const step = Math.min(STEP, requests);
  const samples: MemorySample[] = [{ at: 0, residentMb: proxy.residentMb() }];
  const [startMs, startCpu] = [performance.now(), proxy.cpuSeconds()];
  let answered = 0;
  let warm: HeldMemory | undefined;
  for (let sent = 0, round = 0; sent < requests; sent += step, round++) {
    const plan = { port: ports[(round >> 1) % 2]!, how: round % 2 === 0 ? ('http1' as const) : ('http2' as const), requests: step };
    answered += await sendLoad(plan);
    samples.push({ at: sent + step, residentMb: proxy.residentMb() });
    if (sent + step >= requests / 10) warm ??= await proxy.heldMemory();
    say(
      `${(sent + step).toLocaleString('en-US')} requests, the last ${step.toLocaleString('en-US')} by ${plan.how}: ${samples.at(-1)!.residentMb.toFixed(1)} MB`,
    );
  }
  const [seconds, cpuSeconds] = [(performance.now() - startMs) / 1_000, proxy.cpuSeconds() - startCpu];
  await untilClosed(proxy);
  const end = await proxy.heldMemory();
  return { requests: samples.at(-1)!.at, answered, seconds, cpuSeconds, samples, warm: warm ?? end, end };
}

async function runConnections(proxy: SoakedProxy, port: number, how: ConnectionsReport['how'], count: number): Promise<ConnectionsReport> {
  const before = await proxy.heldMemory();
  const all: IdleConnection[] = [];
  try {
    const answered = await inTurn(count, OPENING_AT_ONCE, () => {
      const connection = new IdleConnection(port, how);
      all.push(connection);
      return connection.ask();
    });
    await delay(SILENCE_MS);
    const open = await proxy.heldMemory();
    const dice = new Dice(count);
    const probed = Array.from({ length: Math.min(PROBED, count) }, () => dice.pick(all));
    let answeredLater = 0;
    for (const connection of probed) if (await connection.ask()) answeredLater += 1;
    const surplus = count === LISTENER_MAX ? { isSurplusRefused: !(await askOnce(port)) } : {};
    for (const connection of all) connection.close();
    await untilClosed(proxy);
    const after = await proxy.heldMemory();
    const each = (more: (memory: HeldMemory) => number): number => ((more(open) - more(before)) * 1_024) / count;
    const residentKbEach = each(({ residentMb }) => residentMb);
    const heldKbEach = each(({ heapMb, outsideMb }) => heapMb + outsideMb);
    return {
      how,
      connections: count,
      answered,
      askedLater: probed.length,
      answeredLater,
      ...surplus,
      before,
      open,
      residentKbEach,
      heldKbEach,
      after,
    };
  } finally {
    for (const connection of all) connection.close();
  }
}

async function untilClosed(proxy: SoakedProxy): Promise<void> {
  const isClosed = (metrics: Metrics): boolean => metrics.sum('heddle_downstream_connections') === 0;
  await waitFor('the proxy to know of the closed connections', async () => isClosed(await proxy.metrics()));
}
