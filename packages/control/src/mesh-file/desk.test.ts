// What holds after a file was applied, a split was changed, and the control plane was started again: with a real store on a real disk.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseMeshFile } from '@heddle/core/config';
import { openAuditLog } from '../audit/log.ts';
import type { Doer } from '../audit/entry.ts';
import { openEmbeddedStore } from '../registry/embedded/store.ts';
import { openRegistry } from '../registry/registry.ts';
import { ManualClock } from '../testing/clock.ts';
import { RecordedEvents } from '../testing/events.ts';
import { silent } from '../testing/mesh.ts';
import { openMeshFile } from './desk.ts';
import type { MeshFileDesk } from './desk.ts';
import { MeshFileError } from './read.ts';

const ANN: Doer = { caller: { kind: 'administrator', role: 'editor', id: undefined, uri: 'admin token ann' }, from: '127.0.0.1:1' };
const FILE = `mesh: shop
services:
  web: { port: 8000, run: node web.js }
  orders: { port: 8081 }
routes:
  - service: orders
    rules:
      - name: canary
        to: [{ labels: { version: v1 }, weight: 90 }, { labels: { version: v2 }, weight: 10 }]
`;
const APPLIED = FILE.replace('orders: { port: 8081 }', 'orders: { port: 8082, timeout: 2s }');
const V1 = { labels: { version: 'v1' }, weight: 70 };
const V2 = { labels: { version: 'v2' }, weight: 30 };

const directory = await mkdtemp(join(tmpdir(), 'heddle-mesh-file-'));
after(() => rm(directory, { recursive: true, force: true }));

interface Sides {
  readonly origin?: string;
  readonly changes: readonly string[];
  readonly to: readonly { readonly weight: number }[];
}
interface Entry {
  readonly who: string;
  readonly action: string;
  readonly before: Sides;
  readonly after: Sides;
}

/** A control plane's life, of which only this part is lived. */
async function life(
  name: string,
  text: string,
): Promise<{
  desk: MeshFileDesk;
  events: RecordedEvents;
  port: () => number;
  weights: () => unknown;
  audit: () => Promise<unknown[]>;
  end: () => Promise<void>;
}> {
  const clock = new ManualClock();
  const events = new RecordedEvents();
  const store = openEmbeddedStore({ path: join(directory, `${name}.sqlite`), clock });
  const registry = await openRegistry({ store, logger: silent, events, clock });
  const audit = await openAuditLog({ path: undefined, clock, logger: silent });
  const path = '/etc/heddle/heddle.yaml';
  const { mesh } = parseMeshFile(text, { path });
  const desk = await openMeshFile(mesh!, { path, text }, { store, registry, audit, events, clock, logger: silent });
  const orders = () => registry.service('default/orders')!.service;
  return {
    ...{ desk, events },
    port: () => orders().port,
    weights: () => orders().rules.map(({ action }) => (action.kind === 'forward' ? action.to.map(({ weight }) => weight) : [])),
    audit: async () => (await audit.list()).map(({ who, action, before, after: now }) => ({ who, action, before, after: now })),
    end: async () => {
      await audit.close();
      registry.close();
      await store.close();
    },
  };
}

test('what was applied, and a split on top of it, stay over restarts until the file itself changes', async () => {
  const first = await life('stays', FILE);
  assert.deepEqual([first.desk.status().origin, first.desk.status().revision, first.port()], ['file', 1, 8081]);
  const { changes, notes } = await first.desk.apply({ text: APPLIED, files: {} }, ANN);
  assert.deepEqual(
    changes.map(({ kind, name, fields }) => [kind, name, fields.map(({ path, before, after: now }) => [path, before, now])]),
    [
      [
        'service',
        'default/orders',
        [
          ['port', 8081, 8082],
          ['timeoutMs', 15_000, 2_000],
        ],
      ],
    ],
  );
  assert.deepEqual(notes, []);
  await first.desk.setSplit('default/orders', 'canary', [V2, V1], ANN, 2);
  assert.deepEqual(first.weights(), [[70, 30]]);
  assert.match(first.events.of('service-changed').at(-1)!, /rules: canary orders\{version=v1\} 90 → 70, orders\{version=v2\} 10 → 30/);
  assert.match(first.events.of('mesh-file-applied')[0]!, /by admin token ann: 1 change: service default\/orders/);
  const [declared, applied, split] = (await first.audit()) as Entry[];
  assert.deepEqual(
    [declared?.action, applied?.action, applied?.who, split?.action],
    ['declare-mesh', 'apply-mesh-file', 'admin token ann', 'set-split'],
  );
  assert.deepEqual([applied?.before.origin, applied?.after.origin, applied?.after.changes.length], ['file', 'applied', 1]);
  assert.deepEqual([split?.before.to[0]?.weight, split?.after.to[0]?.weight], [90, 70]);
  await first.end();

  const second = await life('stays', FILE);
  assert.deepEqual(
    [second.port(), second.weights(), second.desk.status().origin, second.desk.status().revision],
    [8082, [[70, 30]], 'applied', 3],
  );
  assert.match(
    second.events.of('mesh-file-kept')[0]!,
    /the file is unchanged since.*admin token ann applied at 2023.*split of "canary" of default\/orders/,
  );
  assert.deepEqual(
    second.desk.status().differences.map(({ kind }) => kind),
    ['service', 'rule'],
  );
  await second.end();

  const third = await life('stays', FILE.replace('8081', '9000'));
  assert.deepEqual([third.port(), third.weights(), third.desk.status().origin, third.desk.status().splits], [9000, [[90, 10]], 'file', []]);
  assert.match(third.events.of('mesh-file-read')[0]!, /the file counts.*admin token ann/);
  assert.deepEqual(third.desk.status().differences, []);
  await third.end();
});

