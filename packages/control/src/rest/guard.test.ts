// Who gets past the door: names, origins, tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticate, checkHost, checkOrigin, isLoopback } from './guard.ts';
import type { GuardRules } from './guard.ts';
import { ProblemError } from './problems.ts';

const RULES: GuardRules = {
  address: '127.0.0.1',
  tls: false,
  trustDomain: 'shop.test',
  operatorToken: 'correct-horse-battery-staple-0123',
};

const refused = (code: string) => (error: unknown) => {
  assert.ok(error instanceof ProblemError);
  assert.equal(error.code, code);
  return true;
};

test('loopback is what no packet from elsewhere can have as its destination', () => {
  for (const address of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) assert.equal(isLoopback(address), true, address);
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil.example', 'evil127.0.0.1', '1127.0.0.1', ''])
    assert.equal(isLoopback(address), false, address);
});

test('on loopback only names of this machine are served, whatever the port: it may be forwarded', () => {
  for (const host of ['127.0.0.1', '127.0.0.1:15080', 'localhost:8080', 'LOCALHOST', '[::1]:15080']) checkHost(host, RULES);
  for (const host of [
    undefined,
    '',
    'evil.example',
    'evil.example:15080',
    'localhost.evil.example',
    '127.0.0.1@evil.example',
    '[::1',
    '10.0.0.1',
  ])
    assert.throws(() => checkHost(host, RULES), refused('MISDIRECTED'), host);
  checkHost('mesh.example', { ...RULES, address: '10.0.0.5', tls: true });
});

test('pages of other origins change nothing; programs and pages of this server do', () => {
  const from = (origin: string | undefined, fetchSite?: string) => ({ host: '127.0.0.1:15080', origin, fetchSite });
  checkOrigin(from(undefined), RULES);
  checkOrigin(from('http://127.0.0.1:15080', 'same-origin'), RULES);
  checkOrigin(from(undefined, 'none'), RULES);
  for (const evidence of [
    from('http://evil.example'),
    from('http://127.0.0.1:3000'),
    from('https://127.0.0.1:15080'),
    from('null'),
    from(undefined, 'cross-site'),
    from(undefined, 'same-site'),
  ])
    assert.throws(() => checkOrigin(evidence, RULES), refused('FOREIGN_ORIGIN'), JSON.stringify(evidence));
});

test('the token makes the operator, and nothing else does; a refusal says how', () => {
  assert.equal(authenticate(`Bearer ${RULES.operatorToken}`, RULES, 0).kind, 'operator');
  assert.equal(authenticate(`bearer ${RULES.operatorToken}`, RULES, 0).kind, 'operator');
  for (const header of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    RULES.operatorToken,
    `Basic ${RULES.operatorToken}`,
    `Bearer ${RULES.operatorToken}x`,
  ])
    assert.throws(() => authenticate(header, RULES, 0), refused('UNAUTHENTICATED'), header);
  assert.throws(
    () => authenticate(undefined, RULES, 0),
    (error: unknown) => error instanceof ProblemError && error.extras.headers?.['www-authenticate']?.startsWith('Bearer ') === true,
  );
});
