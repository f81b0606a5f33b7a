// A collector of traces that speaks OTLP over HTTP, as protobuf. What comes is read by the generated code of OpenTelemetry's own packages, so that no mistake
// of ours can agree with itself. Tests only.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

export type SpanValue = string | number | boolean | null;

export interface CollectedSpan {
  /** Hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: none. */
  readonly parentId: string;
  readonly state: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'other';
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, SpanValue>>;
  readonly resource: Readonly<Record<string, SpanValue>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, SpanValue>> }[];
  readonly isError: boolean;
}

interface AnyValue {
  readonly stringValue?: string | null;
  readonly boolValue?: boolean | null;
  readonly intValue?: { toNumber(): number } | number | null;
  readonly doubleValue?: number | null;
}
type KeyValues = readonly { readonly key: string; readonly value: AnyValue }[];
interface RawSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly parentSpanId: Uint8Array | null;
  readonly traceState: string | null;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: { toString(): string };
  readonly endTimeUnixNano: { toString(): string };
  readonly attributes: KeyValues;
  readonly events: readonly { readonly name: string; readonly attributes: KeyValues }[];
  readonly status?: { readonly code: number } | null;
}
interface RawRequest {
  readonly resourceSpans: readonly {
    readonly resource?: { readonly attributes: KeyValues } | null;
    readonly scopeSpans: readonly { readonly spans: readonly RawSpan[] }[];
  }[];
}

const require = createRequire(import.meta.url);
const root = require('@opentelemetry/otlp-transformer/build/src/generated/root.js') as {
  opentelemetry: { proto: { collector: { trace: { v1: { ExportTraceServiceRequest: { decode(bytes: Uint8Array): RawRequest } } } } } };
};
const { ExportTraceServiceRequest } = root.opentelemetry.proto.collector.trace.v1;
const KINDS = { 1: 'internal', 2: 'server', 3: 'client' } as const;

/** What a test wants answered; undefined: 200. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

export class Collector {
  readonly spans: CollectedSpan[] = [];
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[] = [];
  /** Answers a batch in place of taking it; false: it is taken. */
  answer: Answer = () => false;
  /** Batches are taken then. */
  before: Promise<void> | undefined;
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.take(request, response));
  }

  static async listen(port = 0): Promise<Collector> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    return new Collector(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1/traces`;
  }

  /** Spans by trace, in the order in which the first of each came. */
  get traces(): Map<string, CollectedSpan[]> {
    return Map.groupBy(this.spans, ({ traceId }) => traceId);
  }

  close(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.requests.push({ path: request.url ?? '', headers: request.headers });
    await this.before;
    if (this.answer(request, response)) return;
    const body = Buffer.concat(chunks);
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
    for (const { resource, scopeSpans } of ExportTraceServiceRequest.decode(bytes).resourceSpans) {
      const of = valuesOf(resource?.attributes ?? []);
      for (const { spans } of scopeSpans) this.spans.push(...spans.map((span) => collected(span, of)));
    }
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  }
}

function collected(span: RawSpan, resource: CollectedSpan['resource']): CollectedSpan {
  return {
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentId: hex(span.parentSpanId),
    state: span.traceState ?? '',
    name: span.name,
    kind: KINDS[span.kind as keyof typeof KINDS] ?? 'other',
    startMs: Number(span.startTimeUnixNano.toString()) / 1e6,
    endMs: Number(span.endTimeUnixNano.toString()) / 1e6,
    attributes: valuesOf(span.attributes),
    resource,
    events: span.events.map(({ name, attributes }) => ({ name, attributes: valuesOf(attributes) })),
    isError: span.status?.code === 2,
  };
}

function valuesOf(attributes: KeyValues): Record<string, SpanValue> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const { stringValue, boolValue, intValue, doubleValue } = value;
      if (intValue !== undefined && intValue !== null) return [key, typeof intValue === 'number' ? intValue : intValue.toNumber()];
      return [key, stringValue ?? boolValue ?? doubleValue ?? null];
    }),
  );
}

function hex(bytes: Uint8Array | null): string {
  return Buffer.from(bytes ?? []).toString('hex');
}
