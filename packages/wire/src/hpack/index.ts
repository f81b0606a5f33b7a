// HPACK (RFC 7541): header compression of HTTP/2, without IO.

export { BlockWriter } from './block-writer.ts';
export { HpackDecoder } from './decoder.ts';
export { HpackEncoder, type HpackEncoderOptions } from './encoder.ts';
export { FIELD_OVERHEAD_BYTES, FieldList, HeaderField } from './field.ts';
export { DEFAULT_HPACK_LIMITS, type HpackLimits } from './limits.ts';
export { HPACK_VIOLATIONS, type HpackViolationCode } from './violations.ts';
