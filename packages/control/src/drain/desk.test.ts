// Drains against streams that do what the test says, on a clock that it moves: who counts how long, and what asking costs.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Confirmation } from '@heddle/api';
import type { Instance } from '@heddle/core';
import { ManualClock } from '../testing/clock.ts';
import { instance, silent } from '../testing/mesh.ts';
import { DEPARTED_MS } from './departures.ts';
import { DrainDesk, DRAIN_TIMEOUT_MS_MAX } from './desk.ts';
import type { DrainStream } from './stream.ts';

const REF = { service: { namespace: 'default', name: 'orders' }, id: 'orders-1' };
const WHOLE = 'outbound/default/orders';
const SUBSET = 'outbound/default/orders{version=v1}';

/** What it uses, by name; it has acknowledged all of that. */
class FakeStream implements DrainStream {
  readonly node: string;
  readonly uses = new Map<string, string>();
  hasAnswered = true;
  asked = 0;

  constructor(node: string, uses: Readonly<Record<string, string>>) {
    this.node = node;
    for (const [name, version] of Object.entries(uses)) this.uses.set(name, version);
  }

  get session(): DrainStream['session'] {
    return {
      hasAnswered: this.hasAnswered,
      subscription: () => this.uses,
      confirms: (_kind, name, accepts): Confirmation => {
        this.asked += 1;
        const version = this.uses.get(name);
        return version === undefined || accepts(version) ? 'yes' : 'unacknowledged';
      },
    };
  }
}

class Bench {
  readonly clock = new ManualClock();
  readonly streams = new Set<FakeStream>();
  readonly published = new Map<string, string>([
    [WHOLE, 'without'],
    [SUBSET, 'v1 without'],
  ]);
  instance: Instance | undefined = instance('orders', 1, { health: 'draining' });
  readonly desk: DrainDesk;

  constructor(nodes: readonly string[] = []) {
    const instances = nodes.map((node, index) => instance('web', index, { node }));
    this.desk = new DrainDesk({
      registry: {
        instance: () => this.instance,
        snapshot: () => ({ revision: 1, services: new Map([['default/web', { instances } as never]]) }) as never,
      },
      streams: () => this.streams,
      names: () => this.published.keys(),
      versions: (name) => [this.published.get(name) ?? ''],
      clock: this.clock,
      logger: silent,
    });
  }

  connect(node: string, uses: Readonly<Record<string, string>>): FakeStream {
    const stream = new FakeStream(node, uses);
    this.streams.add(stream);
    return stream;
  }

  disconnect(stream: FakeStream): void {
    this.streams.delete(stream);
    this.desk.ended(stream);
  }
}

