// What a mesh file says about requests, end to end: written to a file, compiled by the control plane, followed by data planes.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { RunningControl } from '@heddle/control';
import type { RunningProxy } from '@heddle/proxy';
import { ControlProcess } from '../support/control-process.ts';
import { type Load, startLoad, summarize } from '../support/load.ts';
import {
  type Answered,
  application,
  Cleanup,
  control,
  type ControlRef,
  host,
  LOOPBACK,
  machine,
  meshOf,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a workload; without it the operator calls. */
  readonly credential?: string;
}

/** One request through the shared HTTP proxy. */
async function ask(proxy: RunningProxy, url: string, { method = 'GET', headers = {}, credential }: Asked = {}): Promise<Answer> {
  const own = credential === undefined ? {} : { 'proxy-authorization': `Basic ${Buffer.from(`${credential}:`).toString('base64')}` };
  const asking = request({ ...through(proxy), method, path: url, headers: { host: new URL(url).host, ...headers, ...own } });
  asking.end();
  const [response] = await once(asking, 'response');
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

/** What the application that answered says. */
function said({ status, text }: Answer): Answered {
  assert.equal(status, 200, text);
  return { status, ...(JSON.parse(text) as Omit<Answered, 'status'>) };
}

/** How often each application answered. */
async function tally(count: number, call: (index: number) => Promise<Answer>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const { name } = said(await call(index));
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

async function listening(cleanup: Cleanup, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  cleanup.add(() => server.close());
  return (server.address() as AddressInfo).port;
}

const HEALTH = 'health: { interval: 500ms, timeout: 500ms }';
const RULES = `
  - service: shop
    rules:
      - { name: beta, match: { headers: { x-beta: "1" } }, to: { labels: { version: v2 } } }
      - { name: gold, match: { query: { tier: gold } }, to: { labels: { tier: gold, version: v1 } } }
      - name: canary
        match: { path: /canary/** }
        to: [{ labels: { version: v2 }, weight: 30 }, { labels: { version: v1 }, weight: 70, headers: { response: { set: { x-side: stable } } } }]
      - name: sides
        match: { path: /sides }
        splitBy: hash
        to: [{ labels: { version: v2 }, weight: 50 }, { labels: { version: v1 }, weight: 50 }]
      - { name: api, match: { path: "/v1/orders/{id}" }, rewrite: { path: "/orders/{id}", host: orders.example } }
      - name: marked
        match: { path: /marked, methods: [GET] }
        headers:
          request: { set: { x-caller: "%SOURCE_IDENTITY%" }, remove: [x-secret] }
          response: { set: { x-answered-by: heddle }, remove: [content-type] }
      - { name: moved, match: { path: /old/** }, redirect: { status: 308, prefix: /new, host: shop.example } }
      - { name: closed, match: { path: /closed }, respond: { status: 410, body: "gone for good", contentType: text/html } }
      - { name: limited, match: { path: /limited }, rateLimit: { requests: 3, per: 1h, by: { header: x-user } } }
      - { name: broken, match: { path: /broken }, fault: { abort: { status: 503 } } }
      - { name: late, match: { path: /late }, fault: { delay: { for: 80ms } } }
      - { name: shadow, match: { path: /shadow }, to: { labels: { version: v1 } }, mirror: { service: watcher } }
      - { name: nowhere, match: { path: /nowhere }, to: { labels: { version: v9 } } }
`;

function meshFile(outside: { readonly http: number; readonly bytes: number }): string {
  return `
mesh: test
services:
  shop: { port: 80, balance: { policy: round-robin, hash: [{ header: x-user }] }, ${HEALTH} }
  limited: { port: 81, rateLimit: { requests: 2, per: 1h, by: identity }, ${HEALTH} }
  sticky: { port: 82, balance: round-robin, sticky: { cookie: stay, ttl: 1h }, ${HEALTH} }
  watcher: { port: 83, ${HEALTH} }
routes:${RULES}
egress:
  - { host: 127.0.0.1, port: ${outside.http}, protocol: http }
  - { host: 127.0.0.1, port: ${outside.bytes}, protocol: tcp }
`;
}

describe('rules of a mesh file', () => {
  const cleanup = new Cleanup();
  const outside = { http: 0, bytes: 0 };
  const seenOutside: IncomingHttpHeaders[] = [];
  const watched: string[] = [];
  let plane: RunningControl;
  let near: RunningProxy;
  /** Of an instance of watcher. */
  let credential: string;
  before(async () => {
    outside.http = await listening(
      cleanup,
      createHttpServer((incoming, response) => {
        seenOutside.push(incoming.headers);
        response.end(`outside ${incoming.url}`);
      }),
    );
    outside.bytes = await listening(
      cleanup,
      createServer((socket) => void socket.on('error', () => {}).pipe(socket)),
    );
    plane = await control(cleanup, { mesh: meshOf(meshFile(outside)) });
    near = await machine(cleanup, plane, { node: 'near' });
    const far = await machine(cleanup, plane, { node: 'far' });
    for (const [name, over] of [
      ['shop-1', { version: 'v1' }],
      ['shop-2', { version: 'v1', labels: { tier: 'gold' } }],
      ['shop-3', { version: 'v2', labels: { tier: 'gold' } }],
      ['limited-1', {}],
      ['sticky-1', {}],
      ['sticky-2', {}],
    ] as const)
      await host(far, plane, name, (await application(cleanup, name)).port, over);
    const watcher = await application(cleanup, 'watcher-1');
    watcher.server.on('request', (incoming) => void watched.push(String(incoming.url)));
    ({ proxyCredential: credential } = await host(near, plane, 'watcher-1', watcher.port));
    await untilReady(near, far);
    await untilEndpoints(near, 'shop', ['shop-1', 'shop-2', 'shop-3']);
    await untilEndpoints(near, 'shop{version=v1}', ['shop-1', 'shop-2']);
    await untilEndpoints(near, 'limited', ['limited-1']);
    await untilEndpoints(near, 'sticky', ['sticky-1', 'sticky-2']);
    await untilEndpoints(near, 'watcher', ['watcher-1']);
  });
  after(() => cleanup.run());

  const shop = (path: string, asked?: Asked): Promise<Answer> => ask(near, `http://shop.mesh.internal${path}`, asked);

  test('what fits none goes to all instances, what a label chooses to those that have it', async () => {
    assert.deepEqual(await tally(6, () => shop('/')), { 'shop-1': 2, 'shop-2': 2, 'shop-3': 2 });
    assert.deepEqual(await tally(4, () => shop('/', { headers: { 'x-beta': '1' } })), { 'shop-3': 4 });
    assert.deepEqual(await tally(4, () => shop('/?tier=gold')), { 'shop-2': 4 });
    // The first rule that fits counts.
    assert.deepEqual(await tally(2, () => shop('/?tier=gold', { headers: { 'x-beta': '1' } })), { 'shop-3': 2 });
  });

  test('a split gives each side its share, and a side may mark its answers', async () => {
    const sides: Record<string, number> = { v1: 0, v2: 0 };
    for (let count = 0; count < 200; count++) {
      const answer = await shop('/canary/7');
      const side = said(answer).name === 'shop-3' ? 'v2' : 'v1';
      assert.equal(answer.headers['x-side'], side === 'v1' ? 'stable' : undefined);
      sides[side] = (sides[side] ?? 0) + 1;
    }
    // Six standard deviations from 60.
    assert.ok((sides['v2'] ?? 0) > 20 && (sides['v2'] ?? 0) < 100, JSON.stringify(sides));
  });

  test('a split by hash keeps each user on one side, and users are on both', async () => {
    const sides = new Set<string>();
    for (let user = 0; user < 24; user++) {
      const seen = await tally(4, () => shop('/sides', { headers: { 'x-user': `user-${user}` } }));
      const isNew = seen['shop-3'] !== undefined;
      assert.equal(Object.keys(seen).includes('shop-1') || Object.keys(seen).includes('shop-2'), !isNew, JSON.stringify(seen));
      sides.add(isNew ? 'v2' : 'v1');
    }
    assert.equal(sides.size, 2);
  });

  test('a rewrite changes path and host, and leaves the query', async () => {
    const { path, headers } = said(await shop('/v1/orders/42?full=1'));
    assert.deepEqual([path, headers['host']], ['/orders/42?full=1', 'orders.example']);
  });

  test('headers are set and removed on both ways, with the identity of the caller', async () => {
    const answer = await shop('/marked', { headers: { 'x-secret': 'yes', 'x-caller': 'somebody' }, credential });
    const { headers } = said(answer);
    assert.deepEqual([headers['x-caller'], headers['x-secret']], ['spiffe://test/ns/default/svc/watcher', undefined]);
    assert.deepEqual([answer.headers['x-answered-by'], answer.headers['content-type']], ['heddle', undefined]);
    const unmarked = await shop('/marked', { method: 'POST', headers: { 'x-secret': 'yes' } });
    assert.deepEqual([said(unmarked).headers['x-secret'], unmarked.headers['x-answered-by']], ['yes', undefined]);
  });

  test('a redirect and a fixed answer come from the data plane', async () => {
    const moved = await shop('/old/a/b?c=d');
    assert.deepEqual([moved.status, moved.headers.location], [308, 'http://shop.example/new/a/b?c=d']);
    const closed = await shop('/closed');
    assert.deepEqual([closed.status, closed.text, closed.headers['content-type']], [410, 'gone for good', 'text/html']);
  });

  test('a rate limit of a rule holds for each value of its header', async () => {
    const statuses = async (user: string): Promise<number[]> => {
      const all: number[] = [];
      for (let count = 0; count < 4; count++) all.push((await shop('/limited', { headers: { 'x-user': user } })).status);
      return all;
    };
    assert.deepEqual(await statuses('ann'), [200, 200, 200, 429]);
    assert.deepEqual(await statuses('bob'), [200, 200, 200, 429]);
    const refused = await shop('/limited', { headers: { 'x-user': 'ann' } });
    assert.equal(refused.headers['x-heddle-error'], 'RATE_LIMITED');
    assert.ok(Number(refused.headers['retry-after']) > 0);
  });

  test('a rate limit of the service holds at its instances, for each calling service', async () => {
    for (const over of [{}, { credential }]) {
      const seen: (string | undefined)[] = [];
      for (let count = 0; count < 3; count++) {
        const { status, headers } = await ask(near, 'http://limited/', { method: 'POST', ...over });
        seen.push(`${status} ${String(headers['x-heddle-error'] ?? '')}`.trim());
      }
      assert.deepEqual(seen, ['200', '200', '429 RATE_LIMITED']);
    }
  });

  test('faults: an abort in place of the service, and a delay before it', async () => {
    const broken = await shop('/broken');
    assert.deepEqual([broken.status, broken.headers['x-heddle-error']], [503, 'FAULT_INJECTED']);
    const startMs = performance.now();
    said(await shop('/late'));
    assert.ok(performance.now() - startMs >= 79);
  });

  test('a mirror sees a copy, and its answer is thrown away', async () => {
    const { name } = said(await shop('/shadow?n=1'));
    assert.match(name, /^shop-[12]$/);
    await waitFor('the copy', () => watched.includes('/shadow?n=1'));
  });

  test('where no instance has the labels, the answer says so', async () => {
    const { status, headers } = await shop('/nowhere');
    assert.deepEqual([status, headers['x-heddle-error']], [503, 'NO_HEALTHY_INSTANCE']);
  });

  test('a cookie keeps a client at its instance, others take turns', async () => {
    const first = await ask(near, 'http://sticky/');
    const [cookie] = first.headers['set-cookie'] ?? [];
    assert.match(cookie ?? '', /^stay=[^;]+; .*Max-Age=3600/i);
    const stays = { headers: { cookie: cookie?.split(';')[0] ?? '' } };
    assert.deepEqual(await tally(6, () => ask(near, 'http://sticky/', stays)), { [said(first).name]: 6 });
    assert.deepEqual(await tally(6, () => ask(near, 'http://sticky/')), { 'sticky-1': 3, 'sticky-2': 3 });
  });

  test('a host outside that the file lists is called, and is told nothing of the mesh', async () => {
    const answer = await ask(near, `http://127.0.0.1:${outside.http}/x?y=1`, { headers: { 'x-mine': 'yes' }, credential });
    assert.deepEqual([answer.status, answer.text], [200, 'outside /x?y=1']);
    const [headers] = seenOutside;
    assert.equal(headers?.['x-mine'], 'yes');
    assert.equal(headers?.host, `127.0.0.1:${outside.http}`);
    for (const name of ['proxy-authorization', 'x-heddle-peer']) assert.equal(headers?.[name], undefined, name);
  });

  test('bytes go to a host outside by CONNECT', async () => {
    const asking = request({ ...through(near), method: 'CONNECT', path: `127.0.0.1:${outside.bytes}` });
    asking.end();
    const [response, socket] = await once(asking, 'connect');
    assert.equal(response.statusCode, 200);
    socket.end('there and back');
    let text = '';
    for await (const chunk of socket) text += chunk;
    assert.equal(text, 'there and back');
  });

  test('other hosts and ports are refused, and the answer says what to do', async () => {
    for (const authority of ['api.example.com', 'localhost', '127.0.0.1:1']) {
      const { status, headers, text } = await ask(near, `http://${authority}/`);
      assert.deepEqual([status, headers['x-heddle-error']], [403, 'EGRESS_REFUSED'], authority);
      assert.match(text, /outside the mesh .*\(asked for .*\) Add it to `egress`/);
    }
    const asking = request({ ...through(near), method: 'CONNECT', path: 'api.example.com:443' });
    asking.end();
    const [response, socket] = await once(asking, 'connect');
    socket.destroy();
    assert.deepEqual([response.statusCode, response.headers['x-heddle-error']], [403, 'EGRESS_REFUSED']);
    const missing = await ask(near, 'http://shopp.mesh.internal/');
    assert.deepEqual([missing.status, missing.headers['x-heddle-error']], [404, 'NO_SUCH_SERVICE']);
  });
});

describe('rules that change', () => {
  const cleanup = new Cleanup();
  let process: ControlProcess;
  let plane: ControlRef;
  let near: RunningProxy;
  const file = (rules: string): string =>
    `mesh: test\nservices: { shop: { port: 80, ${HEALTH} } }\nroutes: [{ service: shop, rules: [${rules}] }]\n`;
  const LIMITED = '{ match: { path: /limited }, rateLimit: { requests: 2, per: 1h } }';
  const OLD = `${LIMITED}, { name: old, to: { labels: { version: v1 } } }`;
  const NEW = `${LIMITED}, { name: new, to: { labels: { version: v2 } } }`;
  before(async () => {
    process = new ControlProcess(cleanup, await temporaryDirectory(cleanup));
    plane = await process.start(file(OLD));
    near = await machine(cleanup, plane, { node: 'near' });
    for (const [name, version] of [
      ['shop-1', 'v1'],
      ['shop-2', 'v2'],
    ] as const)
      await host(near, plane, name, (await application(cleanup, name)).port, { version });
    await untilReady(near);
    await untilEndpoints(near, 'shop', ['shop-1', 'shop-2']);
  });
  after(() => cleanup.run());

  const answering = async (): Promise<string> => said(await ask(near, 'http://shop/')).name;
  const limited = async (): Promise<number> => (await ask(near, 'http://shop/limited')).status;
  function steadyLoad(): Load {
    const load = startLoad({ proxy: through(near), url: 'http://shop/' }, 100);
    cleanup.add(() => load.stop());
    return load;
  }
  async function noneFailed(load: Load): Promise<void> {
    const outcomes = await load.stop();
    assert.deepEqual(summarize(outcomes), { 200: outcomes.length }, outcomes.find(({ status }) => status !== 200)?.body ?? '');
  }

  test('a mesh file that is read again changes them while requests go on, and fails none', async () => {
    await waitFor('v1', async () => (await answering()) === 'shop-1');
    assert.deepEqual([await limited(), await limited(), await limited()], [200, 200, 429]);
    const load = steadyLoad();
    for (const [rules, name] of [
      [NEW, 'shop-2'],
      [OLD, 'shop-1'],
      [NEW, 'shop-2'],
    ] as const) {
      await process.reload(file(rules));
      await waitFor(`${name} to answer`, async () => (await answering()) === name);
    }
    await noneFailed(load);
    assert.equal(await limited(), 429, 'a limit that stayed the same counts on');
  });

  test('a file with a mistake changes nothing and is told', async () => {
    await process.reload(file('{ name: nonsense, to: { labels: { version: v1 } }, redirect: { path: /x } }'));
    await waitFor('the complaint', () => /nonsense|redirect/.test(process.output));
    assert.equal(await answering(), 'shop-2');
  });

  test('they hold while the control plane is away, and after its return', async () => {
    const load = steadyLoad();
    await process.end('SIGKILL');
    assert.equal(await answering(), 'shop-2');
    assert.equal(await limited(), 429);
    plane = await process.start(file(NEW));
    await waitFor('the data plane to follow again', () => near.missing().length === 0);
    assert.equal(await answering(), 'shop-2');
    assert.equal(await limited(), 429);
    await process.reload(file(OLD));
    await waitFor('v1', async () => (await answering()) === 'shop-1');
    await noneFailed(load);
  });
});
