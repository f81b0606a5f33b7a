// What attackers send in place of a token. Each is refused, and a good token of the same issuer is accepted beside it.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { PlainRequest } from '@heddle/core';
import { SignJWT } from 'jose';
import type { TokenAnswer } from '../stack/access-gate.ts';
import { authnDeps } from '../testing/issuer.ts';
import { attacksOn, bearer, Targets } from '../testing/token-attacks.ts';
import type { Headers } from '../testing/token-attacks.ts';
import { gatesOf } from './gates.ts';

const targets = await Targets.start();

describe('attacks with tokens', () => {
  const { login } = targets;
  const gates = gatesOf(authnDeps().deps);
  const gate = gates.gateFor(targets.policy);
  after(async () => {
    gates.close();
    await targets.close();
  });

  async function ask(headers: Headers): Promise<TokenAnswer> {
    const answer = gate.check(new PlainRequest({ authority: 'orders', headers }), Date.now());
    return answer.kind === 'later' ? new Promise((resolve) => void answer.wait(resolve)) : answer;
  }

  for (const { name, reason, headers } of attacksOn(targets)) {
    test(`${name}: refused`, async () => {
      const answer = await ask(await headers());
      assert.equal(answer.kind, 'invalid', JSON.stringify(answer));
      assert.match(answer.kind === 'invalid' ? answer.reason : '', reason);
      assert.equal((await ask(bearer(await login.token()))).kind, 'valid', 'a good one is accepted');
    });
  }

  test('of two good tokens in two places the first counts, and the other is not passed on', async () => {
    const good = await login.token();
    const answer = await ask([...bearer(good), ['cookie', `a=1; session=${await login.token({ sub: 'bob' })}`]]);
    assert.equal(answer.kind === 'valid' && answer.token.claims.sub, 'ann');
    assert.deepEqual(answer.kind === 'valid' && answer.headers, { drop: ['cookie'], set: [['cookie', 'a=1']] });
  });

  test('a token under another scheme is no token, and the letter case of the scheme is no matter', async () => {
    const token = await login.token();
    for (const scheme of ['Basic', 'DPoP', 'Token', 'BearerX'])
      assert.equal((await ask([['authorization', `${scheme} ${token}`]])).kind, 'none');
    for (const scheme of ['bearer', 'BEARER', 'Bearer '])
      assert.equal((await ask([['authorization', `${scheme} ${token}`]])).kind, 'valid');
  });

  test('no reason holds the token or a part of it', async () => {
    const secret = await login.token({ exp: 1, secret: 'kept-to-yourself' });
    const answer = await ask(bearer(secret));
    assert.ok(answer.kind === 'invalid');
    for (const part of [...secret.split('.'), 'kept-to-yourself']) assert.ok(!answer.reason.includes(part), answer.reason);
  });

  test('a token that its issuer signed without a type, or with the type of an access token, is accepted', async () => {
    for (const header of [{}, { typ: 'JWT' }, { typ: 'at+jwt' }])
      assert.equal((await ask(bearer(await login.token({}, header)))).kind, 'valid');
    const signed = await new SignJWT({ sub: 'ann' })
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(login.url)
      .setAudience(['x', 'shop'])
      .setExpirationTime('5m')
      .sign(login.keys[1]!.privateKey);
    assert.equal((await ask(bearer(signed))).kind, 'valid', 'and one that names no key');
  });
});
