import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { ipBytes } from './ip.ts';

const hex = (text: string): string | undefined => {
  const bytes = ipBytes(text);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
};

test('addresses become network bytes', () => {
  assert.equal(hex('127.0.0.1'), '7f000001');
  assert.equal(hex('::1'), `${'0'.repeat(31)}1`);
  assert.equal(hex('::'), '0'.repeat(32));
  assert.equal(hex('2001:db8::8:800:200c:417a'), '20010db80000000000080800200c417a');
  assert.equal(hex('::ffff:192.0.2.1'), '00000000000000000000ffffc0000201');
  assert.equal(hex('1:2:3:4:5:6:7::'), '00010002000300040005000600070000');
});

test('what node takes for an address is read, and nothing else', () => {
  const mangled = fc.oneof(fc.ipV4(), fc.ipV6(), fc.ipV4Extended(), fc.stringMatching(/^[0-9a-f:.]{1,24}$/), fc.string());
  fc.assert(
    fc.property(mangled, (text) => {
      if (text.includes('%')) return;
      assert.equal(ipBytes(text)?.length, { 0: undefined, 4: 4, 6: 16 }[isIP(text) as 0 | 4 | 6], text);
    }),
    { numRuns: 1_000 },
  );
});
