import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResourceKind } from '@heddle/core';
import fc from 'fast-check';
import { LinkedClient } from '../testing/linked-client.ts';
import {
  bundleNamed,
  type Contents,
  clusterNamed,
  endpointsNamed,
  listenerNamed,
  routeNamed,
  snapshotOf,
  targetOf,
} from '../testing/resources.ts';
import { MAKE_ORDER } from './kinds.ts';
import type { Snapshot } from './server/index.ts';

type NamedKind = 'route' | 'endpoints' | 'secret';

type Step =
  | { readonly do: 'publish'; readonly contents: Contents }
  | { readonly do: 'subscribe'; readonly kind: NamedKind; readonly names: readonly string[] }
  | {
      readonly do:
        | 'to server'
        | 'to client'
        | 'reconnect'
        | 'disconnect'
        | 'retry'
        | 'refuse next'
        | 'finish applying'
        | 'apply slowly'
        | 'apply at once';
    };

const NAMES = ['a', 'b', 'c'];
const someNames = fc.subarray(NAMES);
const revision = fc.integer({ min: 1, max: 3 });

/** Routes lead only to clusters of the same state, as the compiler makes them. */
const contents: fc.Arbitrary<Contents> = fc
  .record({ clusters: someNames, routes: someNames, listeners: someNames, secrets: someNames, target: fc.nat(), revision })
  .map(({ clusters, routes, listeners, secrets, target, revision: value }) => ({
    cluster: clusters.map((name) => clusterNamed(name, value)),
    endpoints: clusters.map((name) => endpointsNamed(name, value)),
    route: clusters.length === 0 ? [] : routes.map((name, index) => routeNamed(name, clusters[(target + index) % clusters.length] ?? '')),
    listener: listeners.map((name) => listenerNamed(name, name, value)),
    secret: secrets.map((name) => bundleNamed(name, `pem ${value}`)),
  }));

const quiet: fc.Arbitrary<Step>[] = [
  contents.map((value): Step => ({ do: 'publish', contents: value })),
  fc.record({
    do: fc.constant('subscribe' as const),
    kind: fc.constantFrom<NamedKind[]>('route', 'endpoints', 'secret'),
    names: someNames,
  }),
  fc.constant<Step>({ do: 'to server' }),
  fc.constant<Step>({ do: 'to server' }),
  fc.constant<Step>({ do: 'to client' }),
  fc.constant<Step>({ do: 'to client' }),
];
const stormy: fc.Arbitrary<Step>[] = [
  ...quiet,
  ...(['reconnect', 'disconnect', 'retry', 'refuse next', 'finish applying', 'apply slowly', 'apply at once'] as const).map((value) =>
    fc.constant<Step>({ do: value }),
  ),
];

/** Runs the steps on a linked client; what is applied slowly waits for `finish applying`. */
class History {
  readonly link: LinkedClient;
  readonly wanted = new Map<ResourceKind, readonly string[]>();
  snapshot: Snapshot = snapshotOf('0', {});
  #waiting: (() => void)[] = [];
  #isSlow = false;
  #refuses = false;
  #published = 0;

  constructor(isLive = false) {
    this.link = new LinkedClient({ isLive });
    this.link.decide = () => {
      const reason = this.#refuses ? 'refused by the test' : undefined;
      this.#refuses = false;
      return this.#isSlow ? new Promise((resolve) => this.#waiting.push(() => resolve(reason))) : reason;
    };
    this.link.publish(this.snapshot);
    this.link.connect();
  }

  async run(step: Step): Promise<void> {
    const { link } = this;
    if (step.do === 'publish') {
      this.#published += 1;
      this.snapshot = snapshotOf(String(this.#published), step.contents, this.snapshot);
      link.publish(this.snapshot);
    } else if (step.do === 'subscribe') {
      this.wanted.set(step.kind, step.names);
      link.client.subscribe(step.kind, step.names);
      // Dropping what is no longer named is the data plane's own business.
      for (const name of link.names(step.kind)) if (!step.names.includes(name)) link.applied.get(step.kind)?.delete(name);
    } else if (step.do === 'to server') link.toServer();
    else if (step.do === 'to client') link.toClient();
    else if (step.do === 'retry') link.retryRefused();
    else if (step.do === 'refuse next') this.#refuses = true;
    else if (step.do === 'apply slowly') this.#isSlow = true;
    else if (step.do === 'apply at once') this.#isSlow = false;
    else if (step.do === 'finish applying') this.#waiting.shift()?.();
    else {
      if (link.isConnected) link.disconnect();
      if (step.do === 'reconnect') link.connect();
    }
    await Promise.resolve();
  }

  /** Until nothing is left to do, on a connection that holds and with a data plane that takes everything. */
  async finish(): Promise<void> {
    this.#isSlow = false;
    this.#refuses = false;
    for (const release of this.#waiting.splice(0)) release();
    await this.link.settle();
    if (!this.link.isConnected) this.link.connect();
    await this.link.settle();
    this.link.retryRefused();
    await this.link.settle();
  }

  expected(kind: ResourceKind): string[] {
    const names = this.wanted.get(kind) ?? [];
    const resources = [...this.snapshot.resources[kind].values()];
    const isWanted = (name: string) => kind === 'cluster' || kind === 'listener' || names.includes(name);
    return resources
      .filter(({ name }) => isWanted(name))
      .map(({ name, version }) => `${name} ${version}`)
      .sort();
  }

  applied(kind: ResourceKind): string[] {
    const versions = this.link.names(kind).map((name) => {
      const resource = this.link.applied.get(kind)?.get(name);
      const match = [...this.snapshot.resources[kind].values()].find((candidate) => candidate.name === name);
      return `${name} ${match === undefined || !isSame(kind, resource, match.version) ? 'differs' : match.version}`;
    });
    return versions.sort();
  }
}

function isSame(kind: ResourceKind, resource: unknown, version: string): boolean {
  const contentsOfKind = { [kind]: [resource] } as Contents;
  return [...snapshotOf('', contentsOfKind).resources[kind].values()][0]?.version === version;
}

for (const isLive of [false, true]) {
  test(`after any history, ${isLive ? 'told change by change' : 'told whole states'}, with refusals, slow applying and broken streams, the client has what the server wants it to have`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...stormy), { maxLength: 60 }), async (steps) => {
        const history = new History(isLive);
        for (const step of steps) await history.run(step);
        await history.finish();
        for (const kind of MAKE_ORDER) assert.deepEqual(history.applied(kind), history.expected(kind), kind);
        for (const sync of history.link.session.sync()) {
          assert.deepEqual([sync.ackedVersion, sync.rejection], [history.snapshot.version, ''], sync.kind);
        }
        for (const { kind, rejection } of history.link.client.status()) assert.equal(rejection, '', kind);
      }),
      { numRuns: 300 },
    );
  });
}

test('at no moment does a route lead to a cluster that is not there', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(...quiet), { maxLength: 60 }), fc.boolean(), async (steps, isLive) => {
      const history = new History(isLive);
      const check = () => {
        for (const route of history.link.applied.get('route')?.values() ?? []) {
          const cluster = targetOf(route as ReturnType<typeof routeNamed>) ?? '';
          assert.ok(history.link.names('cluster').includes(cluster), `route leads to ${cluster}`);
        }
      };
      await history.run({ do: 'subscribe', kind: 'route', names: NAMES });
      for (const step of steps.filter((candidate) => candidate.do !== 'subscribe' || candidate.kind !== 'route')) {
        await history.run(step);
        check();
      }
      await history.finish();
      check();
    }),
    { numRuns: 300 },
  );
});
