import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessPolicyError } from '../authz/error.ts';
import type { OutboundToken, TokenIssuer } from '../model/security.ts';
import { checkOutboundToken, checkTokenPolicy } from './check-policy.ts';

const GOOD: TokenIssuer = {
  name: 'login',
  issuer: 'https://id.test',
  audiences: ['shop'],
  keys: { kind: 'discovery' },
  keysMaxAgeMs: 600_000,
  algorithms: ['ES256'],
  sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  skewMs: 0,
  claimHeaders: [{ claim: ['sub'], header: 'x-user' }],
  forward: true,
};
const TOKEN: OutboundToken = {
  name: 'api',
  grant: 'client-credentials',
  url: 'https://id.test/token',
  clientId: 'orders',
  clientSecretFile: '/secret',
  scopes: [],
  header: 'authorization',
};

test('what can be carried out is fine', () => {
  checkTokenPolicy({ issuers: [GOOD, { ...GOOD, name: 'other' }] });
  checkTokenPolicy({ issuers: [] });
  checkOutboundToken(TOKEN);
});

test('what would refuse everything, or break requests, is said with its place', () => {
  const table: readonly (readonly [Partial<TokenIssuer>, RegExp])[] = [
    [{ issuer: '' }, /"iss"/],
    [{ audiences: [] }, /no audience/],
    [{ algorithms: [] }, /no algorithm/],
    [{ algorithms: ['HS256' as never] }, /"HS256" is not known/],
    [{ algorithms: ['none' as never] }, /"none" is not known/],
    [{ algorithms: ['constructor' as never] }, /not known/],
    [{ sources: [] }, /where its tokens are/],
    [{ sources: [{ kind: 'header', name: 'x y', prefix: '' }] }, /not the name of a header/],
    [{ sources: Array.from({ length: 17 }, (_, i) => ({ kind: 'cookie', name: `c${i}` })) }, /17 places/],
    [{ keysMaxAgeMs: 0 }, /without a pause/],
    [{ skewMs: Number.NaN }, /clocks/],
    [{ claimHeaders: [{ claim: ['sub'], header: 'x-heddle-peer' }] }, /x-heddle-peer/],
    [{ claimHeaders: [{ claim: ['sub'], header: 'content-length' }] }, /content-length/],
    [{ claimHeaders: [{ claim: ['sub'], header: 'x-user\r\nx' }] }, /not the name/],
    [{ keys: { kind: 'inline', jwks: '{"keys":[{"kty":"oct","k":"AAAA"}]}' } }, /no key that tokens can be checked with/],
  ];
  for (const [part, message] of table) {
    assert.throws(
      () => checkTokenPolicy({ issuers: [{ ...GOOD, ...part }] }),
      (error) => error instanceof AccessPolicyError && error.message.startsWith('access policy, issuer') && message.test(error.message),
      JSON.stringify(part),
    );
  }
  const inOther: TokenIssuer = { ...GOOD, name: 'other', claimHeaders: [{ claim: ['sub'], header: 'Authorization' }] };
  assert.throws(() => checkTokenPolicy({ issuers: [GOOD, inOther] }), /no claim can/);
  assert.throws(() => checkTokenPolicy({ issuers: [GOOD, GOOD] }), /two of this name/);
  assert.throws(() => checkOutboundToken({ ...TOKEN, header: 'host' }), /"host"/);
  assert.throws(() => checkOutboundToken({ ...TOKEN, url: 'id.test' }), /no URL/);
  assert.throws(() => checkOutboundToken({ ...TOKEN, grant: 'password' as never }), /not known/);
});
