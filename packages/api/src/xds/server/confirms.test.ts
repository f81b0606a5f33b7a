// Whether a data plane can have nothing but accepted versions of a resource: from what it was sent, has answered, refused, dropped or asked anew.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse } from '../../ads.ts';
import { endpointsNamed, snapshotOf } from '../../testing/resources.ts';
import { encodeResource } from '../convert/index.ts';
import { TYPE_URLS } from '../kinds.ts';
import { DeltaAdsSession } from './delta.ts';
import { SotwAdsSession } from './sotw.ts';

const typeUrl = TYPE_URLS.endpoints;
/** The same name with other content. */
const of = (port: number) => endpointsNamed('a', port);
const versionOf = (port: number): string => encodeResource('endpoints', of(port)).version;
const only =
  (...ports: readonly number[]) =>
  (version: string): boolean =>
    ports.some((port) => versionOf(port) === version);

class Stream {
  readonly session = new DeltaAdsSession();

  ask(request: DeltaDiscoveryRequest): DeltaDiscoveryResponse | undefined {
    return this.session.onRequest({ typeUrl, ...request }, 1_000)[0];
  }

  set(revision: string, port: number | undefined): DeltaDiscoveryResponse | undefined {
    return this.session.onSnapshot(snapshotOf(revision, { endpoints: port === undefined ? [] : [of(port)] }))[0];
  }

  confirms(...ports: readonly number[]): string {
    return this.session.confirms('endpoints', 'a', only(...ports));
  }
}

/** Has version 1 and has acknowledged it. */
function settled(): Stream {
  const stream = new Stream();
  stream.set('1', 1);
  stream.ask({ responseNonce: stream.ask({ resourceNamesSubscribe: ['a'] })?.nonce });
  return stream;
}

describe('a data plane', () => {
  test('that wants nothing of the kind, or not this name, has nothing else', () => {
    const stream = new Stream();
    assert.equal(stream.confirms(), 'yes');
    stream.set('1', 1);
    stream.ask({ resourceNamesSubscribe: ['b'] });
    assert.equal(stream.confirms(), 'yes');
  });

  test('has what it acknowledged, and until it answers may have either', () => {
    const stream = settled();
    assert.equal(stream.confirms(1), 'yes');
    assert.equal(stream.confirms(2), 'unacknowledged');
    const next = stream.set('2', 2);
    assert.equal(stream.confirms(2), 'unacknowledged');
    assert.equal(stream.confirms(1), 'unacknowledged');
    assert.equal(stream.confirms(1, 2), 'yes');
    stream.ask({ responseNonce: next?.nonce });
    assert.equal(stream.confirms(2), 'yes');
  });

  test('that refuses goes on with what it had, and one that has said what it brings along has that', () => {
    const refusing = settled();
    const next = refusing.set('2', 2);
    refusing.ask({ responseNonce: next?.nonce, errorDetail: { message: 'no' } });
    assert.equal(refusing.confirms(2), 'refused');
    assert.equal(refusing.confirms(1), 'yes');
    const returning = new Stream();
    returning.set('2', 2);
    returning.ask({ resourceNamesSubscribe: ['a'], initialResourceVersions: { a: versionOf(2) } });
    assert.equal(returning.confirms(2), 'yes');
    assert.equal(returning.session.hasAnswered, false);
  });

  test('that asks anew may go on with anything until it has answered', () => {
    const stream = settled();
    const again = stream.ask({ resourceNamesSubscribe: ['a'] });
    assert.equal(stream.confirms(1), 'unacknowledged');
    stream.ask({ responseNonce: again?.nonce });
    assert.equal(stream.confirms(1), 'yes');
    assert.equal(stream.session.hasAnswered, true);
  });

  test('that was told that the resource is gone has it until it acknowledges that; one that drops it has nothing', () => {
    const told = settled();
    const removal = told.set('2', undefined);
    assert.equal(told.confirms(), 'unacknowledged');
    told.ask({ responseNonce: removal?.nonce });
    assert.equal(told.confirms(), 'yes');
    const dropping = settled();
    dropping.ask({ resourceNamesUnsubscribe: ['a'] });
    assert.equal(dropping.confirms(), 'yes');
  });

  test('of the state of the world says nothing of what it brings along: it must answer first', () => {
    const session = new SotwAdsSession();
    session.onSnapshot(snapshotOf('1', { endpoints: [of(1)] }));
    const [first] = session.onRequest({ typeUrl, resourceNames: ['a'] }, 1_000);
    assert.equal(session.confirms('endpoints', 'a', only(1)), 'unacknowledged');
    session.onRequest({ typeUrl, resourceNames: ['a'], responseNonce: first?.nonce, versionInfo: first?.versionInfo }, 2_000);
    assert.equal(session.confirms('endpoints', 'a', only(1)), 'yes');
    session.onRequest({ typeUrl, resourceNames: [], responseNonce: first?.nonce, versionInfo: first?.versionInfo }, 3_000);
    assert.equal(session.confirms('endpoints', 'a', only()), 'yes');
  });

  test('never counts as having less than it has (property: any order of changes, answers, refusals and requests)', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('set' as const), port: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }) }),
      fc.record({ do: fc.constantFrom('ack' as const, 'nack' as const, 'again' as const, 'drop' as const, 'want' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const stream = new Stream();
        let inFlight: DeltaDiscoveryResponse | undefined;
        /** Version that the data plane really uses: it takes a response when it acknowledges it. */
        let uses: string | undefined;
        let revision = 0;
        const sent = (response: DeltaDiscoveryResponse | undefined): void => {
          inFlight = response ?? inFlight;
        };
        sent(stream.ask({ resourceNamesSubscribe: ['a'] }));
        for (const one of steps) {
          if (one.do === 'set') sent(stream.set(String(++revision), one.port));
          else if (one.do === 'again' || one.do === 'want') sent(stream.ask({ resourceNamesSubscribe: ['a'] }));
          else if (one.do === 'drop') {
            uses = undefined;
            sent(stream.ask({ resourceNamesUnsubscribe: ['a'] }));
          } else if (inFlight !== undefined) {
            const { nonce, resources = [], removedResources = [] } = inFlight;
            inFlight = undefined;
            const isWanted = stream.session.subscription('endpoints') !== undefined;
            if (one.do === 'ack' && isWanted) {
              for (const { version } of resources) uses = version;
              if (removedResources.includes('a')) uses = undefined;
              sent(stream.ask({ responseNonce: nonce }));
            } else sent(stream.ask({ responseNonce: nonce, errorDetail: { message: 'no' } }));
          }
          const { names } = stream.session.subscription('endpoints') ?? { names: new Set<string>() };
          // What is not wanted is not used, whatever an old answer says.
          if (uses === undefined || !names.has('a')) continue;
          const other = (version: string): boolean => version !== uses;
          assert.notEqual(stream.session.confirms('endpoints', 'a', other), 'yes', JSON.stringify(steps));
        }
      }),
    );
  });
});
