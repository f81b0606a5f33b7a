import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TapCollector } from './collector.ts';
import { type TapCandidate, TapMatcher } from './matcher.ts';
import { TAP_LIMITS, type TapFilter, tapProblem, type TapRecord } from './order.ts';
import { isSecretHeader, REDACTED, redactedHeader, redactedPath } from './redaction.ts';

const request: TapCandidate = {
  ...{ source: 'default/web', destination: 'default/orders', instance: 'orders-1', route: '', method: 'GET', path: '/orders/7/items' },
  ...{ status: 200, error: '', durationMs: 12, traceId: '0af7651916cd43dd8448eb211c80319c' },
};
const fits = (filter: TapFilter, over: Partial<TapCandidate> = {}): boolean => new TapMatcher(filter).fits({ ...request, ...over });

test('a request fits when all that is said of it fits', () => {
  for (const [filter, over, expected] of [
    [{}, {}, true],
    [{ service: 'default/web' }, {}, true],
    [{ service: 'default/orders', source: 'default/web' }, {}, true],
    [{ service: 'default/cart' }, {}, false],
    [{ source: 'default/orders' }, {}, false],
    [{ method: 'get' }, {}, true],
    [{ route: 'default' }, {}, true],
    [{ route: 'default' }, { route: 'canary' }, false],
    [{ instance: 'orders-2' }, {}, false],
    [{ status: '5xx' }, {}, false],
    [{ status: '429,5xx' }, { status: 503 }, true],
    [{ status: '429,5xx' }, { status: 429 }, true],
    [{ status: '2xx' }, { status: 300 }, false],
    [{ status: '5xx' }, { status: 0 }, false],
    [{ error: 'any' }, {}, false],
    [{ error: 'any' }, { status: 500 }, true],
    [{ error: '5xx' }, { status: 503, error: 'NO_HEALTHY_INSTANCE' }, false],
    [{ error: 'NO_HEALTHY_INSTANCE' }, { status: 503, error: 'NO_HEALTHY_INSTANCE' }, true],
    [{ slowerThanMs: 12 }, {}, true],
    [{ slowerThanMs: 13 }, {}, false],
    [{ traceId: '0AF7651916CD43DD8448EB211C80319C' }, {}, true],
    [{ path: '/orders/' }, {}, true],
    [{ path: '/order/' }, {}, false],
    [{ path: '/orders/*/items' }, {}, true],
    [{ path: '/orders/*' }, {}, true],
    [{ path: '*/items' }, {}, true],
    [{ path: '/orders/*/item' }, {}, false],
    [{ path: '/orders/7/items*/items' }, {}, false],
  ] as const)
    assert.equal(fits(filter, over), expected, JSON.stringify([filter, over]));
});

test('stars stand for any characters, as a regular expression would have it', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*'), maxLength: 8 });
  const path = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 12 });
  fc.assert(
    fc.property(letters, path, (pattern, text) => {
      fc.pre(pattern.includes('*'));
      const expected = new RegExp(`^${pattern.split('*').join('.*')}$`).test(text);
      assert.equal(fits({ path: pattern }, { path: text }), expected);
    }),
  );
});

test('says what is wrong with a filter', () => {
  assert.equal(tapProblem({ path: '/a', status: '429,5xx', slowerThanMs: 5 }, ['x-request-id']), undefined);
  for (const [filter, headers, field] of [
    [{ status: '5x' }, [], 'status'],
    [{ path: '/a?b=c' }, [], 'path'],
    [{ path: '*'.repeat(9) }, [], 'path'],
    [{ traceId: 'abc' }, [], 'traceId'],
    [{ service: '' }, [], 'service'],
    [{ slowerThanMs: Number.NaN }, [], 'slowerThanMs'],
    [{}, ['X-Upper'], 'headers'],
    [{}, Array.from({ length: 17 }, (_, index) => `x-${index}`), 'headers'],
  ] as const)
    assert.equal(tapProblem(filter, headers)?.field, field, JSON.stringify(filter));
});

test('nothing of a secret is left, whatever it is called and wherever it stands', () => {
  for (const name of [
    'authorization',
    'cookie',
    'x-api-key',
    'x_apikey',
    'x-csrf-token',
    'x-session',
    'x-my-secret',
    'x-user-jwt',
    'set-cookie',
  ])
    assert.ok(isSecretHeader(name), name);
  for (const name of ['user-agent', 'x-request-id', 'accept', 'content-type', 'host', 'x-user']) assert.ok(!isSecretHeader(name), name);
  for (const value of [
    'Bearer hunter22',
    'see basic aHVudGVyMg==',
    'eyJhbGciOiJub25lIn0.eyJhIjoxfQ.x',
    'ghp_abcdefghijklmnop',
    '-----BEGIN PRIVATE KEY-----',
    'id=AKIAABCDEFGHIJKLMNOP',
  ])
    assert.equal(redactedHeader('x-note', value), REDACTED, value);
  assert.equal(redactedHeader('referer', 'https://ann:pw@shop/cart?token=abc#x'), `https://${REDACTED}@shop/cart?${REDACTED}`);
  assert.equal(redactedHeader('x-original-url', '/cart?token=abc'), `/cart?${REDACTED}`);
  assert.equal(redactedHeader('user-agent', 'curl/8.0 (what?)'), 'curl/8.0 (what?)');
  assert.equal(redactedPath('/a;jsessionid=abc/b;v=1'), '/a;…/b;…');
  assert.equal(redactedPath('/reset/eyJhbGciOiJub25lIn0.eyJhIjoxfQ.x/go'), `/reset/${REDACTED}/go`);
  assert.ok(redactedPath(`/${'a'.repeat(9_000)}`).length <= TAP_LIMITS.pathLength + 1);
  assert.ok(redactedHeader('x-long', 'a'.repeat(9_000)).length <= TAP_LIMITS.valueLength + 1);
});

test('holds no more than its limits, however much comes and however long nobody takes it', () => {
  const record = { path: `/${'p'.repeat(511)}`, headers: [{ name: 'x-note', value: 'v'.repeat(512) }] } as unknown as TapRecord;
  for (const own of [{ path: '/', headers: [] } as unknown as TapRecord, record]) {
    const collector = new TapCollector(TAP_LIMITS.perSecond, 0);
    let admitted = 0;
    for (let index = 0; index < 100_000; index += 1)
      if (collector.admits(index)) {
        collector.add(own);
        admitted += 1;
      }
    const batch = collector.take();
    assert.equal(batch?.records.length, admitted);
    assert.equal(batch?.lost, 100_000 - admitted);
    assert.ok(admitted <= TAP_LIMITS.waiting && admitted * 1_030 <= TAP_LIMITS.waitingChars + 1_030_000);
    assert.equal(collector.take(), undefined);
    collector.giveBack(batch!);
    assert.equal(collector.take()?.lost, 100_000);
  }
});

test('no more are told in a second than were asked for', () => {
  const collector = new TapCollector(5, 0);
  const admittedAt = (nowMs: number): number => Array.from({ length: 50 }, () => collector.admits(nowMs)).filter(Boolean).length;
  assert.deepEqual([admittedAt(0), admittedAt(1), admittedAt(200), admittedAt(5_000)], [5, 0, 1, 5]);
});
