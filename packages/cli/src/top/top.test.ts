import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PLAIN } from '../output/palette.ts';
import { TopAsking } from './asking.ts';
import { sections, type Traffic } from './model.ts';
import { screen } from './screen.ts';
import { TopSession } from './session.ts';

const golden = (rate: number, errors: number, p99Ms: number | null) => ({
  requestsPerSecond: rate,
  errorsPerSecond: errors,
  p50Ms: p99Ms,
  p99Ms,
});
const edge = (source: string, destination: string, rate: number) => ({
  ...{ source, destination, protocol: 'http1', retriesPerSecond: 0 },
  ...golden(rate, 0, 5),
});
const node = (id: string, rate: number, errors: number, p99: number | null, healthy: number) => ({
  ...{ id, kind: 'service', instances: { total: 2, healthy } },
  ...golden(rate, errors, p99),
});
const traffic: Traffic = {
  graph: {
    updated: '2026-01-31T12:00:00.000Z',
    nodes: [
      node('default/orders', 120.4, 0, 12, 2),
      node('shop/cart', 7, 3.5, 800, 1),
      node(`default/${'long'.repeat(20)}\x1b[2J`, 0, 0, null, 0),
    ],
    edges: [edge('default/web', 'default/orders', 120.4), edge('outside', 'shop/cart', 7)],
  },
  service: undefined,
  instances: [{ service: 'default/orders', instance: 'orders-1', ...golden(60, 0, 10) }],
  dataPlanes: [{ node: 'n1', version: 'heddle 0.1.0', inSync: true, process: { residentBytes: 52_428_800, openConnections: 12 } }],
};
const choice = { view: 'services', service: undefined, sort: 'rate', filter: '' } as const;

test('sorts by rate, errors, p99 and name, and shows only names that have what is looked for', () => {
  const names = (over: object): string[] => sections(traffic, { ...choice, ...over })[0]!.rows.map(({ name }) => name.slice(0, 9));
  assert.deepEqual(names({}), ['orders', 'shop/cart', 'longlongl']);
  assert.deepEqual(names({ sort: 'errors' })[0], 'shop/cart');
  assert.deepEqual(names({ sort: 'p99' })[0], 'shop/cart');
  assert.deepEqual(names({ sort: 'name' }), ['longlongl', 'orders', 'shop/cart']);
  assert.deepEqual(names({ filter: 'CART' }), ['shop/cart']);
});

test('fits every size of screen, whatever keys were pressed, and obeys no name', () => {
  const keys = fc.array(
    fc.constantFrom('1', '2', '3', '4', 'tab', 'down', 'up', 'w', '/', 'a', 'o', 'return', 'escape', 'backspace', 'r', 'p'),
  );
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 60 }), (pressed, columns, rows) => {
      const session = new TopSession(choice, 10_000);
      for (const [at, key] of pressed.entries()) {
        if (at === 1) session.take(traffic);
        session.press(key);
      }
      const lines = screen(session.frame(), { columns, rows }, PLAIN);
      assert.equal(lines.length, rows);
      for (const line of lines) assert.ok(line.length <= columns && !line.includes('\x1b'), JSON.stringify(line));
    }),
  );
});

test('looks into what is chosen and comes back, asks for another window, and keeps what it has while nobody answers', () => {
  const session = new TopSession(choice, 10_000);
  session.take(traffic);
  assert.equal(session.press('down'), 'draw');
  assert.equal(session.press('return'), 'ask');
  assert.deepEqual(session.question, { windowMs: 10_000, service: 'shop/cart' });
  assert.equal(session.press('escape'), 'ask');
  assert.equal(session.press('w'), 'ask');
  assert.deepEqual(session.question, { windowMs: 60_000, service: '' });
  session.fail('the control plane does not answer');
  const lines = screen(session.frame(), { columns: 80, rows: 24 }, PLAIN);
  assert.equal(lines.at(-1), 'the control plane does not answer');
  assert.match(lines[3]!, /^orders +120 +0\.0 +0\.0 +12\.0ms +12\.0ms +2\/2 *$/);
  for (const key of ['/', 'q', 'return']) assert.notEqual(session.press(key), 'quit');
  assert.equal(session.press('q'), 'quit');
  assert.equal(session.press('ctrl-c'), 'quit');
});

test('a control plane that answers later than it is asked again is waited for, and shown, or that it fails', async () => {
  const session = new TopSession(choice, 10_000);
  const open: PromiseWithResolvers<Traffic>[] = [];
  let drawn = 0;
  const asking = new TopAsking(
    session,
    () => {
      open.push(Promise.withResolvers<Traffic>());
      return open.at(-1)!.promise;
    },
    () => (drawn += 1),
  );
  const first = asking.again();
  await asking.again();
  assert.equal(open.length, 1);
  open[0]!.resolve(traffic);
  await first;
  assert.equal(session.frame().updated, traffic.graph.updated);
  const second = asking.again();
  await asking.again();
  open[1]!.reject(new Error('it does not answer'));
  await second;
  assert.deepEqual([open.length, drawn, session.frame().problem], [2, 2, 'it does not answer']);
  // What somebody asks by a key is asked at once, and the answer to what was asked before comes too late.
  const [old, fresh] = [asking.again(), asking.anew()];
  open[2]!.reject(new Error('too late'));
  await old;
  open[3]!.resolve(traffic);
  await fresh;
  assert.deepEqual([open.length, drawn, session.frame().problem], [4, 3, '']);
});
