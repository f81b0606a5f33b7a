import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { isIpAddress } from './ip-address.ts';

test('agrees with node:net on addresses and on what is nearly one', () => {
  const piece = fc.constantFrom('1', 'ff', '0', '255', '256', '01', ':', '::', '.', 'g', '12345', '127.0.0.1', 'fe80', '');
  const nearly = fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join(''));
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), nearly), (text) => {
      assert.equal(isIpAddress(text), isIP(text) !== 0, text);
    }),
    { numRuns: 3000 },
  );
});

test('accepts a zone only behind an IPv6 address', () => {
  assert.equal(isIpAddress('fe80::1%eth0'), true);
  assert.equal(isIpAddress('127.0.0.1%eth0'), false);
  assert.equal(isIpAddress('fe80::1%'), false);
  assert.equal(isIpAddress('[::1]'), false);
});
