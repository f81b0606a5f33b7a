import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { controlPlaneId, formatSpiffeId, formatTrustDomain, isSpiffeId, parseSpiffeId, parseTrustDomain } from './spiffe.ts';

const segment = fc.stringMatching(/^[A-Za-z0-9._-]{1,63}$/).filter((text) => text !== '.' && text !== '..');
const trustDomain = fc.stringMatching(/^[a-z0-9._-]{1,255}$/);

test('every identity reads back as it was written', () => {
  fc.assert(
    fc.property(trustDomain, segment, segment, (domain, namespace, name) => {
      const id = { trustDomain: domain, namespace, name };
      assert.deepEqual(parseSpiffeId(formatSpiffeId(id)), id);
      assert.equal(isSpiffeId(id), true);
    }),
  );
});

test('whatever is accepted is exactly what would be written', () => {
  const near = fc.stringMatching(/^spiffe:\/\/[a-zA-Z.]{0,4}\/ns\/[a-z./%]{0,5}\/svc\/[a-z./?#]{0,5}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (uri) => {
      const id = parseSpiffeId(uri);
      if (id !== undefined) assert.equal(formatSpiffeId(id), uri);
    }),
  );
});

test('refuses whatever is not exactly of the form', () => {
  for (const uri of [
    '',
    'spiffe://shop',
    'spiffe://shop/ns/a/svc',
    'spiffe://shop/ns/a/svc/',
    'spiffe://shop/ns/a/svc/b/',
    'spiffe://shop/ns/a/svc/b/c',
    'spiffe://shop/ns/../svc/b',
    'spiffe://shop/ns/a/svc/.',
    'spiffe://shop/ns/a/svc/..',
    'spiffe://shop/ns//svc/b',
    'SPIFFE://shop/ns/a/svc/b',
    'spiffe://Shop/ns/a/svc/b',
    'spiffe://shop:1/ns/a/svc/b',
    'spiffe://u@shop/ns/a/svc/b',
    'spiffe://shop/ns/a/svc/b?x',
    'spiffe://shop/ns/a/svc/b#x',
    'spiffe://shop/ns/a/svc/%62',
    'spiffe://shop/ns/a/svc/b\n',
    ' spiffe://shop/ns/a/svc/b',
    `spiffe://shop/ns/a/svc/${'b'.repeat(64)}`,
  ]) {
    assert.equal(parseSpiffeId(uri), undefined, JSON.stringify(uri));
  }
});

test('parts that would change the meaning of the whole are not an identity', () => {
  assert.equal(isSpiffeId({ trustDomain: 'shop', namespace: 'a/svc/b', name: 'c' }), false);
  assert.equal(isSpiffeId({ trustDomain: 'shop', namespace: 'a', name: '' }), false);
  assert.equal(isSpiffeId({ trustDomain: 'shop/ns/x/svc/y', namespace: 'a', name: 'b' }), false);
});

test('a trust domain has an id of its own', () => {
  assert.equal(parseTrustDomain(formatTrustDomain('shop.example')), 'shop.example');
  assert.equal(parseTrustDomain('spiffe://shop/ns/a/svc/b'), undefined);
  assert.equal(formatSpiffeId(controlPlaneId('shop')), 'spiffe://shop/ns/heddle-system/svc/control');
});
