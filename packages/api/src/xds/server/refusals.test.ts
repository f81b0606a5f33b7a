// What one bad resource does to the others: nothing. Both variants, with clients that refuse by content, whole responses at a time.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Listener, ResourceKind, ResourceTypes } from '@heddle/core';
import fc from 'fast-check';
import type { DiscoveryResponse } from '../../ads.ts';
import { LinkedClient } from '../../testing/linked-client.ts';
import { LiveSource } from '../../testing/live-source.ts';
import {
  bundleNamed,
  type Contents,
  clusterNamed,
  endpointsNamed,
  listenerNamed,
  routeNamed,
  snapshotOf,
  targetOf,
} from '../../testing/resources.ts';
import { decodeResource } from '../convert/index.ts';
import { isWildcardKind, kindOfTypeUrl, MAKE_ORDER, TYPE_URLS } from '../kinds.ts';
import type { KindSync } from './kind-state.ts';
import type { Snapshot } from './snapshot.ts';
import { SotwAdsSession } from './sotw.ts';

const BAD = 3;
const NAMED_KINDS = ['route', 'endpoints', 'secret'] as const;

type AnyResource = ResourceTypes[ResourceKind];

function nameOf(resource: AnyResource): string {
  return 'name' in resource ? resource.name : resource.cluster;
}

/** Resources of the number BAD cannot be used, whatever their kind. */
function isBad(resource: AnyResource): boolean {
  if ('connectTimeoutMs' in resource) return resource.connectTimeoutMs === BAD;
  if ('port' in resource) return resource.port === BAD;
  if ('rootsPem' in resource) return resource.rootsPem === `pem ${BAD}`;
  if ('virtualHosts' in resource) return targetOf(resource) === `target-${BAD}`;
  return resource.endpoints[0]?.port === BAD;
}

function refusalOf(resources: readonly AnyResource[], isTelling: boolean): string | undefined {
  const bad = resources.filter(isBad).map(nameOf);
  if (bad.length === 0) return undefined;
  return isTelling ? `cannot use ${bad.join(', ')}` : '?';
}

/** A client of the state-of-the-world variant, joined in memory: a response is applied whole or not at all. */
class SotwClient {
  session = new SotwAdsSession();
  /** Told change by change instead of whole states. */
  isLive = false;
  #live: LiveSource<DiscoveryResponse> | undefined;
  readonly applied = new Map<ResourceKind, Map<string, AnyResource>>();
  /** Names in each response that came. */
  readonly received: string[] = [];
  isTelling = true;
  #responses: DiscoveryResponse[] = [];
  readonly #wanted = new Map<ResourceKind, readonly string[]>();
  readonly #nonces = new Map<ResourceKind, string>();

  connect(): void {
    for (const kind of ['cluster', 'listener'] as const) this.#ask(kind);
  }

  publish(snapshot: Snapshot): void {
    if (!this.isLive) this.#responses.push(...this.session.onSnapshot(snapshot));
    else if (this.#live !== undefined) this.#responses.push(...this.#live.publish(snapshot, 1));
    else {
      this.#live = new LiveSource(this.session, snapshot);
      this.#responses.push(...this.#live.begin(1));
    }
  }

  subscribe(kind: ResourceKind, names: readonly string[]): void {
    this.#wanted.set(kind, names);
    for (const name of this.names(kind)) if (!names.includes(name)) this.applied.get(kind)?.delete(name);
    this.#ask(kind);
  }

  retryRefused(): void {
    this.#responses.push(...this.session.retryRefused());
  }

  names(kind: ResourceKind): string[] {
    return [...(this.applied.get(kind)?.keys() ?? [])].sort();
  }

  /** Takes the oldest response; false when there is none. */
  toClient(): boolean {
    const response = this.#responses.shift();
    if (response === undefined) return false;
    const { typeUrl = '', nonce = '', resources = [] } = response;
    const kind = kindOfTypeUrl(typeUrl) ?? assert.fail(typeUrl);
    this.#nonces.set(kind, nonce);
    const decoded = resources.map(({ value = new Uint8Array() }): AnyResource => decodeResource(kind, { typeUrl, value }));
    this.received.push(`${kind} ${decoded.map(nameOf).join(' ')}`);
    const refusal = refusalOf(decoded, this.isTelling);
    if (refusal === undefined) this.#apply(kind, decoded);
    this.#ask(kind, refusal);
    return true;
  }

  settle(): void {
    for (let count = 0; this.toClient(); count += 1) assert.ok(count < 10_000, 'client and server never come to an end');
  }

  #apply(kind: ResourceKind, resources: readonly AnyResource[]): void {
    const isWanted = (name: string) => isWildcardKind(kind) || this.#wanted.get(kind)?.includes(name) === true;
    const before = isWildcardKind(kind) ? [] : [...(this.applied.get(kind) ?? [])];
    const news = resources.map((resource) => [nameOf(resource), resource] as const).filter(([name]) => isWanted(name));
    this.applied.set(kind, new Map([...before, ...news]));
  }

