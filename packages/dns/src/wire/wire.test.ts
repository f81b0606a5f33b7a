import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import dnsPacket from 'dns-packet';
import fc from 'fast-check';
import { query, read } from '../testing/client.ts';
import { FLAG, RCODE, TYPE } from './codes.ts';
import { ancestors, plainName, readName, skipName, whyNotPlain } from './name.ts';
import { type Fault, type Query, readQuery } from './query.ts';
import { type ResourceRecord, writeResponse } from './response.ts';

const label = fc.stringMatching(/^[a-z0-9_][a-z0-9_-]{0,12}$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
const OPTIONS = { bytesMax: 1_232, isRecursive: true, udpBytes: 1_232 };

function asked(message: Buffer): Query {
  const result = readQuery(message);
  assert.equal(result.kind, 'query', JSON.stringify(result));
  return result as Query;
}

function fault(message: Buffer): Fault['rcode'] | string {
  const result = readQuery(message);
  return result.kind === 'fault' ? result.rcode : result.kind;
}

/** With one byte changed. */
function changed(message: Buffer, at: number, to: number): Buffer {
  const copy = Buffer.from(message);
  copy[at] = to;
  return copy;
}

describe('names', () => {
  it('are read as they were written, in lower case', () => {
    fc.assert(
      fc.property(name, fc.func(fc.boolean()), (text, upper) => {
        const spelled = [...text].map((letter, at) => (upper(at) ? letter.toUpperCase() : letter)).join('');
        const { question } = asked(query({ name: spelled }));
        assert.equal(question.name, text);
        assert.equal(read(writeResponse(asked(query({ name: spelled })), { rcode: 0 }, OPTIONS)).questions?.[0]?.name, spelled);
      }),
    );
  });

  it('with other bytes have keys of their own', () => {
    const withDot = Buffer.from([3, 0x61, 0x2e, 0x62, 0]);
    assert.deepEqual(readName(withDot, 0), { key: 'a\\046b', end: 5 });
    assert.deepEqual(readName(Buffer.from([2, 0xc3, 0x5c, 0]), 0), { key: '\\195\\092', end: 4 });
    assert.deepEqual(readName(Buffer.from([0]), 0), { key: '', end: 1 });
  });

  it('that are too long, cut off or compressed are none', () => {
    const long = Buffer.concat([
      ...Array.from({ length: 4 }, () => Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 0x61)])),
      Buffer.from([0]),
    ]);
    for (const bytes of [long, Buffer.from([3, 0x61]), Buffer.from([0xc0, 0]), Buffer.from([0x41, 0]), Buffer.alloc(0)])
      assert.equal(readName(bytes, 0), undefined);
    assert.equal(skipName(Buffer.from([0xc0]), 0), undefined);
    assert.equal(skipName(Buffer.from([1, 0x61, 0xc0, 5]), 0), 4);
  });

  it('of the mesh are plain, or it is said why not', () => {
    assert.equal(plainName('Orders.default'), 'orders.default');
    assert.equal(plainName('a..b'), undefined);
    assert.match(whyNotPlain('x'.repeat(300)), /300 characters/);
    assert.match(whyNotPlain('größe'), /"größe" has other characters/);
    assert.deepEqual([...ancestors('a.b.c')], ['b.c', 'c']);
  });
});