describe('the desk of drains', () => {
  it('has every resource acknowledged that may list the instance, subsets too', () => {
    const bench = new Bench();
    const stream = bench.connect('a', { [WHOLE]: 'with', [SUBSET]: 'v1 with', 'outbound/default/web': 'any' });
    const drain = bench.desk.begin(REF);
    stream.uses.set(WHOLE, 'without');
    bench.desk.progressed(stream);
    assert.equal(drain.progress().outcome, 'waiting');
    stream.uses.set(SUBSET, 'v1 without');
    bench.desk.progressed(stream);
    assert.equal(drain.progress().outcome, 'complete');
  });

  it('takes every version that was sent since, and what is sent to a kind of data plane that comes later', () => {
    const bench = new Bench();
    const stream = bench.connect('a', { [WHOLE]: 'with' });
    const drain = bench.desk.begin(REF);
    bench.published.set(WHOLE, 'without, later');
    bench.desk.changed(new Set(['default/orders']));
    bench.published.set(WHOLE, 'without, at last');
    bench.desk.changed(new Set(['default/orders']));
    stream.uses.set(WHOLE, 'without, later');
    bench.desk.progressed(stream);
    assert.equal(drain.progress().outcome, 'complete');
  });

  it('waits for a stream that was lost for fifteen seconds, before its begin or after it', () => {
    const bench = new Bench();
    const before = bench.connect('before', { [WHOLE]: 'with' });
    const after = bench.connect('after', { [WHOLE]: 'with' });
    bench.disconnect(before);
    bench.clock.advance(5_000);
    const drain = bench.desk.begin(REF, 60_000);
    bench.clock.advance(1_000);
    bench.disconnect(after);
    const left = (): string[] => drain.progress().stragglers.map(({ node, reason }) => `${node} ${reason}`);
    assert.deepEqual(left(), ['after disconnected', 'before disconnected']);
    bench.clock.advance(DEPARTED_MS - 6_000);
    assert.deepEqual(left(), ['after disconnected']);
    bench.clock.advance(6_000);
    assert.deepEqual(drain.progress(), { outcome: 'complete', dataPlanes: 2, acknowledged: 0, gone: 2, stragglers: [] });
  });

  it('has a data plane that is back speak for itself once it has said what it wants', () => {
    const bench = new Bench();
    bench.disconnect(bench.connect('a', { [WHOLE]: 'with' }));
    const drain = bench.desk.begin(REF);
    const back = bench.connect('a', { [WHOLE]: 'with' });
    bench.desk.progressed(back);
    assert.deepEqual(drain.progress().stragglers, [{ node: 'a', reason: 'unacknowledged' }]);
    back.uses.set(WHOLE, 'without');
    bench.desk.progressed(back);
    assert.deepEqual(drain.progress(), { outcome: 'complete', dataPlanes: 1, acknowledged: 1, gone: 0, stragglers: [] });
  });

  it('counts the data planes of an earlier life of the control plane, which go by what that has told them', () => {
    const bench = new Bench(['node-1', 'node-2']);
    const back = bench.connect('node-1', { [WHOLE]: 'without' });
    bench.desk.progressed(back);
    const drain = bench.desk.begin(REF);
    assert.deepEqual(drain.progress().stragglers, [{ node: 'node-2', reason: 'disconnected' }]);
    bench.clock.advance(DEPARTED_MS);
    assert.equal(drain.progress().outcome, 'complete');
  });

  it('goes on when the instance is gone, and ends when it is back in rotation', () => {
    const bench = new Bench();
    bench.connect('a', { [WHOLE]: 'with' });
    const drain = bench.desk.begin(REF);
    bench.instance = undefined;
    bench.desk.changed(new Set(['default/orders']));
    assert.equal(drain.progress().outcome, 'waiting');
    bench.instance = instance('orders', 1, { health: 'starting' });
    bench.desk.changed(new Set(['default/orders']));
    assert.equal(drain.progress().outcome, 'returned');
  });

  it('never waits for longer than it says, and leaves no timer behind', async () => {
    const bench = new Bench();
    bench.connect('a', { [WHOLE]: 'with' });
    const drain = bench.desk.begin(REF, Number.MAX_SAFE_INTEGER);
    bench.clock.advance(DRAIN_TIMEOUT_MS_MAX);
    assert.equal((await drain.done).outcome, 'timed-out');
    const closed = bench.desk.begin(REF);
    closed.close();
    bench.clock.advance(DRAIN_TIMEOUT_MS_MAX);
    assert.equal(closed.progress().outcome, 'waiting');
    assert.equal(bench.clock.pending, 0);
  });

  it('asks a thousand streams once, and from then on the one that answers', () => {
    const bench = new Bench();
    const streams = Array.from({ length: 1_000 }, (_, index) => bench.connect(`node-${index}`, { [WHOLE]: 'with' }));
    const drain = bench.desk.begin(REF);
    for (const stream of streams) {
      stream.uses.set(WHOLE, 'without');
      bench.desk.progressed(stream);
    }
    assert.deepEqual(drain.progress(), { outcome: 'complete', dataPlanes: 1_000, acknowledged: 1_000, gone: 0, stragglers: [] });
    // By two names: at the begin up to the first that is not accepted, then both.
    assert.equal(
      streams.reduce((total, { asked }) => total + asked, 0),
      3_000,
    );
  });
});
