// Who gets past the door: names, origins, tokens.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Authenticator } from '../server/authenticator.ts';
import type { Caller } from '../server/caller.ts';
import { ManualClock } from '../testing/clock.ts';
import { authenticate, checkHost, checkOrigin, requireRole } from './guard.ts';
import { isLoopback } from '../server/listening.ts';
import type { GuardRules } from './guard.ts';
import { ProblemError } from './problems.ts';

const RULES: GuardRules = {
  address: '127.0.0.1',
  tls: false,
};
const TOKEN = 'correct-horse-battery-staple-0123';

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

test('the token makes the operator, and nothing else does; a refusal says how', async () => {
  const authenticator = new Authenticator({ trustDomain: 'shop.test', operatorToken: TOKEN, clock: new ManualClock() });
  const ask = (header: string | undefined): Promise<Caller> => authenticate(header, authenticator, '127.0.0.1');
  for (const scheme of ['Bearer', 'bearer']) {
    const caller = await ask(`${scheme} ${TOKEN}`);
    assert.equal(caller.kind === 'administrator' && caller.role, 'operator');
  }
  for (const header of [undefined, '', 'Bearer', 'Bearer ', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`])
    await assert.rejects(ask(header), refused('UNAUTHENTICATED'), header);
  await assert.rejects(
    ask(undefined),
    (error: unknown) => error instanceof ProblemError && error.extras.headers?.['www-authenticate']?.startsWith('Bearer ') === true,
  );
});

test('who fails too often is not looked at any more, except with what was right before', async () => {
  const clock = new ManualClock();
  const authenticator = new Authenticator({ trustDomain: 'shop.test', operatorToken: TOKEN, clock });
  const ask = (token: string, address = '10.0.0.1'): Promise<Caller> => authenticate(`Bearer ${token}`, authenticator, address);
  await ask(TOKEN);
  for (let attempt = 0; attempt < 100; attempt += 1) await assert.rejects(ask(`wrong-${attempt}`), refused('UNAUTHENTICATED'));
  await assert.rejects(ask('wrong'), refused('LIMIT'));
  await ask(TOKEN);
  await assert.rejects(ask('wrong', '10.0.0.2'), refused('UNAUTHENTICATED'));
  for (let attempt = 0; attempt < 100; attempt += 1) await assert.rejects(ask('wrong', '10.0.0.3'));
  await assert.rejects(ask(TOKEN, '10.0.0.3'), refused('LIMIT'));
  clock.advance(2_000);
  await ask(TOKEN, '10.0.0.3');
});

test('a role holds for what it says and for all below it', () => {
  const as = (role: 'viewer' | 'editor' | 'operator'): Caller => ({ kind: 'administrator', role, id: undefined, uri: 'admin token ann' });
  requireRole(as('operator'), 'viewer');
  requireRole(as('editor'), 'editor');
  for (const [caller, role] of [
    [as('viewer'), 'editor'],
    [as('editor'), 'operator'],
    [{ kind: 'anonymous' }, 'viewer'],
  ] as const)
    assert.throws(() => requireRole(caller, role), refused('FORBIDDEN'));
});
