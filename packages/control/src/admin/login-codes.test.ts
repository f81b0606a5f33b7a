import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '@heddle/runtime';
import { nodeRandom } from '@heddle/runtime/node';
import { LOGIN_CODE_TTL_MS, LoginCodes } from './login-codes.ts';

const MAKER = { kind: 'administrator', role: 'operator', id: undefined, uri: 'operator token' } as const;

function codes() {
  let now = 1_000_000;
  const clock = { wallMs: () => now } as Clock;
  return { logins: new LoginCodes(clock, nodeRandom), pass: (ms: number) => (now += ms) };
}

test('a code is good once, for its time, with the role it was made for', () => {
  const { logins, pass } = codes();
  const { code, notAfterMs } = logins.create('viewer', MAKER);
  assert.equal(notAfterMs, 1_000_000 + LOGIN_CODE_TTL_MS);
  assert.equal(logins.take(`${code}x`), undefined);
  const { role, maker, name } = logins.take(code) ?? {};
  assert.deepEqual([role, maker], ['viewer', MAKER]);
  assert.match(name ?? '', /^dashboard-[0-9a-f]{8}$/);
  assert.equal(logins.take(code), undefined);
  const late = logins.create('viewer', MAKER);
  pass(LOGIN_CODE_TTL_MS);
  assert.equal(logins.take(late.code), undefined);
});

test('there are never more than a hundred open ones, and only for roles that there are', () => {
  const { logins, pass } = codes();
  assert.throws(() => logins.create('king', MAKER), /role: "king" is none/);
  for (let made = 0; made < 100; made += 1) logins.create('editor', MAKER);
  assert.throws(() => logins.create('editor', MAKER), /100 logins are open/);
  pass(LOGIN_CODE_TTL_MS);
  logins.create('editor', MAKER);
});
