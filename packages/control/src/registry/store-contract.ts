// What every driver of the Store port must do: one suite, run by each driver's test file. A driver that cannot turn back
// time (`clock`) or be opened twice (`reopen`) says so and the cases that need it are left out visibly.
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../testing/clock.ts';
import { until } from '../testing/wait.ts';
import { StoreError } from './store.ts';
import type { Store, StoreErrorCode, StoreEvent, StoreOperation } from './store.ts';

export interface StoreDriver {
  readonly name: string;
  /** Opens the store anew, empty. `historyRevisions` as the driver can. */
  open(clock: ManualClock, historyRevisions: number): Promise<Store>;
  /** Closes and opens the same data again. Undefined: the data does not outlive the store. */
  readonly reopen?: (store: Store, clock: ManualClock, historyRevisions: number) => Promise<Store>;
  cleanUp(): Promise<void>;
}

const HISTORY = 32;

function put(key: string, value = key, lease?: string): StoreOperation {
  return lease === undefined ? { kind: 'put', key, value } : { kind: 'put', key, value, lease };
}

function fails(code: StoreErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof StoreError && error.code === code;
}

async function write(store: Store, ...operations: StoreOperation[]): Promise<number> {
  const result = await store.transact({ conditions: [], operations });
  assert.equal(result.succeeded, true);
  return result.revision;
}

interface Seen {
  readonly batches: { revision: number; events: readonly StoreEvent[] }[];
  readonly errors: StoreError[];
  readonly caughtUp: number[];
  close(): void;
}

function watch(store: Store, prefix: string, fromRevision: number): Seen {
  const batches: Seen['batches'] = [];
  const errors: StoreError[] = [];
  const caughtUp: number[] = [];
  const handle = store.watch(
    prefix,
    fromRevision,
    (events, revision) => batches.push({ revision, events }),
    (error) => errors.push(error),
    (revision) => caughtUp.push(revision),
  );
  return { batches, errors, caughtUp, close: () => handle.close() };
}

/** What the watcher saw, as `12 +key=value` and `13 -key`. */
function lines(seen: Seen): string[] {
  return seen.batches.flatMap(({ revision, events }) =>
    events.map((event) =>
      event.kind === 'put'
        ? `${revision} +${event.entry.key}=${event.entry.value}`
        : `${revision} -${event.key}${event.expired ? ' expired' : ''}`,
    ),
  );
}

export function storeContract(driver: StoreDriver): void {
  describe(`store contract: ${driver.name}`, () => {
    let clock: ManualClock;
    let store: Store;
    beforeEach(async () => {
      clock = new ManualClock();
      store = await driver.open(clock, HISTORY);
    });
    afterEach(() => store.close());
    after(() => driver.cleanUp());
    const current = {
      store: () => store,
      clock: () => clock,
      replace: (next: Store) => {
        store = next;
      },
    };
    transactions(current);
    leases(current);
    watching(current);
    closing(current);
    if (driver.reopen !== undefined) reopening(current, driver.reopen);
    modelled(driver);
  });
}

interface Current {
  store(): Store;
  clock(): ManualClock;
  replace(next: Store): void;
}