  #ask(kind: ResourceKind, refusal?: string): void {
    const errorDetail = refusal === undefined ? undefined : { code: BAD, message: refusal };
    const request = {
      typeUrl: TYPE_URLS[kind],
      responseNonce: this.#nonces.get(kind) ?? '',
      resourceNames: [...(this.#wanted.get(kind) ?? [])],
    };
    this.#responses.push(...this.session.onRequest({ ...request, errorDetail }, 1));
  }
}

/** The same, for the delta variant. */
class DeltaClient extends LinkedClient {
  isTelling = true;

  constructor() {
    super();
    this.decide = (update) => refusalOf(update.upserts, this.isTelling);
  }

  /** Updates since the last call, as `+a +b -c`. */
  takeUpdates(): string[] {
    return this.updates
      .splice(0)
      .map(({ upserts, removed }) => [...upserts.map((one) => `+${nameOf(one)}`), ...removed.map((name) => `-${name}`)].join(' '));
  }
}

/** Ten listeners l0 to l9, of which `ports` says what differs: undefined is one that is missing. */
function ten(ports: Readonly<Record<string, number | undefined>> = {}): Listener[] {
  return Array.from({ length: 10 }, (_, index) => `l${index}`).flatMap((name, index) => {
    const port = name in ports ? ports[name] : 8_000 + index;
    return port === undefined ? [] : [listenerNamed(name, 'r', port)];
  });
}

const NINE = ['l0', 'l1', 'l2', 'l3', 'l4', 'l5', 'l6', 'l8', 'l9'];
const ALL = [...NINE, 'l7'].sort();

function syncOf(client: { readonly session: { sync(): KindSync[] } }, kind: ResourceKind): KindSync {
  return client.session.sync().find((sync) => sync.kind === kind) ?? assert.fail(kind);
}

const portOf = (client: { readonly applied: ReadonlyMap<ResourceKind, ReadonlyMap<string, unknown>> }, name: string) =>
  (client.applied.get('listener')?.get(name) as Listener | undefined)?.port;

for (const isTelling of [true, false]) {
  describe(`one bad listener among ten, delta, the refusal ${isTelling ? 'names it' : 'says nothing'}`, () => {
    async function client(listener: readonly Listener[]): Promise<DeltaClient> {
      const link = new DeltaClient();
      link.isTelling = isTelling;
      link.publish(snapshotOf('1', { listener }));
      link.connect();
      await link.settle();
      return link;
    }

    async function publish(link: DeltaClient, version: string, listener: readonly Listener[]): Promise<string[]> {
      link.takeUpdates();
      link.publish(snapshotOf(version, { listener }));
      await link.settle();
      return link.takeUpdates();
    }

    test('a new client gets the nine others, after a bounded number of responses', async () => {
      const link = await client(ten({ l7: BAD }));
      assert.deepEqual(link.names('listener'), NINE);
      assert.notEqual(syncOf(link, 'listener').rejection, '');
      // The whole; then the rest and the bad one, or halves, of which those without the bad one are taken.
      const listeners = link.updates.filter(({ kind }) => kind === 'listener');
      assert.equal(listeners.length, isTelling ? 1 + 2 : 1 + 6);
      assert.deepEqual(await publish(link, '2', ten({ l7: BAD })), []);
    });

    test('a running client gets the changes that came together with the bad one, and keeps its last good version', async () => {
      const link = await client(ten());
      await publish(link, '2', ten({ l7: BAD, l1: 9_001, l2: undefined }));
      assert.deepEqual([portOf(link, 'l1'), portOf(link, 'l2'), portOf(link, 'l7')], [9_001, undefined, 8_007]);
      const { sentVersion, ackedVersion, rejection } = syncOf(link, 'listener');
      assert.deepEqual([sentVersion, ackedVersion, rejection === ''], ['2', '1', false]);
    });

    test('later changes of the good ones come at once and alone', async () => {
      const link = await client(ten({ l7: BAD }));
      assert.deepEqual(await publish(link, '2', ten({ l7: BAD, l1: 9_001 })), ['+l1']);
      assert.deepEqual(await publish(link, '3', ten({ l7: BAD, l1: 9_001, l2: undefined, l3: 9_003 })), ['+l3 -l2']);
      assert.equal(syncOf(link, 'listener').ackedVersion, '');
    });

    test('mended, it comes, apart from what else changed, and nothing is refused any more', async () => {
      const link = await client(ten({ l7: BAD }));
      assert.deepEqual(await publish(link, '2', ten({ l1: 9_001 })), ['+l1', '+l7']);
      assert.deepEqual(link.names('listener'), ALL);
      const { ackedVersion, rejection } = syncOf(link, 'listener');
      assert.deepEqual([ackedVersion, rejection], ['2', '']);
      assert.deepEqual(await publish(link, '3', ten({ l1: 9_001, l7: 9_007, l8: 9_008 })), ['+l7 +l8']);
    });

    test('set back to what the client has, it is confirmed, and nothing is refused any more', async () => {
      const link = await client(ten());
      await publish(link, '2', ten({ l7: BAD }));
      // The client applies nothing again that it has already.
      assert.deepEqual(await publish(link, '3', ten()), []);
      assert.deepEqual([syncOf(link, 'listener').rejection, syncOf(link, 'listener').ackedVersion], ['', '3']);
    });

    test('removed, it is refused no more, whether the client had an earlier version or not', async () => {
      for (const before of [ten(), ten({ l7: undefined })]) {
        const link = await client(before);
        await publish(link, '2', ten({ l7: BAD }));
        await publish(link, '3', ten({ l7: undefined }));
        assert.deepEqual(link.names('listener'), NINE);
        assert.deepEqual([syncOf(link, 'listener').rejection, syncOf(link, 'listener').ackedVersion], ['', '3']);
      }
    });
  });
}

describe('refusals', () => {
  test('each retry offers each refused resource once, alone', async () => {
    const link = new DeltaClient();
    link.publish(snapshotOf('1', { listener: ten({ l2: BAD, l5: BAD, l7: BAD }) }));
    link.connect();
    await link.settle();
    link.takeUpdates();
    for (let round = 0; round < 3; round += 1) {
      link.retryRefused();
      while (link.updates.length < 2) assert.ok(link.toClient() || link.toServer());
      // The round is not over: this one counts for nothing.
      link.retryRefused();
      await link.settle();
      assert.deepEqual(link.takeUpdates(), ['+l2', '+l5', '+l7']);
    }
    link.decide = () => undefined;
    link.retryRefused();
    await link.settle();
    assert.deepEqual([link.names('listener'), syncOf(link, 'listener').rejection], [ALL, '']);
  });

  test('the reason shown is that of what is still refused', async () => {
    const link = new DeltaClient();
    link.publish(snapshotOf('1', { listener: ten({ l2: BAD }) }));
    link.connect();
    await link.settle();
    link.publish(snapshotOf('2', { listener: ten({ l2: BAD, l7: BAD }) }));
    await link.settle();
    assert.equal(syncOf(link, 'listener').rejection, 'cannot use l7');
    link.publish(snapshotOf('3', { listener: ten({ l2: BAD }) }));
    await link.settle();
    assert.equal(syncOf(link, 'listener').rejection, 'cannot use l2');
    link.publish(snapshotOf('4', { listener: ten({ l2: BAD, l7: BAD }) }));
    await link.settle();
    const worse = ten({ l2: BAD, l7: BAD }).map((one) => (one.name === 'l2' ? listenerNamed('l2', 'other', BAD) : one));
    link.publish(snapshotOf('5', { listener: worse }));
    await link.settle();
    assert.equal(syncOf(link, 'listener').rejection, 'cannot use l2');
  });

  test('a removal can be refused, too, and blocks nothing', async () => {
    const link = new DeltaClient();
    link.publish(snapshotOf('1', { listener: ten() }));
    link.connect();
    await link.settle();
    link.decide = ({ removed }) => (removed.includes('l7') ? 'still needed' : undefined);
    link.publish(snapshotOf('2', { listener: ten({ l7: undefined, l1: 9_001, l2: undefined }) }));
    await link.settle();
    assert.deepEqual([portOf(link, 'l1'), portOf(link, 'l2'), portOf(link, 'l7')], [9_001, undefined, 8_007]);
    assert.equal(syncOf(link, 'listener').rejection, 'still needed');
    link.takeUpdates();
    link.publish(snapshotOf('3', { listener: ten({ l7: undefined, l1: 9_002, l2: undefined }) }));
    await link.settle();
    assert.deepEqual(link.takeUpdates(), ['+l1']);
    link.decide = () => undefined;
    link.retryRefused();
    await link.settle();
    assert.deepEqual([portOf(link, 'l7'), syncOf(link, 'listener').rejection], [undefined, '']);
  });

  test('a name that is no longer asked for ends its refusal; asked for again, it is offered again', async () => {
    const link = new DeltaClient();
    link.publish(snapshotOf('1', { secret: [bundleNamed('x'), bundleNamed('y', `pem ${BAD}`)] }));
    link.connect();
    link.client.subscribe('secret', ['x', 'y']);
    await link.settle();
    assert.deepEqual([link.names('secret'), syncOf(link, 'secret').rejection], [['x'], 'cannot use y']);
    link.client.subscribe('secret', ['x']);
    await link.settle();
    assert.deepEqual([syncOf(link, 'secret').rejection, syncOf(link, 'secret').ackedVersion], ['', '1']);
    link.takeUpdates();
    link.client.subscribe('secret', ['x', 'y']);
    await link.settle();
    assert.deepEqual([link.takeUpdates().at(-1), syncOf(link, 'secret').rejection], ['+y', 'cannot use y']);
  });

  test('what must go alone and what goes together take turns while both wait all the time', () => {
    const link = new DeltaClient();
    link.isTelling = false;
    let version = 0;
    const publish = () => {
      version += 1;
      link.publish(snapshotOf(String(version), { listener: ten({ l0: 10_000 + version, l1: 10_000 + version, l7: BAD }) }));
    };
    publish();
    link.connect();
    for (let round = 0; round < 40; round += 1) {
      publish();
      while (link.toServer());
      link.toClient();
    }
    assert.deepEqual(link.names('listener'), NINE);
    assert.ok((portOf(link, 'l0') ?? 0) > 10_000 + version - 5, 'the ones that change are up to date');
  });
});

describe('refusals, state of the world', () => {
  function client(contents: Contents): SotwClient {
    const one = new SotwClient();
    one.publish(snapshotOf('1', contents));
    one.connect();
    one.settle();
    return one;
  }

  test('a listener that is refused is left out when the client never had it, else its last good version stays in', () => {
    for (const [before, held] of [
      [ten(), 8_007],
      [ten({ l7: undefined }), undefined],
    ] as const) {
      const one = client({ listener: before });
      one.publish(snapshotOf('2', { listener: ten({ l7: BAD, l1: 9_001 }) }));
      one.settle();
      one.publish(snapshotOf('3', { listener: ten({ l7: BAD, l1: 9_002, l2: undefined }) }));
      one.settle();
      assert.deepEqual([portOf(one, 'l1'), portOf(one, 'l2'), portOf(one, 'l7')], [9_002, undefined, held]);
      assert.deepEqual([syncOf(one, 'listener').ackedVersion, syncOf(one, 'listener').rejection], ['1', 'cannot use l7']);
      one.publish(snapshotOf('4', { listener: ten({ l7: undefined }) }));
      one.settle();
      assert.deepEqual([one.names('listener'), syncOf(one, 'listener').rejection], [NINE, '']);
      assert.equal(syncOf(one, 'listener').ackedVersion, '4');
    }
  });

  test('a refusal that names the bad one costs the client none of the others, not even for a moment', () => {
    const one = client({ listener: ten({ l7: BAD }) });
    assert.deepEqual(one.received, [
      `cluster `,
      `listener ${ten().map(nameOf).join(' ')}`,
      `listener ${NINE.join(' ')}`,
      `listener ${NINE.join(' ')} l7`,
    ]);
    assert.deepEqual(one.names('listener'), NINE);
  });

  test('suspects that are offered together once more, of which one is named then, do not stay behind with it', () => {
    const one = new SotwClient();
    one.isTelling = false;
    one.publish(snapshotOf('1', { listener: ten({ l7: BAD }) }));
    one.connect();
    while (!one.received.at(-1)?.includes('l7')) one.toClient();
    one.isTelling = true;
    one.settle();
    assert.deepEqual([one.names('listener'), syncOf(one, 'listener').rejection], [NINE, 'cannot use l7']);
  });

  test('refused endpoints are left out of what changes later', () => {
    const one = client({ endpoints: [endpointsNamed('a'), endpointsNamed('b', BAD)] });
    one.subscribe('endpoints', ['a', 'b']);
    one.settle();
    one.received.length = 0;
    one.publish(snapshotOf('2', { endpoints: [endpointsNamed('a', 81), endpointsNamed('b', BAD)] }));
    one.settle();
    assert.deepEqual(one.received, ['endpoints a']);
    one.publish(snapshotOf('3', { endpoints: [endpointsNamed('a', 81)] }));
    assert.deepEqual([syncOf(one, 'endpoints').rejection, syncOf(one, 'endpoints').ackedVersion], ['', '3']);
  });
});

const NAMES = ['one', 'two', 'three', 'four'];
/** Name → number of its content, of which BAD cannot be used; without it, it does not exist. */
type Numbers = Readonly<Record<string, number | undefined>>;
const numbers = fc.record(Object.fromEntries(NAMES.map((name) => [name, fc.integer({ min: 1, max: BAD })])), { requiredKeys: [] });

type Plan = { readonly [K in ResourceKind]: Numbers };
const plan: fc.Arbitrary<Plan> = fc.record({ cluster: numbers, endpoints: numbers, listener: numbers, route: numbers, secret: numbers });

function contentsOf({ cluster, endpoints, listener, route, secret }: Plan): Contents {
  const each = <T>(of: Numbers, make: (name: string, value: number) => T) =>
    Object.entries(of).map(([name, value = 1]) => make(name, value));
  return {
    cluster: each(cluster, clusterNamed),
    endpoints: each(endpoints, endpointsNamed),
    listener: each(listener, (name, value) => listenerNamed(name, name, value)),
    route: each(route, (name, value) => routeNamed(name, `target-${value}`)),
    secret: each(secret, (name, value) => bundleNamed(name, `pem ${value}`)),
  };
}

/** The same without anything bad. */
function mended(original: Plan): Plan {
  const mend = (of: Numbers): Numbers => Object.fromEntries(Object.entries(of).map(([name, value]) => [name, value === BAD ? 1 : value]));
  const { cluster, endpoints, listener, route, secret } = original;
  return { cluster: mend(cluster), endpoints: mend(endpoints), listener: mend(listener), route: mend(route), secret: mend(secret) };
}

type Step =
  | { readonly do: 'publish'; readonly plan: Plan }
  | { readonly do: 'subscribe'; readonly kind: (typeof NAMED_KINDS)[number]; readonly names: readonly string[] }
  | { readonly do: 'to client' | 'to server' | 'retry' | 'settle' | 'name' | 'say nothing' };

const step: fc.Arbitrary<Step> = fc.oneof(
  plan.map((value): Step => ({ do: 'publish', plan: value })),
  fc.record({ do: fc.constant('subscribe' as const), kind: fc.constantFrom(...NAMED_KINDS), names: fc.subarray(NAMES) }),
  fc
    .constantFrom(...(['to client', 'to client', 'to server', 'to server', 'retry', 'settle', 'name', 'say nothing'] as const))
    .map((value): Step => ({ do: value })),
);
const history = fc.record({ steps: fc.array(step, { maxLength: 40 }), base: plan, last: plan });

interface Variant {
  isTelling: boolean;
  readonly session: { sync(): KindSync[] };
  readonly applied: ReadonlyMap<ResourceKind, ReadonlyMap<string, unknown>>;
  publish(snapshot: Snapshot): void;
  subscribe(kind: (typeof NAMED_KINDS)[number], names: readonly string[]): void;
  toClient(): boolean;
  toServer(): boolean;
  retryRefused(): void;
  settle(): Promise<void> | void;
}

/** Runs the history; then everything is good once, and then `last` comes: what the client has in the end is known of every resource. */
async function converges(
  client: Variant,
  steps: readonly Step[],
  base: Plan,
  last: Plan,
  tellsRemovals: (kind: ResourceKind) => boolean,
): Promise<void> {
  const wanted = new Map<ResourceKind, readonly string[]>([
    ['cluster', NAMES],
    ['listener', NAMES],
  ]);
  let snapshot = snapshotOf('0', {});
  let version = 0;
  const publish = (next: Plan): void => {
    version += 1;
    snapshot = snapshotOf(String(version), contentsOf(next), snapshot);
    client.publish(snapshot);
  };
  const check = (now: Plan, before: Plan | undefined): void => {
    const [current, earlier] = [numbered(contentsOf(now)), numbered(contentsOf(before ?? now))];
    for (const kind of MAKE_ORDER) {
      for (const name of wanted.get(kind) ?? []) {
        const [should, had, has] = [
          current[kind].get(name),
          earlier[kind].get(name),
          client.applied.get(kind)?.get(name) as AnyResource | undefined,
        ];
        const at = `${kind} ${name}`;
        if (should === undefined) assert.ok(has === undefined || !tellsRemovals(kind), at);
        else if (!isBad(should)) assert.deepEqual(has, should, at);
        else if (before === undefined) assert.ok(has === undefined || !isBad(has), at);
        // By name in state of the world, a removal is not told: any earlier good version may still be there.
        else if (had !== undefined || tellsRemovals(kind)) assert.deepEqual(has, had, at);
      }
    }
    for (const sync of client.session.sync()) {
      const isRefused = (wanted.get(sync.kind) ?? []).some(
        (name) => current[sync.kind].has(name) && isBad(current[sync.kind].get(name) as AnyResource),
      );
      assert.equal(sync.rejection !== '', isRefused, `${sync.kind} ${sync.rejection}`);
      if (isRefused) assert.notEqual(sync.ackedVersion, sync.sentVersion, sync.kind);
      else assert.deepEqual([sync.sentVersion, sync.ackedVersion], [snapshot.version, snapshot.version], sync.kind);
    }
  };
  publish(base);
  let now = base;
  for (const one of steps) {
    if (one.do === 'publish') publish((now = one.plan));
    else if (one.do === 'subscribe') {
      wanted.set(one.kind, one.names);
      client.subscribe(one.kind, one.names);
    } else if (one.do === 'to client') client.toClient();
    else if (one.do === 'to server') client.toServer();
    else if (one.do === 'retry') client.retryRefused();
    else if (one.do === 'settle') await client.settle();
    else client.isTelling = one.do === 'name';
  }
  await client.settle();
  check(now, undefined);
  publish(mended(base));
  await client.settle();
  check(mended(base), undefined);
  publish(last);
  await client.settle();
  check(last, mended(base));
}

function numbered(contents: Contents): { readonly [K in ResourceKind]: ReadonlyMap<string, AnyResource> } {
  const map = (resources: readonly AnyResource[] = []) => new Map(resources.map((resource) => [nameOf(resource), resource]));
  const { cluster, endpoints, listener, route, secret } = contents;
  return { cluster: map(cluster), endpoints: map(endpoints), listener: map(listener), route: map(route), secret: map(secret) };
}

describe('after any history', () => {
  test('a delta client has everything but what it refuses, and of that the last good version', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ steps, base, last }) => {
        const link = new DeltaClient();
        const subscribe: Variant['subscribe'] = (kind, names) => {
          link.client.subscribe(kind, names);
          for (const name of link.names(kind)) if (!names.includes(name)) link.applied.get(kind)?.delete(name);
        };
        link.connect();
        await converges(Object.assign(link, { subscribe }), steps, base, last, () => true);
      }),
      { numRuns: 300 },
    );
  });

  test('a state-of-the-world client has everything but what it refuses, and of that the last good version', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.boolean(), async ({ steps, base, last }, isLive) => {
        const client = new SotwClient();
        client.isLive = isLive;
        client.connect();
        await converges(Object.assign(client, { toServer: () => false }), steps, base, last, isWildcardKind);
      }),
      { numRuns: 300 },
    );
  });
});
