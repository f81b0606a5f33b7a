// Spans as OTLP has them (opentelemetry-proto 1.x: collector/trace/v1, trace/v1, common/v1, resource/v1). Each span is encoded when it ends, which
// takes less memory than to keep it; a batch puts them together.
import { ProtoWriter } from './proto-writer.ts';

export type AttributeValue = string | number | boolean;
/** Keys and values in turn. */
export type Attributes = readonly AttributeValue[];

export interface SpanEvent {
  /** Milliseconds since the Unix epoch, with fractions. */
  readonly timeMs: number;
  readonly name: string;
  readonly attributes: Attributes;
}

export interface OtlpSpan {
  /** 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: none. */
  readonly parentId: string;
  readonly state: string;
  /** Those of W3C Trace Context. */
  readonly flags: number;
  readonly name: string;
  readonly kind: 'server' | 'client';
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Undefined: nobody says that it went wrong. May be empty. */
  readonly error: string | undefined;
}

export interface ResourceSpans {
  readonly resource: Attributes;
  /** As `encodeSpan` gives them. */
  readonly spans: readonly Uint8Array[];
}

const KINDS = { server: 2, client: 3 } as const;
const STATUS_ERROR = 2;
/** Beside the eight flags of W3C: whether the parent is in another process is known, and so it is. */
const PARENT_IS_REMOTE = 0x300;
const SPAN_BYTES = 2_048;
const BATCH_BYTES = 65_536;
const SCOPE = 'heddle';

/** One at a time: nothing here waits. */
const writer = new ProtoWriter(SPAN_BYTES);

/** A message `Span`. */
export function encodeSpan(span: OtlpSpan): Buffer {
  const { traceId, spanId, parentId, state, flags, name, kind, startMs, endMs, attributes, events, error } = span;
  writer.hex(1, traceId);
  writer.hex(2, spanId);
  if (state !== '') writer.text(3, state);
  if (parentId !== '') writer.hex(4, parentId);
  writer.text(5, name);
  writer.varint(6, KINDS[kind]);
  writer.thousands64(7, microseconds(startMs));
  writer.thousands64(8, microseconds(endMs));
  writeAttributes(writer, 9, attributes);
  for (const event of events) writeEvent(event);
  if (error !== undefined) {
    const at = writer.open(15);
    if (error !== '') writer.text(2, error);
    writer.varint(3, STATUS_ERROR);
    writer.close(at);
  }
  writer.fixed32(16, (flags & 0xff) | (parentId === '' ? 0 : PARENT_IS_REMOTE));
  return writer.take();
}

function writeEvent({ timeMs, name, attributes }: SpanEvent): void {
  const at = writer.open(11);
  writer.thousands64(1, microseconds(timeMs));
  writer.text(2, name);
  writeAttributes(writer, 3, attributes);
  writer.close(at);
}

/** A message `ExportTraceServiceRequest`. */
export function encodeBatch(groups: readonly ResourceSpans[]): Buffer {
  const batch = new ProtoWriter(BATCH_BYTES);
  for (const { resource, spans } of groups) {
    const group = batch.open(1);
    const resourceAt = batch.open(1);
    writeAttributes(batch, 1, resource);
    batch.close(resourceAt);
    const ofScope = batch.open(2);
    const scope = batch.open(1);
    batch.text(1, SCOPE);
    batch.close(scope);
    for (const span of spans) batch.bytes(2, span);
    batch.close(ofScope);
    batch.close(group);
  }
  return batch.take();
}

function writeAttributes(to: ProtoWriter, field: number, attributes: Attributes): void {
  for (let index = 0; index + 1 < attributes.length; index += 2) {
    const value = attributes[index + 1]!;
    const at = to.open(field);
    to.text(1, attributes[index] as string);
    const inside = to.open(2);
    if (typeof value === 'string') to.text(1, value);
    else if (typeof value === 'boolean') to.varint(2, value ? 1 : 0);
    else if (Number.isSafeInteger(value) && value >= 0) to.varint(3, value);
    else to.double(4, value);
    to.close(inside);
    to.close(at);
  }
}

function microseconds(ms: number): number {
  return Math.max(0, Math.round(ms * 1_000));
}