function transactions({ store }: Current): void {
  test('a put is read back with its revisions, and versions count from 1', async () => {
    const first = await write(store(), put('/a', 'one'));
    const second = await write(store(), put('/a', 'two'));
    assert.equal(second, first + 1);
    assert.deepEqual(await store().get('/a'), {
      key: '/a',
      value: 'two',
      createRevision: first,
      modRevision: second,
      version: 2,
      lease: undefined,
    });
    await write(store(), { kind: 'delete', key: '/a' });
    assert.equal(await store().get('/a'), undefined);
    const again = await write(store(), put('/a', 'three'));
    assert.deepEqual(await store().get('/a'), {
      key: '/a',
      value: 'three',
      createRevision: again,
      modRevision: again,
      version: 1,
      lease: undefined,
    });
  });

  test('a list has the keys of the prefix only, sorted, with the revision at which it was true', async () => {
    const revision = await write(store(), put('/b/2'), put('/b/1'), put('/b'), put('/c/1'), put('/a/1'), put('/b0'));
    const listed = await store().list('/b/');
    assert.deepEqual(
      listed.entries.map((entry) => entry.key),
      ['/b/1', '/b/2'],
    );
    assert.equal(listed.revision, revision);
    assert.equal((await store().list('')).entries.length, 6);
  });

  test('a condition that does not hold stops everything', async () => {
    const revision = await write(store(), put('/a', 'one'));
    const refused = await store().transact({
      conditions: [
        { key: '/a', modRevision: revision },
        { key: '/b', modRevision: 7 },
      ],
      operations: [put('/a', 'two'), put('/c')],
    });
    assert.deepEqual(refused, { succeeded: false, revision });
    assert.equal((await store().get('/a'))?.value, 'one');
    assert.equal(await store().get('/c'), undefined);
    const done = await store().transact({
      conditions: [
        { key: '/a', modRevision: revision },
        { key: '/b', modRevision: 0 },
      ],
      operations: [put('/a', 'two')],
    });
    assert.deepEqual(done, { succeeded: true, revision: revision + 1 });
  });

  test('of many who create the same key at once, exactly one succeeds', async () => {
    const results = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        store().transact({ conditions: [{ key: '/lock', modRevision: 0 }], operations: [put('/lock', String(index))] }),
      ),
    );
    assert.equal(results.filter((result) => result.succeeded).length, 1);
    assert.equal((await store().get('/lock'))?.value, String(results.findIndex((result) => result.succeeded)));
  });

  test('a transaction that changes nothing makes no revision', async () => {
    const revision = await write(store(), put('/a'));
    assert.equal(await write(store()), revision);
    assert.equal(await write(store(), { kind: 'delete', key: '/missing' }), revision);
  });

  test('a transaction that cannot be right is refused and says why', async () => {
    const refuse = (...operations: StoreOperation[]): Promise<void> =>
      assert.rejects(store().transact({ conditions: [], operations }), fails('BAD_TRANSACTION'));
    await refuse(put('/a'), put('/a'));
    await refuse(put(''));
    await refuse(put('/a', '\ud800'));
    await refuse(put('/a\0b'));
    await refuse(put('/a', 'x'.repeat(300_000)));
    await refuse(...Array.from({ length: 513 }, (_, index) => put(`/${index}`)));
    assert.deepEqual((await store().list('')).entries, []);
  });

  test('one bad transaction among others waiting with it fails alone', async () => {
    const [good, bad, other] = await Promise.allSettled([
      store().transact({ conditions: [], operations: [put('/a')] }),
      store().transact({ conditions: [], operations: [put('/b'), put('/c', 'c', 'no-such-lease')] }),
      store().transact({ conditions: [], operations: [put('/d')] }),
    ]);
    assert.deepEqual([good?.status, bad?.status, other?.status], ['fulfilled', 'rejected', 'fulfilled']);
    assert.deepEqual(
      (await store().list('')).entries.map((entry) => entry.key),
      ['/a', '/d'],
    );
  });

  test('text comes back as it was, whatever it holds', async () => {
    for (const value of ['', '"{}"', 'żółć 日本 🧵', "'; DROP TABLE entries; --", 'a\nb\tc']) {
      await write(store(), put('/text', value));
      assert.equal((await store().get('/text'))?.value, value);
    }
  });
}

