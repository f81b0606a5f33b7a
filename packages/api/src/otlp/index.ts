// OTLP, as far as data planes speak it: spans, as protobuf.
export * from './spans.ts';
export { ProtoWriter } from './proto-writer.ts';
