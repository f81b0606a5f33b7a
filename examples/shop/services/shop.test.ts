// The shop without any mesh: its services find one another by plain addresses, and behave as services should.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

const DEADLINE_MS = 20_000;
const running: ChildProcess[] = [];
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly url: string;
  readonly exit: Promise<number | null>;
}

/** Starts a service on a free port and waits until it says that it listens. */
function start(command: readonly string[], environment: Record<string, string> = {}): Promise<Started> {
  const child = spawn(command[0]!, command.slice(1), {
    cwd: join(import.meta.dirname, '..'),
    env: { PATH: process.env['PATH'], HOST: '127.0.0.1', PORT: '0', HEDDLE_INSTANCE: 'test-1', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  running.push(child);
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => reject(new Error(`${command.join(' ')} does not listen: ${text}`)), DEADLINE_MS);
    child.stdout?.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const port = Number(/listens on \D*(?:127\.0\.0\.1:)?(\d+)/.exec(text)?.[1]);
      if (!(port > 0)) return;
      clearTimeout(timer);
      resolve({ child, port, url: `http://127.0.0.1:${port}`, exit });
    });
    child.once('error', reject);
  });
}

const service = (name: string, environment?: Record<string, string>): Promise<Started> =>
  start([process.execPath, `services/${name}.ts`], environment);

interface Reply {
  readonly status: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever a service answers; the assertions say what it must be.
  readonly body: any;
}

async function get(url: string, init?: RequestInit): Promise<Reply> {
  const response = await fetch(url, init);
  const text = await response.text();
  return {
    status: response.status,
    body: response.headers.get('content-type')?.startsWith('application/json') === true ? JSON.parse(text) : text,
  };
}

async function until(what: string, probe: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!(await probe())) {
    if (performance.now() > deadlineMs) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const python = spawnSync('python3', ['--version']).status === 0;

describe('the shop', async () => {
  // Nothing arrives while the tests count what is left.
  const inventory = await service('inventory', { RESTOCK_MS: '3600000' });
  const stock = { INVENTORY_HOST: '127.0.0.1', INVENTORY_PORT: String(inventory.port) };
  const orders = await service('orders', stock);

  it('takes orders, reserves stock for them, and refuses what makes no sense', async () => {
    const post = (body: string): Promise<Reply> => get(`${orders.url}/orders`, { method: 'POST', body });
    assert.deepEqual(await post('{"item":"loom","quantity":2}'), { status: 201, body: { number: 'test-1/1', item: 'loom', quantity: 2 } });
    for (const body of ['{"item":"horse"}', '{"item":"loom","quantity":0}', '{"item":"loom","quantity":11}', '[]', 'loom']) {
      assert.equal((await post(body)).status, 400, body);
    }
    assert.equal((await post(`{"item":"${'x'.repeat(20_000)}"}`)).status, 413);
    const { status, body } = await get(`${orders.url}/`);
    assert.deepEqual({ status, body }, { status: 200, body: { service: 'orders', instance: 'test-1', taken: 1 } });
    assert.equal((await get(`${orders.url}/elsewhere`)).status, 404);
    assert.deepEqual((await get(`${orders.url}/healthz`)).body, { status: 'ok' });
  });

  it('shows the catalog with stock, and copes without prices', async () => {
    const catalog = await service('catalog', { ...stock, PRICING_URL: 'http://127.0.0.1:9' });
    const { body } = await get(`${catalog.url}/items`);
    assert.equal(body.items.length, 4);
    assert.equal(body.items[0].price, null);
    // Two of 500 were ordered above.
    assert.equal(body.items[0].available, 498);
  });

  it('has a front page that calls the catalog by address and orders through the HTTP proxy', async () => {
    const catalog = await service('catalog', stock);
    // What the mesh's proxy does with a request for http://orders.mesh.internal/, in the smallest form.
    const proxy = createServer((incoming, response) => {
      assert.equal(incoming.headers.host, 'orders.mesh.internal');
      const { pathname } = new URL(incoming.url ?? '');
      const outgoing = request(`${orders.url}${pathname}`, { method: incoming.method, headers: incoming.headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      incoming.pipe(outgoing);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    after(() => proxy.close());
    const web = await service('web', {
      CATALOG_URL: catalog.url,
      HTTP_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      NO_PROXY: '127.0.0.1',
    });
    const page = (await get(`${web.url}/`)).body;
    assert.deepEqual([page.web, page.catalog.items.length, page.orders.taken], ['test-1', 4, 1]);
    assert.equal((await get(`${web.url}/buy?item=wool`, { method: 'POST' })).status, 201);
    assert.match((await get(`${web.url}/`, { headers: { accept: 'text/html' } })).body, /<td>Table loom[^]*2 orders taken by test-1/);
    const visitors = await service('visitors', { WEB_URL: web.url });
    await until('visits', async () => (await get(`${visitors.url}/`)).body.answered >= 5);
    visitors.child.kill('SIGTERM');
    assert.equal(await visitors.exit, 0);
  });

  it('prices in Python', { skip: python || process.env.HEDDLE_REQUIRE_INTEROP === '1' ? false : 'there is no python3' }, async () => {
    const pricing = await start(['python3', 'services/pricing.py']);
    const { body } = await get(`${pricing.url}/prices`);
    assert.equal(body.prices.loom, 249);
    assert.equal((await get(`${pricing.url}/healthz`)).status, 200);
    pricing.child.kill('SIGTERM');
    assert.equal(await pricing.exit, 0);
  });

  it('finishes running requests on SIGTERM, then ends with exit code 0', async () => {
    const last = await service('orders', stock);
    // A body that is not complete yet keeps the request running. The service says that it wants one once it has begun with the request:
    // a connection that it has not read from yet would count as idle, and be closed.
    const slow = request(`${last.url}/orders`, { method: 'POST', headers: { 'content-type': 'application/json', expect: '100-continue' } });
    const begun = new Promise<void>((resolve, reject) => void slow.on('continue', resolve).on('error', reject));
    const answered = new Promise<number | undefined>((resolve, reject) => {
      slow.on('response', (response) => resolve(response.resume().statusCode));
      slow.on('error', reject);
    });
    slow.write('{"item":');
    await begun;
    last.child.kill('SIGTERM');
    await until('the end of listening', () =>
      fetch(`${last.url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    slow.end('"wool"}');
    assert.equal(await answered, 201);
    assert.equal(await last.exit, 0);
    inventory.child.kill('SIGTERM');
    assert.equal(await inventory.exit, 0);
  });
});