function leases({ store, clock }: Current): void {
  test('a lease that ends takes its keys with it, in one revision', async () => {
    const lease = await store().grantLease(1_000);
    const revision = await write(store(), put('/a', 'a', lease), put('/b', 'b', lease), put('/c'));
    const seen = watch(store(), '/', revision + 1);
    clock().advance(999);
    assert.equal((await store().list('/')).entries.length, 3);
    clock().advance(1);
    await until('the expiry', () => seen.batches.length > 0);
    assert.deepEqual(lines(seen), [`${revision + 1} -/a expired`, `${revision + 1} -/b expired`]);
    assert.deepEqual(
      (await store().list('/')).entries.map((entry) => entry.key),
      ['/c'],
    );
    await assert.rejects(store().keepAlive(lease), fails('LEASE_NOT_FOUND'));
    await assert.rejects(store().transact({ conditions: [], operations: [put('/d', 'd', lease)] }), fails('LEASE_NOT_FOUND'));
  });

  test('a lease kept alive lives on, and ends its whole time after the last heartbeat', async () => {
    const lease = await store().grantLease(1_000);
    await write(store(), put('/a', 'a', lease));
    for (let beat = 0; beat < 5; beat += 1) {
      clock().advance(900);
      await store().keepAlive(lease);
    }
    clock().advance(999);
    await write(store(), put('/unrelated'));
    assert.notEqual(await store().get('/a'), undefined);
    clock().advance(1);
    await until('the expiry', async () => (await store().get('/a')) === undefined);
  });

  test('a lease revoked ends at once, its keys in one revision and not as expired', async () => {
    const lease = await store().grantLease(1_000);
    const revision = await write(store(), put('/a', 'a', lease), put('/b', 'b', lease));
    const seen = watch(store(), '/', revision + 1);
    await store().revokeLease(lease);
    await until('the deletion', () => seen.batches.length > 0);
    assert.deepEqual(lines(seen), [`${revision + 1} -/a`, `${revision + 1} -/b`]);
    await assert.rejects(store().keepAlive(lease), fails('LEASE_NOT_FOUND'));
    await assert.rejects(store().revokeLease(lease), fails('LEASE_NOT_FOUND'));
  });

  test('a key put again belongs to the lease of the last put, or to none', async () => {
    const first = await store().grantLease(1_000);
    const second = await store().grantLease(5_000);
    await write(store(), put('/moved', 'x', first), put('/freed', 'x', first));
    await write(store(), put('/moved', 'y', second), put('/freed', 'y'));
    assert.equal((await store().get('/moved'))?.lease, second);
    await store().revokeLease(first);
    assert.equal((await store().list('/')).entries.length, 2);
    await store().revokeLease(second);
    assert.deepEqual(
      (await store().list('/')).entries.map((entry) => entry.key),
      ['/freed'],
    );
  });

  test('leases get names of their own, and times that are none are refused', async () => {
    const granted = await Promise.all(Array.from({ length: 20 }, () => store().grantLease(1_000)));
    assert.equal(new Set(granted).size, 20);
    for (const ttlMs of [0, -1, 1.5, Number.NaN, 2 ** 31]) await assert.rejects(store().grantLease(ttlMs), fails('BAD_TRANSACTION'));
    await assert.rejects(store().keepAlive('never granted'), fails('LEASE_NOT_FOUND'));
  });

  test('a process that stood still gives waiting heartbeats a moment before it ends leases', async () => {
    const lease = await store().grantLease(1_000);
    await write(store(), put('/a', 'a', lease));
    clock().stall(30_000);
    await store().keepAlive(lease);
    clock().advance(999);
    await write(store(), put('/unrelated'));
    assert.notEqual(await store().get('/a'), undefined);
    clock().stall(30_000);
    clock().advance(1_000);
    await until('the expiry', async () => (await store().get('/a')) === undefined);
  });
}