test('reading the file again while it is unchanged changes nothing, and applying its own text goes back to it', async () => {
  const { desk, weights, end } = await life('again', FILE);
  const { mesh } = parseMeshFile(FILE, { path: '/etc/heddle/heddle.yaml' });
  const read = () => desk.read(mesh!, { path: '/etc/heddle/heddle.yaml', text: FILE });
  await desk.setSplit('default/orders', 'canary', [V1, V2], ANN);
  await read();
  assert.deepEqual(weights(), [[70, 30]]);
  const { changes } = await desk.apply({ text: FILE, files: {} }, ANN);
  assert.deepEqual(
    changes.map(({ rule, fields }) => [rule, fields.map(({ path }) => path)]),
    [['canary', ['action.to[orders{version=v1}].weight', 'action.to[orders{version=v2}].weight']]],
  );
  assert.deepEqual([weights(), desk.status().origin, desk.status().splits], [[[90, 10]], 'file', []]);
  // Weights as in the file leave nothing behind.
  await desk.setSplit('default/orders', 'canary', [V1, V2], ANN);
  await desk.setSplit(
    'default/orders',
    'canary',
    [
      { ...V1, weight: 90 },
      { ...V2, weight: 10 },
    ],
    ANN,
  );
  assert.deepEqual(desk.status().splits, []);
  await end();
});

test('what a file says about processes, secrets and files of other machines is told, and nothing is half applied', async () => {
  const { desk, port, end } = await life('told', FILE);
  const before = desk.status();
  const text = APPLIED.replace('node web.js', 'node other.js').concat(
    'security:\n  issuers: [{ name: login, issuer: "https://id.example", audiences: [a], keys: { file: keys.json }, introspection: { url: "https://id.example/i", clientId: me, clientSecretFile: secret.txt } }]\n',
  );
  await assert.rejects(desk.apply({ text, files: {} }, ANN), (error: MeshFileError) => {
    assert.match(error.problems[0]!.reason, /"keys.json" cannot be read: its content was not sent along/);
    assert.equal(error.problems[0]!.line, 11);
    return error instanceof MeshFileError;
  });
  const keys = JSON.stringify({ keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }] });
  const dry = await desk.apply({ text, files: { 'keys.json': keys } }, ANN, { isDryRun: true });
  assert.deepEqual(
    dry.changes.map(({ kind, change, name }) => `${change} ${kind} ${name}`),
    ['changed service default/orders', 'added issuer login'],
  );
  assert.match(dry.notes.join('\n'), /processes of default\/web stay.*\n.*secret in \/etc\/heddle\/secret\.txt is read by data planes/s);
  await assert.rejects(desk.apply({ text: 'mesh: other\nservices: {}\n', files: {} }, ANN), /name and trust domain cannot change/);
  await assert.rejects(desk.apply({ text: APPLIED, files: {} }, ANN, { expectedRevision: 7 }), { code: 'CONFLICT', revision: 1 });
  assert.deepEqual([desk.status(), port()], [before, 8081]);
  await end();
});

test('a split takes weights of the destinations that there are, of all of them, and says which', async () => {
  const { desk, end } = await life('split', FILE);
  const set = (weights: readonly object[], rule = 'canary', key = 'default/orders') => desk.setSplit(key, rule, weights as never, ANN);
  await assert.rejects(set([V1]), /no weight is given for orders\{version=v2\}/);
  await assert.rejects(
    set([V1, { labels: { version: 'v3' }, weight: 1 }]),
    /does not lead to \{version=v3\}; there are orders\{version=v1\}, orders\{version=v2\}/,
  );
  await assert.rejects(set([{ service: 'orders', weight: 1 }, V1]), /in several ways/);
  await assert.rejects(set([V1, V1]), /two weights/);
  await assert.rejects(
    set([
      { ...V1, weight: 0 },
      { ...V2, weight: 0 },
    ]),
    /all weights are 0/,
  );
  await assert.rejects(set([V1, V2], 'gone'), /has no rule "gone"; those that split traffic: "canary"/);
  await assert.rejects(set([V1, V2], 'canary', 'default/gone'), { code: 'NOT_FOUND' });
  assert.equal(desk.status().revision, 1);
  await end();
});
