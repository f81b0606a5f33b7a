// `heddle proxy --static` as a real process: what its file says is what it does, also after the file has changed.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { callThroughProxy, type Outcome } from '../support/load.ts';
import { heddle } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

interface Backend {
  readonly endpoint: string;
  readonly server: Server;
  /** What its health check and its other pages answer with. */
  status: number;
  /** Lets the answers to `/slow` go. */
  release(): void;
  slowCalls: number;
}

interface Listed {
  readonly name: string;
  readonly port: number;
  readonly state: string;
}

class StaticProxy {
  readonly file: string;
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;
  output = '';
  #admin = 0;

  constructor(directory: string) {
    this.file = join(directory, 'proxy.yaml');
    // One process: the rotation over endpoints is each worker's own.
    const options = [
      '--static',
      this.file,
      '--workers',
      '1',
      '--admin-port',
      '0',
      '--admin-token-file',
      `${this.file}.token`,
      '--log-format',
      'json',
    ];
    this.process = spawn(process.execPath, heddleArguments('proxy', ...options), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (chunk: string) => void (this.output += chunk));
    this.ended = new Promise((resolve) => this.process.once('close', resolve));
  }

  async ready(): Promise<void> {
    this.#admin = Number(await waitFor('the admin port', () => /"admin":\{[^}]*"port":(\d+)/.exec(this.output)?.[1]));
    await waitFor('readiness', async () => (await fetch(`http://127.0.0.1:${this.#admin}/ready`)).ok);
  }

  async ask(path: string, method = 'GET'): Promise<Response> {
    const token = (await readFile(`${this.file}.token`, 'utf8')).trim();
    return fetch(`http://127.0.0.1:${this.#admin}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
  }

  async listeners(): Promise<Listed[]> {
    return ((await (await this.ask('/status')).json()) as { listeners: Listed[] }).listeners;
  }

  async port(service: string): Promise<number> {
    const found = (await this.listeners()).find(({ name }) => name.includes(`/${service}/`));
    assert.ok(found, `no listener of ${service}`);
    return found.port;
  }

  /** Resolves when the new text has been taken in or refused. */
  async reload(text: string): Promise<void> {
    const answers = () => this.output.match(/the file was (read again|not taken in)/g)?.length ?? 0;
    const before = answers();
    await writeFile(this.file, text);
    this.process.kill('SIGHUP');
    await waitFor('the reload', () => answers() > before);
  }
}

/** Over a connection of its own, unless there is an agent. */
function get(port: number, path = '/', agent = new Agent()): Promise<Outcome> {
  return callThroughProxy({ proxy: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}${path}` }, agent);
}

async function bodies(port: number, count: number): Promise<string> {
  const seen: string[] = [];
  for (let sent = 0; sent < count; sent++) {
    const { status, body } = await get(port);
    seen.push(status === 200 ? body : String(status));
  }
  return seen.sort().join('');
}

async function startBackend(name: string): Promise<Backend> {
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    const answer = () => response.writeHead(backend.status).end(name);
    if (request.url !== '/slow') return void answer();
    backend.slowCalls += 1;
    waiting.push(answer);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const backend: Backend = {
    endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    status: 200,
    slowCalls: 0,
    release: () => {
      for (const answer of waiting.splice(0)) answer();
    },
  };
  return backend;
}

