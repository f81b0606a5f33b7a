import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tokenFindings } from './tokens.ts';

test('a mesh without issuers has nothing to say about them', () => {
  assert.deepEqual(tokenFindings('heddle_active_requests 0\n'), []);
});

test('an issuer or a token that cannot be had is a failure by name, all others together are fine', () => {
  const metrics = [
    'heddle_issuer_unreachable{issuer="login"} 0',
    'heddle_issuer_unreachable{issuer="partner"} 2',
    'heddle_outbound_token_missing{token="billing-api"} 0',
    '',
  ].join('\n');
  const [issuers, tokens] = tokenFindings(metrics);
  assert.deepEqual([issuers!.result, tokens!.result], ['failed', 'ok']);
  assert.match(issuers!.detail, /^partner did not/);
  assert.notEqual(issuers!.mend, '');
  assert.match(tokens!.detail, /^billing-api could/);
});
