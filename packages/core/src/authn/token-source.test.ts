import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TokenSource } from '../model/security.ts';
import { PlainRequest } from '../routing/request.ts';
import { NOT_A_TOKEN, tokenAt, withoutCookie } from './token-source.ts';

const BEARER: TokenSource = { kind: 'header', name: 'authorization', prefix: 'Bearer ' };
const BARE: TokenSource = { kind: 'header', name: 'x-token', prefix: '' };
const COOKIE: TokenSource = { kind: 'cookie', name: 'session' };

function at(source: TokenSource, ...headers: (readonly [string, string])[]): string | typeof NOT_A_TOKEN | undefined {
  return tokenAt(source, new PlainRequest({ authority: 'orders', headers }));
}

test('a bearer token is found whatever the letter case of its scheme', () => {
  for (const value of ['Bearer abc', 'bearer abc', 'BEARER abc', 'bEaReR   abc'])
    assert.equal(at(BEARER, ['Authorization', value]), 'abc', value);
});

test('credentials of another scheme are no token', () => {
  for (const value of ['Basic abc', 'Bearerabc', 'Bearer-x abc', 'abc', 'DPoP abc', 'Digest a="bearer b", c=d', ''])
    assert.equal(at(BEARER, ['authorization', value]), undefined, value);
});

test('a scheme without a token, or with something that reads differently elsewhere, is refused', () => {
  for (const value of ['Bearer', 'bearer ', 'Bearer\tabc', 'Bearer:abc', 'Bearer,abc', 'Bearer=abc', 'Bearer\u00a0abc', 'Bearer"abc"'])
    assert.equal(at(BEARER, ['authorization', value]), NOT_A_TOKEN, JSON.stringify(value));
});

test('a token that only a careless reader would find is refused', () => {
  for (const value of ['Basic abc, Bearer def', 'Basic abc,bearer def', ', Bearer def', '\u00a0Bearer def', '\u0085 bearer\u00a0def'])
    assert.equal(at(BEARER, ['authorization', value]), NOT_A_TOKEN, JSON.stringify(value));
  for (const value of ['a=1, session=abc', 'a="x,session =abc"', 'a=b,\tsession=abc'])
    assert.equal(at(COOKIE, ['cookie', value]), NOT_A_TOKEN, value);
});

test('two lines of which one holds a token are refused', () => {
  assert.equal(at(BEARER, ['authorization', 'Bearer a'], ['authorization', 'Bearer a']), NOT_A_TOKEN);
  assert.equal(at(BEARER, ['authorization', 'Basic a'], ['authorization', 'Bearer a']), NOT_A_TOKEN);
  assert.equal(at(BEARER, ['authorization', 'Bearer a'], ['authorization', 'Basic a']), NOT_A_TOKEN);
  assert.equal(at(BEARER, ['authorization', 'Basic a'], ['authorization', 'Basic b']), undefined);
  assert.equal(at(BARE, ['x-token', 'a'], ['x-token', 'a']), NOT_A_TOKEN);
});

test('a header without a prefix holds nothing but the token', () => {
  assert.equal(at(BARE, ['x-token', 'abc']), 'abc');
  assert.equal(at(BARE, ['x-token', '']), NOT_A_TOKEN);
});

test('a cookie is found by its whole name, and only once', () => {
  assert.equal(at(COOKIE, ['cookie', 'a=1; session=abc; b=2']), 'abc');
  assert.equal(at(COOKIE, ['cookie', 'a=1'], ['cookie', 'session="abc"']), 'abc');
  assert.equal(at(COOKIE, ['cookie', 'session = abc']), 'abc');
  assert.equal(at(COOKIE, ['cookie', 'session=a; session =b']), NOT_A_TOKEN);
  assert.equal(at(COOKIE, ['cookie', 'xsession=abc; Session=abc; session']), undefined);
  assert.equal(at(COOKIE, ['cookie', 'session=a; session=a']), NOT_A_TOKEN);
  assert.equal(at(COOKIE, ['cookie', 'session=']), NOT_A_TOKEN);
  assert.equal(at(COOKIE), undefined);
});

test('a cookie is taken out, and the others stay', () => {
  assert.equal(withoutCookie('a=1;session=x;  b="2"', 'session'), 'a=1; b="2"');
  assert.equal(withoutCookie('session=x', 'session'), undefined);
  assert.equal(withoutCookie('a=1; session =x', 'session'), 'a=1');
  assert.equal(withoutCookie('sessions=x', 'session'), 'sessions=x');
});
