// A proxy that is reloaded, and one that gives way to a new process, under load: no request fails, whether its connection is old or new.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { callThroughProxy, type Outcome } from '../support/load.ts';
import * as planes from '../support/planes.ts';
import { httpBackend, type HttpBackend, isAlive, ProxyProcess } from '../support/proxy-process.ts';
import { waitFor } from '../support/wait.ts';

let cleanup: planes.Cleanup;
let directory: string;
let backend: HttpBackend;
beforeEach(async () => {
  cleanup = new planes.Cleanup();
  directory = await planes.temporaryDirectory(cleanup);
  backend = await httpBackend(cleanup, 'a');
});
afterEach(() => cleanup.run());

const fileFor = (...endpoints: readonly string[]): string =>
  `listeners: [{ port: 0, service: web }]\nservices: { web: { endpoints: ${JSON.stringify(endpoints)}, retry: off } }\n`;

function get(port: number, path = '/', agent = new Agent()): Promise<Outcome> {
  return callThroughProxy({ proxy: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}${path}` }, agent);
}

/** One request after the other over kept connections, and others over a new connection each, until told to stop. */
class Load {
  readonly failures: string[] = [];
  requests = 0;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #running: Promise<void>[];
  #isStopped = false;

  constructor(send: (agent: Agent | undefined) => Promise<Outcome>) {
    const run = async (agent: Agent | undefined): Promise<void> => {
      while (!this.#isStopped) {
        const { status, error, body } = await send(agent);
        this.requests += 1;
        if (status !== 200) this.failures.push(`${agent === undefined ? 'new' : 'kept'} connection: ${status} ${error} ${body}`);
      }
    };
    this.#running = Array.from({ length: 8 }, (_, index) => run(index % 2 === 0 ? this.#agent : undefined));
    cleanup.add(() => this.stop());
  }

  /** Resolves when so many further requests have ended. */
  async more(count: number): Promise<void> {
    const goal = this.requests + count;
    await waitFor(`${count} more requests`, () => this.requests >= goal, 60_000);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running);
    this.#agent.destroy();
  }
}

describe('a proxy without a control plane', () => {
  for (const workers of ['1', '2'])
    it(`fails no request while its file is read again and again, with ${workers} at work`, async () => {
      const other = await httpBackend(cleanup, 'b');
      const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', workers]);
      const port = await proxy.port('web');
      const load = new Load((agent) => get(port, '/', agent));
      for (let round = 0; round < 5; round++) {
        await load.more(200);
        await proxy.reload(fileFor(...(round % 2 === 0 ? [other.endpoint] : [backend.endpoint, other.endpoint])));
      }
      await load.more(200);
      await load.stop();
      assert.deepEqual(load.failures, []);
      assert.equal(proxy.lines('not taken in').length, 0);
    });

  for (const workers of ['1', '2'])
    it(`fails no request when new processes take over, with ${workers} at work`, async () => {
      const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', workers]);
      const port = await proxy.port('web');
      const load = new Load((agent) => get(port, '/', agent));
      for (let round = 0; round < 2; round++) {
        await load.more(300);
        const before = proxy.pid;
        const pid = await proxy.upgrade();
        assert.notEqual(pid, before);
        await proxy.ready();
        assert.equal(await proxy.port('web'), port, 'a port that the system chose stays');
        await load.more(300);
        await waitFor('the old process to end', () => !isAlive(before));
      }
      await load.stop();
      assert.deepEqual(load.failures, []);
      assert.equal(await proxy.ended, 0);
      assert.equal(proxy.workers().length, workers === '1' ? 0 : 2);
    });

  it('lets long connections and idle ones end in their own time', async () => {
    const echo = createServer((socket) => void socket.pipe(socket));
    cleanup.add(() => echo.close());
    await once(echo.listen(0, '127.0.0.1'), 'listening');
    const proxy = await ProxyProcess.start(
      cleanup,
      directory,
      `listeners: [{ port: 0, service: web }, { port: 0, protocol: tcp, service: raw }]
services: { web: { endpoints: ["${backend.endpoint}"] }, raw: { protocol: tcp, endpoints: ["127.0.0.1:${(echo.address() as AddressInfo).port}"] } }
`,
      ['--workers', '2'],
    );
    const [web, raw] = [await proxy.port('web'), await proxy.port('raw')];
    const long = connect(raw, '127.0.0.1');
    cleanup.add(() => long.destroy());
    let text = '';
    long.setEncoding('utf8').on('data', (chunk) => void (text += String(chunk)));
    long.write('before ');
    await waitFor('the echo', () => text === 'before ');
    const slow = get(web, '/slow');
    await waitFor('the request to arrive', () => backend.slowCalls === 1);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanup.add(() => agent.destroy());
    assert.equal((await get(web, '/', agent)).status, 200);
    const before = proxy.pid;
    await proxy.upgrade();
    // The idle connection of the old process takes one more request, and is closed after its answer.
    assert.equal((await get(web, '/', agent)).status, 200);
    assert.equal((await get(web, '/', agent)).status, 200);
    long.write('after');
    await waitFor('the echo', () => text === 'before after');
    assert.ok(isAlive(before));
    backend.release();
    assert.equal((await slow).status, 200);
    long.end();
    await waitFor('the old process to end', () => !isAlive(before));
    assert.equal(await proxy.ended, 0);
  });

  it('goes on as before when the new process fails, and says why', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2']);
    const port = await proxy.port('web');
    const { pid } = proxy;
    const good = await readFile(proxy.file, 'utf8');
    await writeFile(proxy.file, good.replace('service: web', 'service: wep'));
    process.kill(pid, 'SIGUSR2');
    await waitFor('the failure', () => proxy.lines('the upgrade has failed').length === 1);
    assert.match(proxy.lines('the upgrade has failed')[0]?.reason ?? '', /exit code 1.*before it was ready/);
    assert.match(proxy.output, /there is no service/);
    assert.equal(proxy.pid, pid);
    assert.equal((await proxy.ask('/ready')).status, 200);
    for (let sent = 0; sent < 20; sent++) assert.equal((await get(port)).status, 200);
    await writeFile(proxy.file, good);
    assert.notEqual(await proxy.upgrade(), pid);
    assert.equal((await get(port)).status, 200);
  });

  it('refuses to be replaced under a supervisor that knows it by its process id', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), [], { HEDDLE_SUPERVISOR: 'heddle up' });
    const { pid } = proxy;
    process.kill(pid, 'SIGUSR2');
    await waitFor('the refusal', () => proxy.lines('the upgrade was refused').length === 1);
    assert.equal(proxy.pid, pid);
    assert.equal((await get(await proxy.port('web'))).status, 200);
  });

  it('stops at once when it is told to while old connections end', async () => {
    const proxy = await ProxyProcess.start(cleanup, directory, fileFor(backend.endpoint), ['--workers', '2', '--drain', '1s']);
    const slow = get(await proxy.port('web'), '/slow');
    await waitFor('the request to arrive', () => backend.slowCalls === 1);
    const before = proxy.pid;
    await proxy.upgrade();
    proxy.process.kill('SIGTERM');
    assert.equal(await proxy.ended, 0);
    assert.notEqual((await slow).status, 200);
    assert.ok(!isAlive(before));
    assert.equal((await get(await proxy.port('web'))).status, 200);
  });
});

it('a proxy of a mesh hands over its workloads: they stay registered, with their ports, and no call fails', async () => {
  const { LOOPBACK } = planes;
  const control = await planes.control(cleanup);
  const app = await planes.application(cleanup, 'echo-1');
  const caller = await planes.machine(cleanup, control, { node: 'caller' });
  const token = await planes.joinToken(control, 'operator', 'heddle-system');
  const options = ['--node', 'n1', '--control', `${LOOPBACK}:${control.port}`, '--outbound-port', '0', '--state-dir', directory];
  const proxy = new ProxyProcess(directory, [...options, '--workers', '2'], { HEDDLE_JOIN_TOKEN: token });
  cleanup.add(() => proxy.kill());
  await waitFor('the admin API', async () => (await proxy.ask('/healthz')).ok);
  const spec = {
    application: { address: LOOPBACK, port: app.port },
    inbound: { address: LOOPBACK, port: 0 },
    outbounds: [{ namespace: 'default', service: 'web', listen: { address: LOOPBACK, port: 0 } }],
  };
  const put = async (more: object = {}): Promise<planes.Workload> => {
    const response = await proxy.ask('/workloads/default/echo/echo-1', 'PUT', { ...spec, ...more });
    assert.equal(response.status, 200, await response.clone().text());
    return (await response.json()) as planes.Workload;
  };
  const bound = await put({ joinToken: await planes.joinToken(control, 'echo') });
  await proxy.ready();
  await planes.untilEndpoints(caller, 'echo', ['echo-1']);
  const through = planes.through(caller);
  const load = new Load((agent) => callThroughProxy({ proxy: through, url: 'http://echo.mesh.internal/' }, agent));
  await load.more(100);
  const before = proxy.pid;
  await proxy.upgrade();
  await proxy.ready();
  await load.more(100);
  await waitFor('the old process to end', () => !isAlive(before), 90_000);
  await load.more(100);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(await proxy.ended, 0);
  assert.deepEqual(await put(), bound, 'the same again changes nothing');
  const { workloads } = (await (await proxy.ask('/workloads')).json()) as { workloads: planes.HostedStatus[] };
  assert.deepEqual(
    workloads.map(({ workload, registered, health }) => [workload, registered, health]),
    [['default/echo/echo-1', true, 'healthy']],
  );
  assert.equal((await planes.instances(control)).get('echo-1')?.inbound?.port, bound.inbound.port);
  assert.equal(proxy.lines('another data plane has registered this instance').length, 0);
});