function watching({ store }: Current): void {
  test('a watcher gets the history from its revision on, then what comes, each revision whole and once', async () => {
    await write(store(), put('/w/a', '1'));
    const from = await write(store(), put('/w/a', '2'), put('/w/b', '1'), put('/other', '1'));
    await write(store(), put('/other', '2'));
    const seen = watch(store(), '/w/', from);
    const later = await write(store(), { kind: 'delete', key: '/w/a' });
    const last = await write(store(), put('/w/c', '1'));
    await until('three batches', () => seen.batches.length === 3);
    assert.deepEqual(lines(seen), [`${from} +/w/a=2`, `${from} +/w/b=1`, `${later} -/w/a`, `${last} +/w/c=1`]);
    assert.equal(seen.batches.length, 3);
  });

  test('a watcher resumed where another stopped misses nothing and sees nothing twice', async () => {
    const first = watch(store(), '/', 1);
    const stop = await write(store(), put('/a', '1'));
    await until('the first event', () => first.batches.length === 1);
    first.close();
    for (const value of ['2', '3', '4']) await write(store(), put('/a', value));
    const second = watch(store(), '/', stop + 1);
    await write(store(), put('/a', '5'));
    await until('four events', () => second.batches.length === 4);
    assert.deepEqual(
      lines(second),
      ['2', '3', '4', '5'].map((value, index) => `${stop + 1 + index} +/a=${value}`),
    );
    assert.equal(first.batches.length, 1);
  });

  test('a watcher that starts in the future waits for that revision', async () => {
    const revision = await write(store(), put('/a', '1'));
    const seen = watch(store(), '/', revision + 3);
    for (const value of ['2', '3', '4']) await write(store(), put('/a', value));
    await until('one event', () => seen.batches.length === 1);
    assert.deepEqual(lines(seen), [`${revision + 3} +/a=4`]);
  });

  test('what is older than the bounded history answers COMPACTED; listing again helps', async () => {
    for (let index = 0; index < HISTORY * 2; index += 1) await write(store(), put('/a', String(index)));
    const seen = watch(store(), '/', 1);
    await until('the error', () => seen.errors.length === 1);
    assert.equal(seen.errors[0]?.code, 'COMPACTED');
    assert.equal(seen.batches.length, 0);
    const whole = watch(store(), '/', (seen.errors[0]?.compactedRevision ?? NaN) + 1);
    await until('the whole history', () => whole.caughtUp.length === 1);
    assert.deepEqual([whole.errors, whole.batches.length >= HISTORY], [[], true]);
    const { revision } = await store().list('/');
    const recent = watch(store(), '/', revision - HISTORY + 1);
    const resumed = watch(store(), '/', revision + 1);
    await write(store(), put('/b'));
    await until('both watchers', () => recent.batches.length === HISTORY + 1 && resumed.batches.length === 1);
  });

  test('a watcher is told once when the past has been told, and how far that is', async () => {
    await write(store(), put('/a'));
    const last = await write(store(), put('/elsewhere'));
    const seen = watch(store(), '/a', 1);
    await until('the past', () => seen.caughtUp.length > 0);
    assert.deepEqual([seen.caughtUp, seen.batches.length], [[last], 1]);
    await write(store(), put('/a', 'again'));
    await until('what is new', () => seen.batches.length === 2);
    const later = watch(store(), '/a', last + 9);
    await until('that there is no past', () => later.caughtUp.length > 0);
    assert.deepEqual([seen.caughtUp.length, later.caughtUp, later.batches], [1, [last + 1], []]);
  });

  test('when a write is acknowledged, watchers have seen it', async () => {
    const seen = watch(store(), '/', 1);
    await write(store(), put('/warm'));
    await until('the watcher', () => seen.batches.length === 1);
    const revision = await write(store(), put('/a'));
    assert.equal(seen.batches.at(-1)?.revision, revision);
  });
}

function closing({ store }: Current): void {
  test('a closed store answers CLOSED, ends its watchers, and has kept what it acknowledged', async () => {
    const seen = watch(store(), '/', 1);
    const pending = store().transact({ conditions: [], operations: [put('/a')] });
    await store().close();
    assert.equal((await pending).succeeded, true);
    assert.deepEqual(
      seen.errors.map((error) => error.code),
      ['CLOSED'],
    );
    await assert.rejects(store().get('/a'), fails('CLOSED'));
    await assert.rejects(store().list('/'), fails('CLOSED'));
    await assert.rejects(store().grantLease(1_000), fails('CLOSED'));
    await assert.rejects(store().transact({ conditions: [], operations: [] }), fails('CLOSED'));
    await store().close();
  });
}

