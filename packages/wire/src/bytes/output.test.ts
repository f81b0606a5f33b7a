import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CollectingSink } from '../http2/testing/sink.ts';
import { Output } from './output.ts';

const part = fc.oneof(
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 30 }),
  fc.record({ bytes: fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)), copy: fc.boolean() }),
  fc.constantFrom('take' as const, 'write' as const, 'write through' as const),
);

test('gives what was appended, in order, whatever the slab size and whoever shares the slabs', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 3 }),
      fc.array(fc.tuple(fc.nat(2), part)),
      (slabSizes, steps) => {
        const outputs = slabSizes.map((slabBytes) => ({
          output: new Output(slabBytes),
          given: [] as Uint8Array[],
          expected: [] as Buffer[],
        }));
        for (const [which, step] of steps) {
          const { output, given, expected } = outputs[which % outputs.length]!;
          const { length } = output;
          if (step === 'take') {
            given.push(output.take());
            assert.equal(given.at(-1)?.length, length);
          } else if (step === 'write' || step === 'write through') {
            const sink = new CollectingSink(step === 'write');
            assert.equal(output.writeTo(sink), true);
            given.push(...sink.pieces);
            assert.equal(sink.bytes().length, length);
            assert.equal(sink.corks, sink.pieces.length > 1 ? 1 : 0);
          } else if (typeof step === 'string') {
            output.latin1(step);
            expected.push(Buffer.from(step, 'latin1'));
          } else {
            if (step.copy) output.bytes(step.bytes);
            else output.reference(step.bytes);
            expected.push(step.bytes);
          }
          if (step === 'take' || step === 'write' || step === 'write through') assert.equal(output.length, 0);
        }
        // Compared only now: what was taken early must not have been overwritten since, by anybody.
        for (const { output, given, expected } of outputs) {
          assert.deepEqual(Buffer.concat([...given, output.take()]), Buffer.concat(expected));
        }
      },
    ),
  );
});

test('appends a part of a buffer', () => {
  const output = new Output();
  output.bytes(Buffer.from('abcdef'), 2, 4);
  output.reference(Buffer.from('ghijkl'), 1, 3);
  assert.equal(output.length, 4);
  assert.equal(output.take().toString(), 'cdhi');
  assert.equal(output.take().length, 0);
});

test('passes bytes on without copying them', () => {
  const output = new Output();
  const body = Buffer.from('body');
  output.latin1('head');
  output.reference(body);
  output.reference(body, 2, 2);
  output.latin1('tail');
  const sink = new CollectingSink();
  output.writeTo(sink);
  assert.equal(sink.pieces.length, 3);
  assert.equal(sink.pieces[1], body);
  assert.equal(sink.bytes().toString(), 'headbodytail');
});

test('says that the sink wants no more, whichever piece filled it', () => {
  for (const answers of [
    [false, true, true],
    [true, false, true],
    [true, true, false],
  ]) {
    const output = new Output();
    output.latin1('a');
    output.reference(Buffer.from('b'));
    output.latin1('c');
    const sink = new CollectingSink();
    sink.answers.push(...answers);
    assert.equal(output.writeTo(sink), false);
    assert.equal(sink.bytes().toString(), 'abc');
    assert.equal(output.writeTo(sink), true);
  }
});

test('one with nothing pending holds no slab: the next one goes on where it stopped', () => {
  const [one, other] = [new Output(8_192), new Output(8_192)];
  one.latin1('first');
  const first = one.take();
  other.latin1('second');
  const second = other.take();
  one.latin1('third');
  const third = one.take();
  assert.equal(second.buffer, first.buffer);
  assert.equal(third.buffer, first.buffer);
  assert.equal(second.byteOffset, first.byteOffset + 5);
  assert.equal(third.byteOffset, second.byteOffset + 6);
});

test('memory that the sink does not hold serves again', () => {
  const output = new Output(8_192);
  const places: number[] = [];
  for (const holdsBytes of [false, false, true, true]) {
    output.latin1('x'.repeat(10));
    output.reference(Buffer.from('y'));
    output.latin1('z');
    output.writeTo({
      cork: () => {},
      uncork: () => {},
      write: (bytes) => {
        places.push(bytes.byteOffset);
        return true;
      },
      holdsBytes,
    });
  }
  const firsts = places.filter((_, at) => at % 3 === 0);
  assert.deepEqual(
    firsts.map((place) => place - firsts[0]!),
    [0, 0, 0, 11],
  );
});

test('rests that are too small for what is written do not keep slabs from being shared', () => {
  const output = new Output(8_192);
  const buffers = new Set<ArrayBufferLike>();
  // Each slab has room for two, and a rest that is worth keeping.
  for (let round = 0; round < 200; round++) {
    output.bytes(Buffer.alloc(3_000));
    buffers.add(output.take().buffer);
  }
  assert.ok(buffers.size <= 101, `${buffers.size} slabs`);
});

/** A socket: takes what is written, and lets go of it when it is told to. Bytes it holds must not change. */
class HoldingSink {
  private readonly pending: { readonly bytes: Uint8Array; readonly copy: Buffer }[] = [];
  readonly buffers = new Set<ArrayBufferLike>();

  get holdsBytes(): boolean {
    return this.pending.length > 0;
  }

  cork(): void {}
  uncork(): void {}

  write(bytes: Uint8Array): boolean {
    this.pending.push({ bytes, copy: Buffer.from(bytes) });
    this.buffers.add(bytes.buffer);
    return false;
  }

  letGo(): void {
    for (const { bytes, copy } of this.pending.splice(0)) assert.deepEqual(Buffer.from(bytes), copy);
  }
}

test('what a blocked sink holds does not change, whoever writes meanwhile', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ sink: fc.nat(3), bytes: fc.integer({ min: 1, max: 5_000 }), pieces: fc.integer({ min: 1, max: 4 }) }),
    },
    { weight: 1, arbitrary: fc.nat(3) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const sinks = Array.from({ length: 4 }, () => ({ output: new Output(4_096), sink: new HoldingSink() }));
      let fill = 0;
      for (const one of steps) {
        if (typeof one === 'number') {
          sinks[one]!.sink.letGo();
          continue;
        }
        const { output, sink } = sinks[one.sink]!;
        for (let piece = 0; piece < one.pieces; piece++) output.bytes(Buffer.alloc(one.bytes, ++fill));
        output.writeTo(sink);
      }
      for (const { sink } of sinks) sink.letGo();
    }),
  );
});

test('slabs that a sink has let go of serve again', () => {
  const output = new Output(16_384);
  const sink = new HoldingSink();
  for (let round = 0; round < 100; round++) {
    for (let piece = 0; piece < 6; piece++) output.bytes(Buffer.alloc(10_000, round));
    output.writeTo(sink);
    sink.letGo();
  }
  assert.ok(sink.buffers.size < 60, `${sink.buffers.size} slabs for 600 pieces`);
});