describe('a proxy without a control plane', () => {
  let a: Backend;
  let b: Backend;
  let directory: string;
  let running: StaticProxy | undefined;
  before(async () => {
    [a, b] = [await startBackend('a'), await startBackend('b')];
    directory = await mkdtemp(join(tmpdir(), 'heddle-static-'));
  });
  afterEach(async () => {
    a.status = b.status = 200;
    running?.process.kill('SIGKILL');
    await running?.ended;
    running = undefined;
  });
  after(async () => {
    for (const { server } of [a, b]) {
      server.close();
      server.closeAllConnections();
    }
    await rm(directory, { recursive: true, force: true });
  });

  async function start(text: string): Promise<StaticProxy> {
    await writeFile(join(directory, 'proxy.yaml'), text);
    running = new StaticProxy(directory);
    await running.ready();
    return running;
  }

  it('shares requests and connections among the endpoints, in turn', async () => {
    const endpoints = `["${a.endpoint}", "${b.endpoint}"]`;
    const proxy = await start(`
listeners: [{ port: 0, service: web }, { port: 0, protocol: tcp, service: raw }]
services:
  web: { balance: round-robin, endpoints: ${endpoints} }
  raw: { protocol: tcp, balance: round-robin, endpoints: ${endpoints} }
`);
    assert.equal(await bodies(await proxy.port('web'), 6), 'aaabbb');
    assert.equal(await bodies(await proxy.port('raw'), 6), 'aaabbb');
    const dump = (await (await proxy.ask('/config_dump')).json()) as { clusters: unknown[]; routes: unknown[] };
    assert.deepEqual([dump.clusters.length, dump.routes.length], [2, 1]);
    assert.match(await (await proxy.ask('/metrics')).text(), /heddle_active_requests/);
    assert.equal((await proxy.ask('/workloads')).status, 404);
  });

  it('carries the bytes of a server that speaks first', async () => {
    const server = createTcpServer((socket) => void socket.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const proxy = await start(
        `listeners: [{ port: 0, protocol: tcp, service: raw }]\nservices: { raw: { protocol: tcp, endpoints: ["127.0.0.1:${port}"] } }\n`,
      );
      const socket = connect(await proxy.port('raw'), '127.0.0.1');
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk) => void (text += String(chunk)));
      await once(socket, 'end');
      assert.equal(text, 'hello');
    } finally {
      server.close();
    }
  });

  it('leaves out an endpoint whose checks fail until they pass again', async () => {
    const proxy = await start(`
listeners: [{ port: 0, service: web }]
services:
  web: { balance: round-robin, endpoints: ["${a.endpoint}", "${b.endpoint}"], health: { http: /healthz, interval: 100ms }, retry: off }
`);
    const port = await proxy.port('web');
    await waitFor('both', async () => (await bodies(port, 4)) === 'aabb');
    b.status = 500;
    await waitFor('only a', async () => (await bodies(port, 4)) === 'aaaa');
    b.status = 200;
    await waitFor('both again', async () => (await bodies(port, 4)) === 'aabb');
  });

  it('takes a new file in at SIGHUP, leaving connections and ports that stay as they are', async () => {
    const one = (endpoint: string) =>
      `listeners: [{ port: 0, service: web }]\nservices: { web: { protocol: http, endpoints: ["${endpoint}"] } }\n`;
    const proxy = await start(one(a.endpoint));
    const port = await proxy.port('web');
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<number | undefined>();
    agent.on('free', (socket) => sockets.add(socket.localPort));
    assert.equal((await get(port, '/', agent)).body, 'a');
    await proxy.reload(one(b.endpoint));
    assert.equal((await get(port, '/', agent)).body, 'b');
    await waitFor('the connection to be free', () => sockets.size > 0);
    assert.equal(sockets.size, 1);
    agent.destroy();

    await proxy.reload(
      `listeners: [{ port: 0, protocol: tcp, service: raw }]\nservices: { raw: { protocol: tcp, endpoints: ["${a.endpoint}"] } }\n`,
    );
    assert.equal((await get(await proxy.port('raw'))).body, 'a');
    assert.match((await get(port)).error, /ECONNREFUSED/);
    const dump = (await (await proxy.ask('/config_dump')).json()) as { clusters: { name: string }[]; routes: unknown[] };
    assert.deepEqual([dump.clusters.map(({ name }) => name), dump.routes], [['static/raw'], []]);
  });

  it('keeps everything as it is when the new file has problems or wants a port that is taken', async () => {
    const good = `listeners: [{ port: 0, service: web }]\nservices: { web: { endpoints: ["${a.endpoint}"] } }\n`;
    const proxy = await start(good);
    const before = await proxy.listeners();
    await proxy.reload(good.replace('service: web', 'service: wep'));
    assert.match(proxy.output, /proxy\.yaml:1:33: error: .*there is no service.*did you mean/);
    await proxy.reload(`
listeners: [{ port: 0, service: web }, { port: 0, service: other }, { port: ${b.endpoint.split(':')[1]}, service: other }]
services: { web: { endpoints: ["${b.endpoint}"] }, other: { endpoints: ["${a.endpoint}"] } }
`);
    assert.match(proxy.output, /cannot listen on .* holds that port/);
    assert.deepEqual(await proxy.listeners(), before);
    assert.equal((await get(before[0]?.port ?? 0)).body, 'a');
  });

  for (const [how, stop] of [
    ['SIGTERM', (proxy: StaticProxy) => void proxy.process.kill('SIGTERM')],
    ['POST /drain', (proxy: StaticProxy) => void proxy.ask('/drain', 'POST')],
  ] as const) {
    it(`lets a request in flight end after ${how}, and takes no new ones`, async () => {
      const proxy = await start(`listeners: [{ port: 0, service: web }]\nservices: { web: { endpoints: ["${a.endpoint}"] } }\n`);
      const port = await proxy.port('web');
      const before = a.slowCalls;
      const slow = get(port, '/slow');
      await waitFor('the request to arrive', () => a.slowCalls > before);
      stop(proxy);
      await waitFor('a refusal', async () => (await get(port)).error.includes('ECONNREFUSED'));
      assert.equal((await proxy.ask('/ready')).status, 503);
      a.release();
      assert.deepEqual([(await slow).status, (await slow).body], [200, 'a']);
      assert.equal(await proxy.ended, 0);
    });
  }

  it('does not start with a bad file, a port that is taken, or options for a control plane', async () => {
    const file = join(directory, 'bad.yaml');
    const proxy = (...more: string[]) => heddle(['proxy', '--static', file, '--admin-port', '0', ...more]);
    assert.match((await proxy()).stderr, /bad\.yaml cannot be read: there is no such file/);

    await writeFile(file, 'listeners: [{ port: 1, service: web, tls: {} }]\nservices: { web: { endpoints: ["localhost:1"] } }\n');
    const bad = await proxy();
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /bad\.yaml has 3 problems/);
    assert.match(bad.stderr, /bad\.yaml:1:38: error: .*tls\.cert: is missing/);
    assert.match(bad.stderr, /bad\.yaml:2:32: error: .*names are not looked up/);

    const taken = a.endpoint.split(':')[1];
    await writeFile(file, `listeners: [{ port: ${taken}, service: web }]\nservices: { web: { endpoints: ["${b.endpoint}"] } }\n`);
    const used = await proxy();
    assert.equal(used.code, 1);
    assert.match(used.stderr, new RegExp(`${taken}[^]*mend: stop the process that holds the port`));

    const conflict = await proxy('--control', '127.0.0.1:15010');
    assert.equal(conflict.code, 2);
    assert.match(conflict.stderr, /--static <file>.* cannot be used with .*--control/);
  });
});
