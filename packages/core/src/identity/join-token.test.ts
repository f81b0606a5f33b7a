import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatJoinToken, type JoinToken, parseJoinToken } from './join-token.ts';

const TOKEN: JoinToken = {
  id: 'AbCdEfGhIjKl',
  namespace: 'default',
  service: 'orders',
  pin: 'A'.repeat(43),
  notAfterMs: 1_900_000_000_000,
  secret: new Uint8Array(32).fill(7),
};

function withClaims(change: Record<string, unknown>): string {
  const [prefix, claims, secret] = formatJoinToken(TOKEN).split('.') as [string, string, string];
  const changed = { ...(JSON.parse(Buffer.from(claims, 'base64url').toString()) as object), ...change };
  return [prefix, Buffer.from(JSON.stringify(changed)).toString('base64url'), secret].join('.');
}

test('a token reads back as it was written', () => {
  const base64Url = /^[A-Za-z0-9_-]+$/;
  const arbitrary = fc.record(
    {
      id: fc.stringMatching(/^[A-Za-z0-9_-]{8,64}$/),
      namespace: fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
      service: fc.stringMatching(/^[a-z][a-z0-9-]{0,40}$/),
      pin: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      notAfterMs: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      secret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(arbitrary, (token) => {
      const text = formatJoinToken(token);
      const [prefix, claims, secret, ...rest] = text.split('.');
      assert.equal(prefix, 'heddle-join');
      assert.match(claims as string, base64Url);
      assert.match(secret as string, base64Url);
      assert.deepEqual(rest, []);
      const parsed = parseJoinToken(` ${text}\n`);
      assert.ok(parsed.ok);
      assert.deepEqual({ ...parsed.token, secret: Uint8Array.from(parsed.token.secret) }, token);
    }),
  );
});

test('the claims are those that other tools may read', () => {
  const claims: unknown = JSON.parse(Buffer.from(formatJoinToken(TOKEN).split('.')[1] as string, 'base64url').toString());
  assert.deepEqual(claims, { v: 1, id: TOKEN.id, ns: 'default', svc: 'orders', pin: TOKEN.pin, exp: TOKEN.notAfterMs });
});

test('a damaged token says what is wrong with it and how to mend it', () => {
  const good = formatJoinToken(TOKEN);
  for (const [text, what] of [
    ['', /does not begin with "heddle-join\."/],
    ['hello', /does not begin/],
    [good.split('.').slice(0, 2).join('.'), /2 parts/],
    [`${good}.x`, /4 parts/],
    [good.slice(0, -3), /third part/],
    [good.replace('.', '.%'), /second part is damaged/],
    [`heddle-join.${Buffer.from('[]').toString('base64url')}.AAAA`, /second part is damaged/],
    [withClaims({ v: undefined }), /no version/],
    [withClaims({ id: '../../x' }), /id is damaged/],
    [withClaims({ svc: 'a/b' }), /names no service/],
    [withClaims({ ns: '..' }), /names no service/],
    [withClaims({ pin: 'short' }), /pin is damaged/],
    [withClaims({ exp: '1' }), /expiry is damaged/],
    [`heddle-join.${'A'.repeat(5_000)}.x`, /more than any token/],
  ] as const) {
    const parsed = parseJoinToken(text);
    assert.ok(!parsed.ok, text);
    assert.equal(parsed.code, 'malformed');
    assert.match(parsed.reason, what);
    assert.match(parsed.reason, /heddle token create/);
  }
});

test('a token of another version is told apart from a damaged one', () => {
  const parsed = parseJoinToken(withClaims({ v: 2 }));
  assert.ok(!parsed.ok);
  assert.equal(parsed.code, 'wrong-version');
  assert.match(parsed.reason, /version 2/);
});

test('the secret never stands in a reason', () => {
  const secret = formatJoinToken(TOKEN).split('.')[2] as string;
  for (const change of [{ v: 9 }, { id: '' }, { pin: 0 }, { exp: null }]) {
    const parsed = parseJoinToken(withClaims(change));
    assert.ok(!parsed.ok && !parsed.reason.includes(secret));
  }
});

test('any text is read or refused, never thrown at', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `heddle-join.${text}`),
      ),
      (text) => assert.equal(parseJoinToken(text).ok, false),
    ),
  );
});

test('writing refuses parts that could not be read back', () => {
  assert.throws(() => formatJoinToken({ ...TOKEN, secret: new Uint8Array(31) }), RangeError);
  assert.throws(() => formatJoinToken({ ...TOKEN, service: 'a b' }), RangeError);
});