function reopening(current: Current, reopen: NonNullable<StoreDriver['reopen']>): void {
  test('everything is as it was after closing and opening: keys, revisions, history, leases', async () => {
    const lease = await current.store().grantLease(1_000);
    await write(current.store(), put('/a', '1', lease));
    await write(current.store(), put('/b', '1'));
    const before = await current.store().list('/');
    current.clock().advance(900);
    current.replace(await reopen(current.store(), current.clock(), HISTORY));
    assert.deepEqual(await current.store().list('/'), before);
    const seen = watch(current.store(), '/', 1);
    await until('the history', () => seen.batches.length === 2);
    // The lease has its whole time again: nobody could keep it alive while the store was closed.
    current.clock().advance(999);
    await current.store().keepAlive(lease);
    current.clock().advance(1_000);
    await until('the expiry', async () => (await current.store().get('/a')) === undefined);
    assert.equal(lines(seen).at(-1), `${before.revision + 1} -/a expired`);
  });
}

/** A store of a dozen lines: what the driver must be indistinguishable from. */
class Model {
  revision = 0;
  readonly entries = new Map<string, { value: string; createRevision: number; modRevision: number; version: number }>();

  transact(
    conditions: readonly { key: string; modRevision: number }[],
    operations: readonly StoreOperation[],
  ): { succeeded: boolean; revision: number } {
    if (!conditions.every(({ key, modRevision }) => (this.entries.get(key)?.modRevision ?? 0) === modRevision))
      return { succeeded: false, revision: this.revision };
    const revision = this.revision + 1;
    for (const operation of operations) {
      const old = this.entries.get(operation.key);
      if (operation.kind === 'put') {
        this.entries.set(operation.key, {
          value: operation.value,
          createRevision: old?.createRevision ?? revision,
          modRevision: revision,
          version: (old?.version ?? 0) + 1,
        });
        this.revision = revision;
      } else if (this.entries.delete(operation.key)) this.revision = revision;
    }
    return { succeeded: true, revision: this.revision };
  }
}

function modelled(driver: StoreDriver): void {
  const key = fc.constantFrom('/a', '/a/b', '/b', '/c');
  const step = fc.record({
    conditions: fc.array(fc.record({ key, modRevision: fc.nat({ max: 6 }) }), { maxLength: 2 }),
    operations: fc.uniqueArray(
      fc.oneof(
        fc.record({
          kind: fc.constant('put' as const),
          key,
          value: fc.string({ maxLength: 4, unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        }),
        fc.record({ kind: fc.constant('delete' as const), key }),
      ),
      { selector: (operation) => operation.key, maxLength: 3 },
    ),
  });
  test('any run of transactions gives the same results, entries and events as the model', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.boolean(), async (steps, together) => {
        const model = new Model();
        const store = await driver.open(new ManualClock(), 10_000);
        const seen = watch(store, '', 1);
        try {
          const expected = steps.map(({ conditions, operations }) => model.transact(conditions, operations));
          const actual = [];
          if (together) actual.push(...(await Promise.all(steps.map((transaction) => store.transact(transaction)))));
          else for (const transaction of steps) actual.push(await store.transact(transaction));
          assert.deepEqual(actual, expected);
          const listed = await store.list('');
          assert.equal(listed.revision, model.revision);
          const entries = [...model.entries]
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, entry]) => ({ key: name, ...entry, lease: undefined }));
          assert.deepEqual(listed.entries, entries);
          // The events alone rebuild the state.
          const rebuilt = new Map<string, string>();
          for (const { events } of seen.batches)
            for (const event of events) {
              if (event.kind === 'put') rebuilt.set(event.entry.key, event.entry.value);
              else rebuilt.delete(event.key);
            }
          assert.deepEqual(
            [...rebuilt].sort(([a], [b]) => (a < b ? -1 : 1)),
            entries.map((entry) => [entry.key, entry.value]),
          );
        } finally {
          await store.close();
        }
      }),
      { numRuns: 60 },
    );
  });
}
