import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTokenClaims, checkTokenHeader, tokenEndMs } from './signed-token.ts';
import type { JsonObject } from './unique-json.ts';

const NOW_S = 1_800_000_000;
const TERMS = { issuer: 'https://id.test', audiences: ['shop', 'shop-2'], skewMs: 60_000 };
const GOOD = { iss: 'https://id.test', aud: 'shop', exp: NOW_S + 600 };
const ALLOWED = { algorithms: ['ES256', 'EdDSA'] } as const;

function refusal(claims: JsonObject): string | undefined {
  return checkTokenClaims(claims, TERMS, NOW_S * 1_000);
}

test('a token for us, of its issuer and of now is accepted', () => {
  const table: readonly JsonObject[] = [
    {},
    { aud: ['other', 'shop-2'] },
    { nbf: NOW_S, iat: NOW_S - 5 },
    { exp: NOW_S - 59 },
    { nbf: NOW_S + 59, iat: NOW_S + 59 },
  ];
  for (const more of table) assert.equal(refusal({ ...GOOD, ...more }), undefined, JSON.stringify(more));
});

test('all others are refused', () => {
  const { exp: _, ...endless } = GOOD;
  const { aud: __, ...forNobody } = GOOD;
  const { iss: ___, ...ofNobody } = GOOD;
  const table: readonly (readonly [JsonObject, RegExp])[] = [
    [{ ...GOOD, exp: NOW_S - 60 }, /ended/],
    [{ ...GOOD, nbf: NOW_S + 61 }, /will be valid/],
    [{ ...GOOD, iat: NOW_S + 61 }, /issued/],
    [{ ...GOOD, iss: 'https://id.test/' }, /issuer/],
    [{ ...GOOD, iss: ['https://id.test'] }, /issuer/],
    [{ ...GOOD, aud: 'Shop' }, /audience/],
    [{ ...GOOD, aud: [] }, /audience/],
    [{ ...GOOD, aud: ['shop', 1] }, /audience is no text/],
    [{ ...GOOD, aud: { shop: true } }, /audience/],
    [{ ...GOOD, exp: String(NOW_S + 600) }, /times/],
    [{ ...GOOD, exp: null }, /times/],
    [{ ...GOOD, exp: 1e300 }, /times/],
    [{ ...GOOD, nbf: 'now' }, /times/],
    [endless, /no end/],
    [forNobody, /no audience/],
    [ofNobody, /issuer/],
  ];
  for (const [claims, reason] of table) assert.match(refusal(claims) ?? 'accepted', reason, JSON.stringify(claims));
});

test('headers are accepted with an allowed algorithm and nothing that changes the meaning', () => {
  const good: readonly JsonObject[] = [
    { alg: 'ES256' },
    { alg: 'EdDSA', kid: 'a', typ: 'JWT', x5t: 'x' },
    { alg: 'Ed25519', typ: 'at+JWT' },
  ];
  for (const header of good) assert.equal(checkTokenHeader(header, ALLOWED), undefined, JSON.stringify(header));
  const table: readonly JsonObject[] = [
    {},
    { alg: 'none' },
    { alg: 'None' },
    { alg: 'nOnE' },
    { alg: 'HS256' },
    { alg: 'es256' },
    { alg: 'RS256' },
    { alg: ['ES256'] },
    { alg: 'ES256', crit: [] },
    { alg: 'ES256', b64: false },
    { alg: 'ES256', zip: 'DEF' },
    { alg: 'ES256', jwk: {} },
    { alg: 'ES256', jku: 'https://evil.test' },
    { alg: 'ES256', x5u: 'https://evil.test' },
    { alg: 'ES256', x5c: [] },
    { alg: 'ES256', typ: 'dpop+jwt' },
    { alg: 'ES256', typ: 1 },
    { alg: 'ES256', kid: 1 },
  ];
  for (const header of table) assert.notEqual(checkTokenHeader(header, ALLOWED), undefined, JSON.stringify(header));
});

test('what a log gets of a token is short and in one line', () => {
  const reason = refusal({ ...GOOD, iss: `x\n\u001b[31m${'y'.repeat(10_000)}` })!;
  assert.match(reason, /^[\x20-\x7e]{1,400}$/);
});

test('the end of a token includes the difference of clocks', () => {
  assert.equal(tokenEndMs({ exp: 100 }, 5_000), 105_000);
  assert.equal(tokenEndMs({}, 5_000), Infinity);
});