describe('a query', () => {
  it('tells its question, its flags and what the client says by EDNS0', () => {
    const { id, flags, question, edns } = asked(query({ name: 'a.b', type: 'SRV', udpBytes: 4_096, dnssecOk: true }, 99));
    assert.deepEqual([id, flags, question.type, question.class], [99, FLAG.RD, TYPE.SRV, 1]);
    assert.deepEqual(edns, { udpBytes: 4_096, version: 0, dnssecOk: true });
    assert.equal(asked(query({ name: 'a', udpBytes: 100 })).edns?.udpBytes, 512);
    assert.equal(asked(query({ name: 'a' })).edns, undefined);
  });

  it('that is none is answered with the error that it deserves', () => {
    const plain = query({ name: 'a.b' });
    const edns = query({ name: 'a.b', udpBytes: 1_232 });
    assert.equal(fault(plain.subarray(0, 11)), 'drop');
    assert.equal(fault(changed(plain, 2, 0x81)), 'drop', 'a response');
    for (const opcode of [1, 2, 4, 5, 6]) assert.equal(fault(changed(plain, 2, opcode << 3)), RCODE.NOTIMP);
    assert.equal(fault(changed(plain, 5, 0)), RCODE.FORMERR, 'no question');
    assert.equal(fault(changed(plain, 5, 2)), RCODE.FORMERR, 'two questions');
    assert.equal(fault(plain.subarray(0, 14)), RCODE.FORMERR, 'cut in the name');
    assert.equal(fault(plain.subarray(0, plain.length - 1)), RCODE.FORMERR, 'cut in the class');
    assert.equal(fault(Buffer.concat([plain, Buffer.from([0])])), RCODE.FORMERR, 'bytes behind it');
    assert.equal(fault(changed(plain, 11, 1)), RCODE.FORMERR, 'a record that is not there');
    assert.equal(fault(changed(plain, plain.length - 1, 3)), RCODE.REFUSED, 'class CH');
    assert.equal(fault(query({ name: 'a.b', type: 'AXFR' })), RCODE.REFUSED);
    assert.equal(fault(query({ name: 'a.b', type: 'OPT' })), RCODE.FORMERR);
    assert.equal(fault(changed(edns, edns.length - 5, 1)), RCODE.BADVERS);
    const twice = changed(Buffer.concat([edns, edns.subarray(-11)]), 11, 2);
    assert.equal(fault(twice), RCODE.FORMERR, 'two OPT records');
    assert.equal(asked(changed(plain, plain.length - 1, 255)).question.class, 255);
  });

  it('of any bytes is no reason to throw, and gets an answer that can be read, or none', () => {
    const valid = query({ name: 'orders.mesh.internal', type: 'SRV', udpBytes: 1_232 });
    const mutated = fc
      .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 })
      .map((changes) => changes.reduce((message, [at, to]) => changed(message, at, to), valid));
    const cut = fc.tuple(mutated, fc.nat(valid.length)).map(([message, length]) => message.subarray(0, length));
    fc.assert(
      fc.property(
        fc.oneof(
          mutated,
          cut,
          fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
        ),
        (message) => {
          const result = readQuery(message);
          if (result.kind === 'drop') return;
          const answer = writeResponse(
            result,
            { rcode: result.kind === 'fault' ? result.rcode : RCODE.NXDOMAIN, isAuthoritative: true },
            OPTIONS,
          );
          assert.equal(answer.readUInt16BE(0), message.readUInt16BE(0));
          assert.ok((answer.readUInt16BE(2) & FLAG.QR) !== 0);
          dnsPacket.decode(answer);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a response', () => {
  const record = fc.oneof(
    fc.record({ type: fc.constant('A' as const), name, data: fc.ipV4(), ttlSeconds: fc.nat(100) }),
    fc.record({ type: fc.constantFrom('PTR' as const, 'NS' as const), name, data: name, ttlSeconds: fc.nat(100) }),
    fc.record({
      type: fc.constant('SRV' as const),
      name,
      ttlSeconds: fc.nat(100),
      data: fc.record({ priority: fc.nat(9), weight: fc.nat(65_535), port: fc.nat(65_535), target: name }, { noNullPrototype: true }),
    }),
  ) as fc.Arbitrary<ResourceRecord>;

  it('is read by others as it was meant, however its names are compressed', () => {
    fc.assert(
      fc.property(name, fc.array(record, { maxLength: 6 }), fc.array(record, { maxLength: 4 }), (question, answers, additional) => {
        const bytes = writeResponse(asked(query({ name: question })), { rcode: 0, answers, additional }, { ...OPTIONS, bytesMax: 65_535 });
        const message = read(bytes);
        const expected = (records: readonly ResourceRecord[]): unknown[] =>
          records.map(({ type, name: owner, ttlSeconds, data }) => ({ type, name: owner, ttl: ttlSeconds, data }));
        const found = (records: dnsPacket.DecodedPacket['answers'] = []): unknown[] =>
          records.map((one) => ({
            type: one.type,
            name: one.name,
            ttl: (one as { ttl: number }).ttl,
            data: (one as { data: unknown }).data,
          }));
        assert.deepEqual(found(message.answers), expected(answers));
        assert.deepEqual(found(message.additionals), expected(additional));
      }),
    );
  });

  it('never exceeds its size: answers that do not fit mark it as cut, further records go without a word', () => {
    const answers = Array.from(
      { length: 100 },
      (_, index): ResourceRecord => ({ type: 'A', name: 'a.b', ttlSeconds: 5, data: `10.0.0.${index}` }),
    );
    const edns = asked(query({ name: 'a.b', udpBytes: 1_232 }));
    const cut = read(writeResponse(edns, { rcode: 0, answers }, { ...OPTIONS, bytesMax: 512 }));
    assert.ok(cut.flag_tc && cut.bytes <= 512);
    assert.equal(cut.answers?.length, 30);
    assert.equal(cut.additionals?.length, 1, 'the OPT record is always there');
    const kept = read(writeResponse(edns, { rcode: 0, answers: answers.slice(0, 1), additional: answers }, { ...OPTIONS, bytesMax: 512 }));
    assert.ok(!kept.flag_tc && kept.bytes <= 512 && (kept.additionals?.length ?? 0) > 20);
  });

  it('says to whom it answers, whether it knows, and what the client said', () => {
    const { flag_aa, flag_ra, flag_rd, additionals, rcode } = read(
      writeResponse(asked(query({ name: 'a', udpBytes: 512, dnssecOk: true })), { rcode: RCODE.NXDOMAIN, isAuthoritative: true }, OPTIONS),
    );
    assert.deepEqual([flag_aa, flag_ra, flag_rd, rcode], [true, true, true, 'NXDOMAIN']);
    const [opt] = additionals ?? [];
    assert.ok(opt?.type === 'OPT' && opt.flag_do && opt.udpPayloadSize === 1_232);
  });

  it('carries codes above 15 and the reason by EDNS0', () => {
    const bytes = writeResponse(
      { id: 1, flags: 0, question: undefined, edns: { udpBytes: 512, version: 1, dnssecOk: false } },
      { rcode: RCODE.BADVERS, error: { code: 22, text: 'why' } },
      OPTIONS,
    );
    const { additionals } = read(bytes);
    const [opt] = additionals ?? [];
    assert.ok(opt?.type === 'OPT' && opt.extendedRcode === 1);
    assert.deepEqual(bytes.subarray(-9), Buffer.from([0, 15, 0, 5, 0, 22, 0x77, 0x68, 0x79]));
  });
});
