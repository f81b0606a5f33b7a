import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimAt, claimFits, claimHeadersOf, claimHeaderValue } from './claims.ts';
import { parseUniqueObject } from './unique-json.ts';

const claims = parseUniqueObject(
  '{"sub":"ann","scope":"read  write","realm":{"roles":["staff","a,b"," x"]},"level":3,"ok":true,"none":null,"a.b":"dotted","deep":{"list":[{"a":1}]},"name":"J\\u00f6rg \\u4e2d"}',
)!;

test('a path leads through objects, not through lists or texts', () => {
  assert.deepEqual(claimAt(claims, ['realm', 'roles']), ['staff', 'a,b', ' x']);
  assert.equal(claimAt(claims, ['a.b']), 'dotted');
  for (const path of [['a', 'b'], ['sub', 'length'], ['realm', 'roles', '0'], ['toString'], ['realm', '__proto__']])
    assert.equal(claimAt(claims, path), undefined, path.join());
});

test('a claim fits by its value, an element of its list, or a word of its scope', () => {
  const fits = (claim: string[], ...values: (string | number | boolean)[]): boolean => claimFits(claims, { claim, values });
  assert.ok(fits(['sub'], 'bob', 'ann'));
  assert.ok(fits(['realm', 'roles'], 'staff'));
  assert.ok(fits(['scope'], 'write'));
  assert.ok(fits(['level'], 3));
  assert.ok(fits(['ok'], true));
  for (const misfit of [fits(['sub'], 'an'), fits(['level'], '3'), fits(['ok'], 'true'), fits(['scope'], ''), fits(['sub'])])
    assert.equal(misfit, false);
  assert.equal(fits(['realm', 'roles'], 'b'), false, 'a comma in a role does not make two of it');
  assert.equal(fits(['missing'], 'x'), false);
});

test('headers carry texts as UTF-8, lists with commas, objects as JSON', () => {
  assert.equal(claimHeaderValue(claims, ['sub']), 'ann');
  assert.equal(claimHeaderValue(claims, ['level']), '3');
  assert.equal(claimHeaderValue(claims, ['ok']), 'true');
  assert.equal(Buffer.from(claimHeaderValue(claims, ['name'])!, 'latin1').toString('utf8'), 'Jörg 中');
  assert.equal(claimHeaderValue(claims, ['deep']), '{"list":[{"a":1}]}');
});

test('nothing in a claim can end a header, or make two values of one', () => {
  assert.equal(claimHeaderValue(claims, ['realm', 'roles']), 'staff');
  for (const value of ['a\r\nx-admin: 1', 'a\u0000', 'ann\ud800', '\udc00', ' admin', 'admin\t', '', 'x'.repeat(9_000)])
    assert.equal(claimHeaderValue({ value }, ['value']), undefined, JSON.stringify(value));
  assert.equal(claimHeaderValue(claims, ['none']), undefined);
  assert.equal(claimHeaderValue({ value: [['a'], '\u2028'] }, ['value']), '[["a"],"\\u2028"]');
});

test('texts that would be written alike in a header are in none', () => {
  assert.equal(claimHeaderValue({ value: ['a', 'b\ud800', 'c'] }, ['value']), 'a,c');
});

test('a claim that is not there has no header', () => {
  const headers = [
    { claim: ['sub'], header: 'X-User' },
    { claim: ['mail'], header: 'x-mail' },
  ];
  assert.deepEqual(claimHeadersOf(claims, headers), [['x-user', 'ann']]);
});
