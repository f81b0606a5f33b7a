// Several worker processes behind one port: what they count, what survives when one is killed, and who else may have the port.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { callThroughProxy, type Outcome } from '../support/load.ts';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { childrenOf, httpBackend, type HttpBackend, isAlive, ProxyProcess } from '../support/proxy-process.ts';
import { heddle } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

let cleanup: Cleanup;
let directory: string;
let backend: HttpBackend;
beforeEach(async () => {
  cleanup = new Cleanup();
  directory = await temporaryDirectory(cleanup);
  backend = await httpBackend(cleanup, 'a');
});
afterEach(() => cleanup.run());

const fileFor = (endpoint: string, port = 0): string =>
  `listeners: [{ port: ${port}, service: web }]\nservices: { web: { endpoints: ["${endpoint}"], retry: off } }\n`;

/** Over a connection of its own unless there is an agent. */
function get(port: number, path = '/', agent = new Agent()): Promise<Outcome> {
  return callThroughProxy({ proxy: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}${path}` }, agent);
}

function allOk(outcomes: readonly Outcome[]): void {
  assert.deepEqual(
    outcomes.filter(({ status }) => status !== 200).map(({ status, error, body }) => `${status} ${error} ${body}`),
    [],
  );
}

interface WorkerDump {
  readonly worker: number;
  readonly pid: number;
  readonly state: string;
  readonly restarts: number;
  readonly status: { readonly openConnections: number };
}

async function workerDumps(proxy: ProxyProcess): Promise<WorkerDump[]> {
  return ((await (await proxy.ask('/config_dump')).json()) as { workers: WorkerDump[] }).workers;
}

/** Connections that have sent nothing yet. */
async function openConnections(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}));
  cleanup.add(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

/** The whole answer, or what became of the connection. */
async function answerOn(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => void (text += chunk.toString('latin1')));
  socket.write('GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  return text.slice(0, text.indexOf('\r'));
}

describe('workers', () => {
  it('share the connections of a port, and their counts are one sum', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '3']);
    const port = await proxy.port('web');
    assert.equal(proxy.workers().length, 3);
    await openConnections(port, 60);
    const dumps = await waitFor('all accepted', async () => {
      const seen = await workerDumps(proxy);
      return seen.reduce((sum, { status }) => sum + status.openConnections, 0) === 60 && seen;
    });
    // Each gets its share by chance: none for one of three is as likely as 60 throws of a die without a five or six.
    assert.ok(
      dumps.every(({ status }) => status.openConnections > 0),
      JSON.stringify(dumps),
    );
    assert.equal(((await (await proxy.ask('/status')).json()) as { openConnections: number }).openConnections, 60);
    assert.equal(await proxy.metric('heddle_downstream_connections'), 60);
    allOk(await Promise.all(Array.from({ length: 40 }, () => get(port))));
    assert.equal(await proxy.metric('heddle_requests_total', 'class="2xx"'), 40);
    assert.equal(await proxy.metric('heddle_workers'), 3);
  });

  it('are one for each core, four at most, unless a number is given; one is this process itself', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '1']);
    // The file was read by a process of its own, which ends by itself.
    await waitFor('no process beside it', () => proxy.workers().length === 0);
    const bad = await heddle(['proxy', '--static', proxy.file, '--workers', '0']);
    assert.equal(bad.code, 2);
    assert.match(bad.stderr, /--workers.*expected a whole number from 1 to 64/);
    assert.match((await heddle(['proxy', '--help'])).stdout, /--workers <number>[^]*one for each core, at\s+most 4/);
  });

  it('go on when one of them is killed, and another takes its place', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    allOk(await Promise.all(Array.from({ length: 30 }, () => get(port))));
    // Counts are told at least once a second.
    assert.equal(await proxy.metric('heddle_requests_total', 'class="2xx"'), 30);
    const slow = Array.from({ length: 24 }, () => get(port, '/slow'));
    await waitFor('all requests in flight', () => backend.slowCalls === 24);
    const before = await workerDumps(proxy);
    const [victim, survivor] = before;
    assert.ok(victim && survivor);
    process.kill(victim.pid, 'SIGKILL');
    await waitFor('its end to be known', () => proxy.lines('a worker has ended').length === 1);
    // At once: the other one takes everything that arrives.
    allOk(await Promise.all(Array.from({ length: 50 }, () => get(port))));
    await waitFor('another worker', () => proxy.lines('a new worker serves').length === 1);
    backend.release();
    const outcomes = await Promise.all(slow);
    assert.equal(outcomes.filter(({ status }) => status === 200).length, survivor.status.openConnections);
    assert.equal(outcomes.filter(({ status }) => status === 0).length, victim.status.openConnections);
    allOk(await Promise.all(Array.from({ length: 30 }, () => get(port))));
    const after = await workerDumps(proxy);
    assert.deepEqual(
      after.map(({ state, restarts }) => [state, restarts]),
      [
        ['up', 1],
        ['up', 0],
      ],
    );
    assert.notEqual(after[0]?.pid, victim.pid);
    assert.equal(after[1]?.pid, survivor.pid);
    assert.equal(await proxy.metric('heddle_requests_total', 'class="2xx"'), 30 + 50 + survivor.status.openConnections + 30);
    assert.equal(await proxy.metric('heddle_worker_restarts_total'), 1);
  });

  it('leave no connection behind that waits to be accepted, though all are killed', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    for (const round of [1, 2]) {
      const workers = proxy.workers();
      for (const pid of workers) process.kill(pid, 'SIGSTOP');
      const waiting = await openConnections(port, 200);
      const answers = Promise.all(waiting.map(answerOn));
      for (const pid of workers) process.kill(pid, 'SIGKILL');
      assert.deepEqual([...new Set(await answers)], ['HTTP/1.1 200 OK']);
      await waitFor('both again', () => proxy.lines('a new worker serves').length === 2 * round);
    }
    const pauses = proxy.lines('a worker has ended').map(({ delayMs }) => delayMs);
    assert.deepEqual(pauses, [0, 0, 400, 400], 'the pause grows');
  });

  it('let nobody else have their port, and take none that somebody has', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    const server = createServer();
    cleanup.add(() => server.close());
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => void server.once('error', resolve).listen(port, '127.0.0.1'));
    assert.equal(error.code, 'EADDRINUSE');
    const sharing = createServer().listen({ port: 0, host: '127.0.0.1', reusePort: true });
    cleanup.add(() => sharing.close());
    await once(sharing, 'listening');
    for (const taken of [port, (sharing.address() as AddressInfo).port])
      for (const workers of ['1', '2']) {
        const file = join(directory, 'taken.yaml');
        await writeFile(file, fileFor(backend.endpoint, taken));
        const refused = await heddle(['proxy', '--static', file, '--admin-port', '0', '--workers', workers]);
        assert.equal(refused.code, 1, refused.stderr);
        assert.match(refused.stderr, new RegExp(`cannot listen on 127.0.0.1:${taken}: another process`));
      }
    allOk([await get(port)]);
  });

  it('take a new file in, keep ports that stay and give up those that go', async () => {
    const other = await httpBackend(cleanup, 'b');
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    await proxy.reload(fileFor(other.endpoint));
    assert.equal(await proxy.port('web'), port);
    for (let sent = 0; sent < 10; sent++) assert.equal((await get(port)).body, 'b');
    await proxy.reload(fileFor(backend.endpoint).replaceAll('web', 'shop'));
    assert.equal((await get(await proxy.port('shop'))).body, 'a');
    assert.match((await get(port)).error, /ECONNREFUSED/);
    // What a worker has to know that starts later.
    process.kill(proxy.workers()[0] ?? 0, 'SIGKILL');
    await waitFor('another worker', () => proxy.lines('a new worker serves').length === 1);
    const shop = await proxy.port('shop');
    allOk(await Promise.all(Array.from({ length: 20 }, () => get(shop))));
  });

  for (const [how, stop] of [
    ['SIGTERM', (proxy: ProxyProcess) => void proxy.process.kill('SIGTERM')],
    ['POST /drain', (proxy: ProxyProcess) => void proxy.ask('/drain', 'POST')],
  ] as const)
    it(`let requests in flight end after ${how}, and take no new ones`, async () => {
      const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
      const port = await proxy.port('web');
      const workers = proxy.workers();
      const slow = Array.from({ length: 8 }, () => get(port, '/slow'));
      await waitFor('the requests to arrive', () => backend.slowCalls === 8);
      stop(proxy);
      await waitFor('a refusal', async () => (await get(port)).error.includes('ECONNREFUSED'));
      assert.equal((await proxy.ask('/ready')).status, 503);
      backend.release();
      allOk(await Promise.all(slow));
      assert.equal(await proxy.ended, 0);
      await waitFor('the workers to be gone', () => !workers.some(isAlive));
    });

  it('finish what is in flight and free the port when the primary is killed', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    const workers = proxy.workers();
    const slow = get(port, '/slow');
    await waitFor('the request to arrive', () => backend.slowCalls === 1);
    proxy.process.kill('SIGKILL');
    await waitFor('a refusal', async () => (await get(port)).error.includes('ECONNREFUSED'));
    const elsewhere = await temporaryDirectory(cleanup);
    const next = await ProxyProcess.start(cleanup, elsewhere, fileFor(backend.endpoint, port), ['--workers', '2']);
    allOk([await get(port)]);
    backend.release();
    allOk([await slow]);
    await waitFor('the old workers to be gone', () => !workers.some(isAlive));
    assert.equal(childrenOf(next.pid).length, 2);
  });
});

it('an empty join token is none', async () => {
  const result = await heddle(['proxy', '--control', '127.0.0.1:1', '--anonymous-calls', '--state-dir', directory], {
    env: { ...process.env, HEDDLE_JOIN_TOKEN: '' },
  });
  assert.equal(result.code, 2);
  assert.match(result.stderr, /there is no join token/);
});
