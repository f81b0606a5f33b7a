import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Output } from '../bytes/output.ts';
import { LocalProtocolError } from '../http1/errors.ts';
import { byteByByte, cut } from '../http1/test-support.ts';
import { GrpcReader, grpcPrefix, writeGrpcMessage } from './framing.ts';
import { GRPC_VIOLATIONS, type GrpcViolationCode } from './violations.ts';

interface Message {
  compressed: boolean;
  data: string;
  complete: boolean;
}

function read(pieces: readonly Buffer[], bytesMax?: number): { messages: Message[]; fault: GrpcViolationCode | undefined } {
  const messages: Message[] = [];
  const reader = new GrpcReader(
    {
      onMessage: (length, compressed) => messages.push({ compressed, data: `${length}:`, complete: false }),
      onData: (bytes, start, end) => {
        assert.ok(start < end && end <= bytes.length);
        messages.at(-1)!.data += bytes.toString('latin1', start, end);
      },
      onMessageEnd: () => (messages.at(-1)!.complete = true),
    },
    bytesMax,
  );
  for (const piece of pieces) reader.push(piece);
  return { messages, fault: reader.end() };
}

test('reads what was written, in any pieces', () => {
  const message = fc.record({ data: fc.uint8Array({ maxLength: 30 }), compressed: fc.boolean() });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(200)), (list, at) => {
      const output = new Output();
      for (const { data, compressed } of list) writeGrpcMessage(output, Buffer.from(data), compressed);
      const bytes = output.take();
      const messages = list.map(({ data, compressed }) => ({
        compressed,
        data: `${data.length}:${Buffer.from(data).toString('latin1')}`,
        complete: true,
      }));
      for (const pieces of [[bytes], cut(bytes, at), byteByByte(bytes)]) assert.deepEqual(read(pieces), { messages, fault: undefined });
    }),
  );
});

test('any bytes give the same in any pieces, and one fault at most', () => {
  const bytes = fc.array(fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.constantFrom(1, 2, 3, 7), fc.nat(255)), { maxLength: 60 });
  fc.assert(
    fc.property(
      bytes.map((list) => Buffer.from(list)),
      fc.array(fc.nat(60)),
      fc.constantFrom(undefined, 5),
      (garbage, at, bytesMax) => {
        const whole = read([garbage], bytesMax);
        assert.deepEqual(read(cut(garbage, at), bytesMax), whole);
        assert.deepEqual(read(byteByByte(garbage), bytesMax), whole);
        for (const { data } of whole.messages) assert.ok(Number(data.slice(0, data.indexOf(':'))) <= (bytesMax ?? 4_194_304));
      },
    ),
    { numRuns: 1_000 },
  );
});

for (const [what, bytes, fault, complete] of [
  ['a flag other than 0 and 1', [2, 0, 0, 0, 0], 'BAD_COMPRESSED_FLAG', 0],
  ['a message above the limit', [0, 0, 0, 0, 9], 'MESSAGE_TOO_LARGE', 0],
  ['the largest length there is', [0, 255, 255, 255, 255], 'MESSAGE_TOO_LARGE', 0],
  ['an end within a prefix', [0, 0, 0, 0, 0, 1, 0], 'TRUNCATED_MESSAGE', 1],
  ['an end within a message', [0, 0, 0, 0, 8, 1], 'TRUNCATED_MESSAGE', 0],
  ['a fault, and does not read what follows', [0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0], 'BAD_COMPRESSED_FLAG', 1],
] as [string, number[], GrpcViolationCode, number][]) {
  test(`refuses ${what}`, () => {
    const result = read([Buffer.from(bytes)], 8);
    assert.equal(result.fault, fault);
    assert.equal(result.messages.filter((message) => message.complete).length, complete);
    assert.ok(GRPC_VIOLATIONS[fault].grpcStatus > 0);
  });
}

test('takes messages up to the limit', () => {
  assert.equal(read([grpcPrefix(8), Buffer.alloc(8)], 8).fault, undefined);
  assert.equal(read([grpcPrefix(4_194_304)]).fault, 'TRUNCATED_MESSAGE');
  assert.equal(read([grpcPrefix(4_194_305)]).fault, 'MESSAGE_TOO_LARGE');
});

test('writes prefixes, and no length that four bytes cannot say', () => {
  assert.equal(grpcPrefix(0x01020304, true).toString('hex'), '0101020304');
  assert.equal(grpcPrefix(0xffffffff).toString('hex'), '00ffffffff');
  for (const length of [-1, 1.5, 2 ** 32, Number.NaN]) assert.throws(() => grpcPrefix(length), LocalProtocolError);
});
