import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { keysFor, parseKeySet } from './key-set.ts';
import type { KeySet } from './key-set.ts';

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
const ED = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
/** A key of so many bits, of which nobody has the other half. */
const rsa = (bits: number): object => ({ kty: 'RSA', e: 'AQAB', n: Buffer.alloc(bits / 8, 0xff).toString('base64url') });

function setOf(...keys: readonly object[]): KeySet {
  const set = parseKeySet(JSON.stringify({ keys }));
  assert.notEqual(typeof set, 'string', String(set));
  return set as KeySet;
}

test('a key is used for the algorithms of its kind alone', () => {
  const set = setOf({ ...rsa(2_048), kid: 'a' }, { ...EC, kid: 'b' }, { ...ED, kid: 'c' });
  const kids = (alg: string): readonly (string | undefined)[] => keysFor(set, { alg }).map(({ kid }) => kid);
  assert.deepEqual(kids('RS256'), ['a']);
  assert.deepEqual(kids('PS512'), ['a']);
  assert.deepEqual(kids('ES256'), ['b']);
  assert.deepEqual(kids('ES384'), []);
  assert.deepEqual(kids('EdDSA'), ['c']);
  assert.deepEqual(kids('Ed25519'), ['c']);
  for (const alg of ['HS256', 'none']) assert.deepEqual(kids(alg), [], alg);
});

test('a key with an algorithm of its own is used for no other', () => {
  const set = setOf({ ...rsa(2_048), alg: 'PS256' });
  assert.equal(keysFor(set, { alg: 'PS256' }).length, 1);
  assert.equal(keysFor(set, { alg: 'RS256' }).length, 0);
});

test('a token that names a key gets that one or none; one that names none is tried with four', () => {
  const set = setOf(...['a', 'b', 'c', 'd', 'e'].map((kid) => ({ ...EC, kid })), EC);
  assert.deepEqual(
    keysFor(set, { alg: 'ES256', kid: 'c' }).map(({ kid }) => kid),
    ['c'],
  );
  assert.equal(keysFor(set, { alg: 'ES256', kid: 'z' }).length, 0);
  assert.equal(keysFor(set, { alg: 'ES256' }).length, 4);
});

test('keys that must not be used are left out, with the reason', () => {
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ kty: 'oct', k: 'c2VjcmV0' }, /kind/],
    [{ ...EC, d: 'AAAA' }, /private/],
    [{ ...EC, use: 'enc' }, /not for signatures/],
    [{ ...EC, key_ops: ['sign'] }, /checking/],
    [{ ...EC, kid: 7 }, /kid/],
    [{ ...EC, alg: 'HS256' }, /alg/],
    [{ ...EC, alg: 'RS256' }, /alg/],
    [{ ...EC, crv: 'Ed25519' }, /curve/],
    [{ ...EC, crv: 'secp256k1' }, /curve/],
    [{ kty: 'EC', crv: 'P-256', x: 'AAAA' }, /lacks "y"/],
    [rsa(1_024), /bits/],
    [rsa(16_384), /bits/],
  ];
  for (const [key, reason] of bad) {
    assert.match(setOf(key, ED).ignored[0] ?? 'taken', reason, JSON.stringify(key));
    assert.match(parseKeySet(JSON.stringify({ keys: [key] })) as string, reason);
  }
});

test('what is no key set is said to be none', () => {
  for (const text of ['', '[]', '{}', '{"keys":{}}', '{"keys":[],"keys":[]}', '<html>'])
    assert.equal(typeof parseKeySet(text), 'string', text);
  assert.match(parseKeySet('{"keys":[]}') as string, /no key/);
});

test('equal keys have equal text, whatever else is said of them', () => {
  const [one, two] = setOf({ ...EC, kid: 'a' }, { kid: 'a', x5t: 'x', use: 'sig', ...EC }).keys;
  assert.equal(one!.text, two!.text);
  assert.deepEqual(Object.keys(one!.jwk).sort(), ['crv', 'kty', 'x', 'y']);
});
