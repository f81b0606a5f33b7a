import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as der from './der.ts';
import { DerError, DerReader, readBoolean, readNamedBits, readOid, readTime, readWhole } from './der-reader.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

test('integers are minimal and never negative', () => {
  assert.equal(hex(der.derInteger(0)), '020100');
  assert.equal(hex(der.derInteger(127)), '02017f');
  assert.equal(hex(der.derInteger(128)), '02020080');
  assert.equal(hex(der.derInteger(256)), '02020100');
  assert.equal(hex(der.derInteger(bytes('0000ff'))), '020200ff');
  assert.equal(hex(der.derInteger(new Uint8Array(0))), '020100');
  assert.throws(() => der.derInteger(-1), RangeError);
  assert.throws(() => der.derInteger(0.5), RangeError);
});

test('lengths take the fewest octets', () => {
  assert.equal(hex(der.derOctetString(new Uint8Array(127))).slice(0, 4), '047f');
  assert.equal(hex(der.derOctetString(new Uint8Array(128))).slice(0, 6), '048180');
  assert.equal(hex(der.derOctetString(new Uint8Array(256))).slice(0, 8), '04820100');
  assert.equal(hex(der.derOctetString(new Uint8Array(65_536))).slice(0, 10), '0483010000');
});

test('object identifiers match published encodings', () => {
  assert.equal(hex(der.derOid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302');
  assert.equal(hex(der.derOid('2.5.29.17')), '0603551d11');
  assert.equal(hex(der.derOid('2.999')), '06028837');
  for (const wrong of ['', '1', '3.1', '1.40', '1.2.03', '1.2.', 'a.b']) assert.throws(() => der.derOid(wrong), RangeError, wrong);
});

test('object identifiers read back as they were written', () => {
  const arcs = fc.array(fc.nat({ max: 2 ** 31 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.nat({ max: 2 }), fc.nat({ max: 39 }), arcs, (first, second, rest) => {
      const dotted = [first, second, ...rest].join('.');
      assert.equal(readOid(readWhole(der.derOid(dotted), der.TAG.oid)), dotted);
    }),
  );
});

test('named bits leave trailing zeros out', () => {
  assert.equal(hex(der.derNamedBits([0])), '03020780');
  assert.equal(hex(der.derNamedBits([5, 6])), '03020106');
  assert.equal(hex(der.derNamedBits([])), '030100');
  assert.equal(hex(der.derNamedBits([0, 8])), '0303078080');
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 40 })), (bits) => {
      assert.deepEqual(
        readNamedBits(readWhole(der.derNamedBits(bits), der.TAG.bitString)),
        [...bits].sort((a, b) => a - b),
      );
    }),
  );
});

test('a set is sorted by its encodings', () => {
  assert.equal(hex(der.derSetOf(der.derInteger(2), der.derInteger(1))), '3106020101020102');
});

test('strings hold only what their type allows', () => {
  assert.equal(hex(der.derUtf8String('é')), '0c02c3a9');
  assert.equal(hex(der.derPrintableString("A b'()+,-./:=?")).slice(0, 4), '130e');
  assert.throws(() => der.derPrintableString('a@b'), RangeError);
  assert.throws(() => der.asciiBytes('é'), RangeError);
  assert.throws(() => der.derUtf8String('\ud800'), RangeError);
});

test('times are UTCTime through 2049 and GeneralizedTime after', () => {
  const utc = der.derTime(Date.UTC(2049, 11, 31, 23, 59, 59, 999));
  const general = der.derTime(Date.UTC(2050, 0, 1));
  assert.equal(Buffer.from(utc.subarray(2)).toString(), '491231235959Z');
  assert.equal(Buffer.from(general.subarray(2)).toString(), '20500101000000Z');
  assert.throws(() => der.derTime(Date.UTC(1949, 0)), RangeError);
  assert.throws(() => der.derTime(Number.NaN), RangeError);
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(1950, 0) / 1000, max: Date.UTC(9999, 11) / 1000 }), (seconds) => {
      assert.equal(readTime(new DerReader(der.derTime(seconds * 1000)).take()), seconds * 1000);
    }),
  );
});

test('the reader refuses what is BER but not DER', () => {
  for (const [what, text] of [
    ['indefinite length', '30800000'],
    ['long form of a short length', '04810100'],
    ['leading zero in the length', '0482000100'],
    ['cut off content', '0403aabb'],
    ['cut off length', '0482'],
    ['length of 5 octets', '0485000000000100'],
    ['multi-byte tag', '1f810100'],
    ['nothing', ''],
  ] as const) {
    assert.throws(() => new DerReader(bytes(text)).take(), DerError, what);
  }
  assert.throws(() => readWhole(bytes('02010100'), der.TAG.integer), /after the last/);
  assert.throws(() => readBoolean(bytes('01')), DerError);
  assert.throws(() => readOid(bytes('2a80')), DerError);
  assert.throws(() => readOid(bytes('2a8001')), DerError);
  assert.throws(() => readNamedBits(bytes('08ff')), DerError);
  assert.throws(
    () => readTime({ tag: der.TAG.utcTime, content: Buffer.from('250230000000Z'), whole: new Uint8Array(0) }),
    /does not exist/,
  );
});

test('elements read back as they were written, and any cut is noticed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(), (content, cut) => {
      const element = der.derOctetString(content);
      assert.deepEqual(readWhole(element, der.TAG.octetString), content);
      assert.throws(() => readWhole(element.subarray(0, cut % element.length), der.TAG.octetString), DerError);
    }),
  );
});

test('garbage raises nothing but DerError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (garbage) => {
      const reader = new DerReader(garbage);
      try {
        while (!reader.atEnd) {
          const element = reader.take();
          for (const read of [readOid, readBoolean, readNamedBits]) {
            try {
              read(element.content);
            } catch (error) {
              assert.ok(error instanceof DerError);
            }
          }
        }
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
