// Header changes made ready: what is dropped, what is written, and what may never be changed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { HeaderChanges } from '../model/route.ts';
import { RouteFault } from './error.ts';
import { compileHeaderChanges, HeaderValue } from './header-changes.ts';

const FACTS = { requestId: 'id-1', sourceIdentity: 'spiffe://shop.test/ns/default/svc/web', sourceAddress: '10.0.0.7' };

function changes(some: Partial<HeaderChanges>): HeaderChanges {
  return { set: {}, add: {}, remove: [], ...some };
}

/** What becomes of received lines. */
function applied(received: readonly (readonly [string, string])[], ...all: readonly (HeaderChanges | undefined)[]): string[] {
  const compiled = compileHeaderChanges(...all);
  const kept = received.filter(([name]) => compiled?.drop.includes(name.toLowerCase()) !== true);
  const written = (compiled?.fields ?? []).map(({ name, value }) => [name, value.render(FACTS)] as const);
  return [...kept, ...written].map(([name, value]) => `${name}: ${value}`);
}

describe('header changes', () => {
  it('set in place of, add beside, and remove what was there', () => {
    const some = changes({ set: { 'X-A': 'new' }, add: { 'x-b': 'more' }, remove: ['X-C'] });
    assert.deepEqual(
      applied(
        [
          ['x-a', '1'],
          ['X-B', '2'],
          ['x-c', '3'],
          ['x-d', '4'],
        ],
        some,
      ),
      ['X-B: 2', 'x-d: 4', 'x-a: new', 'x-b: more'],
    );
  });

  it('say nothing when there are none', () => {
    assert.equal(compileHeaderChanges(), undefined);
    assert.equal(compileHeaderChanges(undefined, changes({})), undefined);
  });

  it('are combined as if made one after the other (property)', () => {
    const name = fc.constantFrom('x-a', 'x-b', 'x-c');
    const values = fc.dictionary(name, fc.constantFrom('1', '2'), { maxKeys: 2 });
    const some = fc
      .record({ set: values, add: values, remove: fc.uniqueArray(name, { maxLength: 1 }) })
      .map(({ set, add, remove }) => changes({ set, add, remove: remove.filter((one) => !(one in set) && !(one in add)) }));
    fc.assert(
      fc.property(some, some, fc.array(fc.tuple(name, fc.constant('0')), { maxLength: 3 }), (first, second, received) => {
        const between = applied(received, first).map((line): [string, string] => [line.slice(0, 3), line.slice(5)]);
        assert.deepEqual(applied(received, first, second).sort(), applied(between, second).sort());
      }),
    );
  });

  it('may not touch what carries the message or what the mesh says', () => {
    for (const name of [
      'host',
      'Connection',
      'TE',
      'transfer-encoding',
      'Content-Length',
      'upgrade',
      'keep-alive',
      'trailer',
      'proxy-connection',
      'proxy-authorization',
      ':path',
      'x-heddle-peer',
      'X-Heddle-Error',
      'a b',
      '',
      'a\r\nb',
    ]) {
      for (const some of [changes({ set: { [name]: '' } }), changes({ add: { [name]: '' } }), changes({ remove: [name] })])
        assert.throws(() => compileHeaderChanges(some), RouteFault, name);
    }
  });

  it('are refused when they contradict themselves', () => {
    assert.throws(() => compileHeaderChanges(changes({ set: { a: '1' }, remove: ['A'] })), /both set and removed/);
    assert.throws(() => compileHeaderChanges(changes({ add: { a: '1' }, remove: ['A'] })), /both added and removed/);
    assert.throws(() => compileHeaderChanges(changes({ set: { a: '1', A: '2' } })), /set twice/);
  });
});

describe('a header value', () => {
  it('has the request put in', () => {
    const value = new HeaderValue('%SOURCE_IDENTITY% from %SOURCE_ADDRESS% (%REQUEST_ID%)');
    assert.equal(value.fixed, undefined);
    assert.equal(value.render(FACTS), 'spiffe://shop.test/ns/default/svc/web from 10.0.0.7 (id-1)');
    assert.equal(new HeaderValue('%REQUEST_ID%%REQUEST_ID%').render(FACTS), 'id-1id-1');
  });

  it('is fixed where it speaks of nothing; two percent signs are one', () => {
    assert.equal(new HeaderValue(' 100%% sure ').fixed, '100% sure');
    assert.equal(new HeaderValue('').fixed, '');
    assert.equal(new HeaderValue('%%REQUEST_ID%%').fixed, '%REQUEST_ID%');
    assert.equal(new HeaderValue('%%%REQUEST_ID%').render(FACTS), '%id-1');
  });

  it('is refused with names it does not know, and with what no header holds', () => {
    assert.throws(() => new HeaderValue('%HOSTNAME%'), /"%HOSTNAME%" in "%HOSTNAME%" is not known; %REQUEST_ID%/);
    assert.throws(() => new HeaderValue('%constructor%'), /is not known/);
    assert.throws(() => new HeaderValue('50%'), /write "%%"/);
    for (const value of ['a\r\nb: c', 'a\nb', 'a\u0000', 'ü']) assert.throws(() => new HeaderValue(value), /cannot be the value/);
    assert.throws(() => new HeaderValue('a'.repeat(4_097)), /at most 4096/);
  });

  it('never holds the end of a line, whatever it was told (property)', () => {
    const value = new HeaderValue('%SOURCE_IDENTITY%/%SOURCE_ADDRESS%/%REQUEST_ID%');
    const fact = fc.string({ unit: 'binary', maxLength: 8 });
    fc.assert(
      fc.property(fact, fact, fact, (requestId, sourceIdentity, sourceAddress) => {
        assert.match(value.render({ requestId, sourceIdentity, sourceAddress }), /^[\x20-\x7e]*$/);
      }),
    );
  });
});
