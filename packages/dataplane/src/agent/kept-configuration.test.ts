import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { decodeResource, encodeResource, TYPE_URLS } from '@heddle/api';
import type { ResourceUpdate } from '../data-plane.ts';
import { type LogLine, recordingLogger, TestClock, until } from '../identity/testing/control.ts';
import { endpoint, meshCluster } from '../testing/mesh.ts';
import { ConfigurationKeeper } from './kept-configuration.ts';

const CLUSTER = meshCluster('orders');
const SET = { cluster: CLUSTER.name, endpoints: [endpoint(1, 'orders-1')] };
const CLUSTERS: ResourceUpdate = { kind: 'cluster', upserts: [CLUSTER], removed: [] };
const ENDPOINTS: ResourceUpdate = { kind: 'endpoints', upserts: [SET], removed: [] };

type Bench = ReturnType<typeof bench>;

function bench(t: TestContext, directory = mkdtempSync(join(tmpdir(), 'heddle-kept-'))) {
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const clock = new TestClock();
  const lines: LogLine[] = [];
  const keeper = (node = 'n1'): ConfigurationKeeper =>
    new ConfigurationKeeper({ directory, node, syncedMs: () => clock.wallMs(), clock, logger: recordingLogger(lines) });
  return { directory, file: join(directory, '.configuration'), clock, lines, keeper };
}

test('what was applied is kept, with its version and age, for its owner only', async (t) => {
  const { clock, file, keeper } = bench(t);
  const first = keeper();
  first.applied(CLUSTERS);
  first.applied(ENDPOINTS);
  assert.equal(existsSync(file), false, 'not at once');
  clock.advance(1_000);
  const keptMs = clock.wallMs();
  await until('written', () => existsSync(file) && statSync(file).mtimeMs === keptMs);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const kept = await keeper().load();
  assert.equal(kept?.keptMs, keptMs);
  assert.deepEqual(
    kept?.resources.map(({ kind, name, version, value }) => [version, decodeResource(kind, { typeUrl: TYPE_URLS[kind], value }, name)]),
    [
      [encodeResource('cluster', CLUSTER).version, CLUSTER],
      [encodeResource('endpoints', SET).version, SET],
    ],
  );
  // Nothing changes, and the control plane goes on saying so.
  clock.advance(60_000);
  await until('marked', () => statSync(file).mtimeMs === clock.wallMs());
  first.leave();
  assert.equal(clock.sleepers, 0);
});

test('changes are written together, seconds apart, and what is removed is gone', async (t) => {
  const { clock, file, keeper } = bench(t);
  const first = keeper();
  first.applied(CLUSTERS);
  clock.advance(1_000);
  await until('written', () => existsSync(file));
  const before = statSync(file).ino;
  for (let change = 2; change < 50; change++) {
    first.applied({ ...ENDPOINTS, upserts: [{ ...SET, endpoints: [endpoint(change, 'orders-1')] }] });
    clock.advance(100);
  }
  assert.equal(statSync(file).ino, before, 'not for each change');
  first.applied({ kind: 'cluster', upserts: [], removed: [CLUSTER.name] });
  await first.close();
  assert.deepEqual(
    (await keeper().load())?.resources.map(({ kind, name }) => [kind, name]),
    [['endpoints', CLUSTER.name]],
  );
  assert.equal(clock.sleepers, 0);
});

test('what is damaged, of another data plane or not there counts as absent, and why is told', async (t) => {
  const { file, lines, keeper }: Bench = bench(t);
  assert.equal(await keeper().load(), undefined);
  assert.equal(lines.length, 0);
  const first = keeper();
  first.applied(CLUSTERS);
  await first.close();
  const good = readFileSync(file, 'utf8');
  assert.notEqual(await keeper().load(), undefined);
  for (const [text, reason] of [
    ['', /JSON/],
    [good.slice(0, -40), /JSON/],
    [good.split('\n')[0] ?? '', /not complete/],
    [good.replace('"format":1', '"format":2'), /format 2/],
    [good.replace(TYPE_URLS.cluster, 'something.else'), /a resource in it/],
  ] as const) {
    lines.length = 0;
    writeFileSync(file, text);
    assert.equal(await keeper().load(), undefined);
    assert.match(lines.map((line) => line.text).join(), reason);
  }
  writeFileSync(file, good);
  assert.equal(await keeper('n2').load(), undefined);
  assert.match(lines.map((line) => line.text).join(), /of the data plane \\"n1\\"/);
});

test('a disk that takes nothing is told once', async (t) => {
  const { directory, clock, lines, keeper }: Bench = bench(t);
  rmSync(directory, { recursive: true });
  writeFileSync(directory, 'a file in place of the directory');
  const first = keeper();
  first.applied(CLUSTERS);
  clock.advance(1_000);
  await until('told', () => lines.length === 1);
  first.applied(ENDPOINTS);
  await first.close();
  assert.equal(lines.length, 1);
});
