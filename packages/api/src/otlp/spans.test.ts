// What is written here is read by the generated code of OpenTelemetry's own package.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ProtoWriter } from './proto-writer.ts';
import { type Attributes, type AttributeValue, SpanWriter, writeBatch } from './spans.ts';

interface Value {
  readonly stringValue?: string | null;
  readonly boolValue?: boolean | null;
  readonly intValue?: { toString(): string } | null;
  readonly doubleValue?: number | null;
}
interface Decoded {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly { readonly key: string; readonly value: Value }[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: Uint8Array;
        readonly name: string;
        readonly startTimeUnixNano: { toString(): string };
        readonly attributes: readonly { readonly key: string; readonly value: Value }[];
        readonly events: readonly { readonly name: string }[];
      }[];
    }[];
  }[];
}
const root = createRequire(import.meta.url)('@opentelemetry/otlp-transformer/build/src/generated/root.js') as {
  opentelemetry: { proto: { collector: { trace: { v1: { ExportTraceServiceRequest: { decode(bytes: Uint8Array): Decoded } } } } } };
};
const { ExportTraceServiceRequest } = root.opentelemetry.proto.collector.trace.v1;

const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.string({ minLength: 120, maxLength: 140 }));
const value: fc.Arbitrary<AttributeValue> = fc.oneof(
  text,
  fc.boolean(),
  fc.nat(),
  fc.maxSafeNat(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
);
const attributes = fc.array(fc.tuple(text, value), { maxLength: 8 }).map((pairs) => pairs.flat());

function valueOf({ stringValue, boolValue, intValue, doubleValue }: Value): AttributeValue {
  return intValue === undefined || intValue === null ? (stringValue ?? boolValue ?? doubleValue ?? '') : Number(intValue.toString());
}

describe('spans in OTLP', () => {
  it('are read as they were written', () => {
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    fc.assert(
      fc.property(attributes, attributes, text, fc.integer({ min: 0, max: 4e15 }), (own, resource, name, micros) => {
        const spans = new SpanWriter();
        const writeAll = (all: Attributes): void => {
          for (let at = 0; at < all.length; at += 2) spans.attribute(all[at] as string, all[at + 1]!);
        };
        for (let count = 0; count < 2; count++) {
          spans.begin(
            { traceId, spanId: 'b7ad6b7169203331', parentId: '', state: '', flags: 1 },
            name,
            'client',
            micros / 1_000,
            micros / 1_000,
          );
          writeAll(own);
          spans.beginEvent(name, 0);
          writeAll(own);
          spans.endEvent();
          spans.end(undefined);
        }
        const batch = new ProtoWriter(16);
        writeBatch(batch, [{ resource, spans }]);
        assert.equal(spans.count, 0);
        const { resourceSpans } = ExportTraceServiceRequest.decode(batch.written);
        const [group] = resourceSpans;
        assert.deepEqual(
          group!.resource.attributes.flatMap((one) => [one.key, valueOf(one.value)]),
          resource,
        );
        const [first, second] = group!.scopeSpans[0]!.spans;
        assert.deepEqual(first, second);
        assert.equal(Buffer.from(first!.traceId).toString('hex'), traceId);
        assert.deepEqual([first!.name, first!.events[0]?.name], [name, name]);
        assert.equal(first!.startTimeUnixNano.toString(), `${BigInt(Math.round((micros / 1_000) * 1_000)) * 1_000n}`);
        assert.deepEqual(
          first!.attributes.flatMap((one) => [one.key, valueOf(one.value)]),
          own,
        );
      }),
      { numRuns: 60 },
    );
  });
});
