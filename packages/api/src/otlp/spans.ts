// Spans as OTLP has them (opentelemetry-proto 1.x: collector/trace/v1, trace/v1, common/v1, resource/v1). Each span is written when it ends, into memory that
// all spans of a resource share: objects that wait for a collector would grow old, and so would keep the garbage collector busy.
import { ProtoWriter } from './proto-writer.ts';

export type AttributeValue = string | number | boolean;
/** Keys and values in turn. */
export type Attributes = readonly AttributeValue[];

/** How a span begins. */
export interface SpanHead {
  /** 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: none. */
  readonly parentId: string;
  /** Value of `tracestate`; may be empty. */
  readonly state: string;
  /** Those of W3C Trace Context. */
  readonly flags: number;
}

export interface ResourceSpans {
  readonly resource: Attributes;
  readonly spans: SpanWriter;
}

const KINDS = { server: 2, client: 3 } as const;
const STATUS_ERROR = 2;
/** Beside the eight flags of W3C: whether the parent is in another process is known, and so it is. */
const PARENT_IS_REMOTE = 0x300;
/** A dozen spans; it grows. */
const SPANS_BYTES = 8_192;
const SCOPE = 'heddle';
/** Fields of `ScopeSpans`, `Span` and its `Event`. */
const SPANS = 2;
const OF_SPAN = 9;
const EVENTS = 11;
const OF_EVENT = 3;

/** Messages `Span` of one resource, one after the other. */
export class SpanWriter {
  /** Spans that are complete. */
  count = 0;
  private readonly writer = new ProtoWriter(SPANS_BYTES);
  private spanFrom = 0;
  private spanAt = 0;
  private eventAt = 0;
  private attributesField = OF_SPAN;

  /** A span begins, which ends with `end`. */
  begin(
    { traceId, spanId, parentId, state, flags }: SpanHead,
    name: string,
    kind: 'server' | 'client',
    startMs: number,
    endMs: number,
  ): void {
    const { writer } = this;
    this.spanFrom = writer.length;
    this.spanAt = writer.open(SPANS);
    writer.hex(1, traceId);
    writer.hex(2, spanId);
    if (state !== '') writer.text(3, state);
    if (parentId !== '') writer.hex(4, parentId);
    writer.text(5, name);
    writer.varint(6, KINDS[kind]);
    writer.thousands64(7, microseconds(startMs));
    writer.thousands64(8, microseconds(endMs));
    writer.fixed32(16, (flags & 0xff) | (parentId === '' ? 0 : PARENT_IS_REMOTE));
  }

  /** Of the span, or of its event that has begun. */
  attribute(key: string, value: AttributeValue): void {
    writeAttribute(this.writer, this.attributesField, key, value);
  }

  /** @param timeMs since the Unix epoch, with fractions. */
  beginEvent(name: string, timeMs: number): void {
    const { writer } = this;
    this.eventAt = writer.open(EVENTS);
    this.attributesField = OF_EVENT;
    writer.thousands64(1, microseconds(timeMs));
    writer.text(2, name);
  }

  endEvent(): void {
    this.writer.close(this.eventAt);
    this.attributesField = OF_SPAN;
  }

  /** Returns its size in bytes. @param error undefined: nobody says that it went wrong. May be empty. */
  end(error: string | undefined): number {
    const { writer } = this;
    if (error !== undefined) {
      const at = writer.open(15);
      if (error !== '') writer.text(2, error);
      writer.varint(3, STATUS_ERROR);
      writer.close(at);
    }
    writer.close(this.spanAt);
    this.count += 1;
    return writer.length - this.spanFrom;
  }

  /** Those that come next are written into the same memory. */
  clear(): void {
    this.writer.clear();
    this.count = 0;
  }

  /** @internal All of them, in memory that is not to be kept. */
  get bytes(): Uint8Array {
    return this.writer.written;
  }
}

/** A message `ExportTraceServiceRequest`; the groups are empty afterwards. */
export function writeBatch(batch: ProtoWriter, groups: Iterable<ResourceSpans>): void {
  for (const { resource, spans } of groups) {
    const group = batch.open(1);
    const resourceAt = batch.open(1);
    for (let index = 0; index + 1 < resource.length; index += 2) writeAttribute(batch, 1, resource[index] as string, resource[index + 1]!);
    batch.close(resourceAt);
    const ofScope = batch.open(2);
    const scope = batch.open(1);
    batch.text(1, SCOPE);
    batch.close(scope);
    batch.raw(spans.bytes);
    batch.close(ofScope);
    batch.close(group);
    spans.clear();
  }
}

function writeAttribute(to: ProtoWriter, field: number, key: string, value: AttributeValue): void {
  const at = to.open(field);
  to.text(1, key);
  const inside = to.open(2);
  if (typeof value === 'string') to.text(1, value);
  else if (typeof value === 'boolean') to.varint(2, value ? 1 : 0);
  else if (Number.isSafeInteger(value) && value >= 0) to.varint(3, value);
  else to.double(4, value);
  to.close(inside);
  to.close(at);
}

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1_000));
}
