import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AccessPolicy, AccessRule } from '@heddle/core';
import { compileCondition } from '@heddle/core/cel';
import { explain as explainWith } from './explain.ts';
import { explain } from './index.ts';
import { readQuestion } from './question.ts';
import { ask, dump, WEB } from './test-support.ts';

const WEB_ID = 'spiffe://shop.test/ns/default/svc/web';
const web: AccessRule = {
  name: 'web reads',
  effect: 'allow',
  subjects: [{ identities: [{ kind: 'exact', id: WEB_ID }] }],
  permissions: [{ methods: ['GET'] }],
};
const staff: AccessRule = { name: 'staff', effect: 'allow', subjects: [{ token: { issuers: [], claims: [] } }], permissions: [] };
const policy = (...rules: readonly AccessRule[]): AccessPolicy => ({ default: 'deny', rules });

describe('who may, in an explanation', () => {
  it('is what the policy of an instance that is hosted here says, rule by rule', () => {
    const { outcome, calledSide, access } = ask(dump({ inbound: { access: policy(web, staff) } }), 'http://orders/a/../b');
    const decision = calledSide[0]?.decision;
    assert.equal(outcome.kind, 'forwarded');
    assert.deepEqual([decision?.allowed, decision?.rule, decision?.path, decision?.rulesCount], [true, 'web reads', '/b', 2]);
    assert.deepEqual(
      decision?.rules.map(({ name, fits }) => [name, fits]),
      [
        ['web reads', true],
        ['staff', false],
      ],
    );
    assert.deepEqual([access.mayTry, access.token], [null, '']);
  });

  it('is the outcome where that refuses', () => {
    const of = dump({ inbound: { access: policy(web, staff) } });
    const { outcome } = ask(of, 'http://orders/', { method: 'POST' });
    assert.deepEqual([outcome.kind, outcome.code, outcome.status], ['refused', 'TOKEN_REQUIRED', 401]);
    assert.match(outcome.summary, /orders-1 refuses it: no rule fits.*with a token, rule "staff" may allow it/);
    assert.deepEqual(ask(dump({ inbound: { access: policy(web) } }), 'http://orders/', { method: 'POST' }).outcome.code, 'ACCESS_DENIED');
  });

  it('says what would be asked besides, and what is only watched', () => {
    const external = { cluster: 'outbound/default/authz', timeoutMs: 100, failOpen: false, bodyBytesMax: 0 };
    const issuer = { name: 'login' } as never;
    const of = dump({ inbound: { access: { ...policy(), audit: true, external }, tokens: { issuers: [issuer] } } });
    const { outcome, calledSide } = ask(of, 'http://orders/');
    const { allowed, onlyWatches, watched, authorizer, issuers } = calledSide[0]!.decision!;
    assert.equal(outcome.kind, 'forwarded');
    assert.deepEqual(
      [allowed, onlyWatches, watched, authorizer, issuers],
      [true, true, [{ rule: '', effect: 'deny' }], 'outbound/default/authz', ['login']],
    );
    const tokens = ask(dump({ inbound: { tokens: { issuers: [issuer] } } }), 'http://orders/').calledSide[0]!.decision;
    assert.deepEqual([tokens?.allowed, tokens?.issuers], [true, ['login']]);
    assert.equal(ask(dump(), 'http://orders/').calledSide[0]!.decision, null);
  });

  it("is told by the caller's side where that knows that nothing is allowed", () => {
    const of = (id: string) => dump({ callers: { allowed: [{ kind: 'exact', id }], denied: [] } });
    const refused = ask(of('spiffe://shop.test/ns/default/svc/billing'), 'http://orders/');
    assert.deepEqual([refused.outcome.kind, refused.outcome.code, refused.access.mayTry], ['refused', 'ACCESS_DENIED', false]);
    const { outcome, access } = ask(of(WEB_ID), 'http://orders/', { from: WEB });
    assert.deepEqual([outcome.kind, access.mayTry], ['forwarded', true]);
  });

  it('looks at conditions, also at those that ask for the time', async () => {
    const when = 'source.service == "web" && request.time < timestamp("2030-01-01T00:00:00Z")';
    const of = dump({ inbound: { access: policy({ ...web, when }) } });
    const question = readQuestion({ method: 'GET', url: 'http://orders/', from: 'web' });
    const answer = await explain(of, question, Date.UTC(2029, 0));
    assert.equal(answer.calledSide[0]?.decision?.allowed, true);
    const late = explainWith(of, question, { conditions: compileCondition, wallMs: Date.UTC(2031, 0) });
    assert.equal(late.calledSide[0]?.decision?.allowed, false);
  });
});
