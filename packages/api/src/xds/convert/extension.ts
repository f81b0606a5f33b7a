// What Envoy's contract has no field for travels in messages of our own, inside of Envoy's, in `metadata.typed_filter_metadata`. They are read
// as strictly as what is around them. Here: the way in and out, and the checks that their fields share.
import type { Metadata } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { At } from './rejection.ts';
import { type MessageType, pack, unpack } from './strict.ts';
import { METADATA_NAMESPACE } from './values.ts';

/** google.protobuf.Duration's ten thousand years, in milliseconds: what Envoy's own fields could say. */
const DURATION_MS_MAX = 315_576_000_000_000;
/** RFC 9110 §5.1, in lower case as HTTP/2 has it. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** RFC 9110 §5.5. */
const FORBIDDEN_IN_HEADERS = /[\0-\x08\x0a-\x1f\x7f]/;

/** `metadata` with the extension, which is left out where it says nothing. */
export function withExtension<T extends object>(type: MessageType<T>, extension: T, metadata: Metadata = {}): { metadata?: Metadata } {
  const says = Object.keys(extension).length > 0;
  if (!says && Object.keys(metadata).length === 0) return {};
  return { metadata: { ...metadata, ...(says && { typedFilterMetadata: { [METADATA_NAMESPACE]: pack(type, extension) } }) } };
}

/** What it may say is up to `type`; extensions of others are rejected by `decodeMetadata`. */
export function decodeExtension<T extends object>(type: MessageType<T>, metadata: Metadata | undefined, at: At): T | undefined {
  const all = metadata?.typedFilterMetadata ?? {};
  return Object.hasOwn(all, METADATA_NAMESPACE) ? unpack(type, all[METADATA_NAMESPACE], at) : undefined;
}

/** The place of an extension's fields, in words. */
export function extensionAt(at: At): At {
  return at.field('metadata').field('typed_filter_metadata').field(METADATA_NAMESPACE);
}

/** The words of a model and the numbers of an enum. */
export interface Words<W extends string, N extends number> {
  readonly toWire: Readonly<Record<W, N>>;
  fromWire(value: number | undefined, at: At): W;
}

export function words<W extends string, N extends number>(toWire: Readonly<Record<W, N>>): Words<W, N> {
  const back = new Map<number, W>((Object.keys(toWire) as W[]).map((word) => [toWire[word], word]));
  return {
    toWire,
    fromWire: (value, at) =>
      back.get(value ?? 0) ??
      at.reject((value ?? 0) === 0 ? 'is required' : `${value} is not known to Heddle; it may come from a newer version`),
  };
}

/** A whole number; protobuf has seen to that. */
export function within(value: number | undefined, min: number, max: number, at: At): number {
  const number = value ?? 0;
  return number >= min && number <= max ? number : at.reject(`must be between ${min} and ${max}, not ${number}`);
}

export function milliseconds(value: number | undefined, at: At, min = 0): number {
  return within(value, min, DURATION_MS_MAX, at);
}

export function percentage(value: number | undefined, at: At): number {
  return within(value, 0, 100, at);
}

/** A factor or a rate: fractions too. */
export function notNegative(value: number | undefined, at: At): number {
  const number = value ?? 0;
  return number >= 0 && Number.isFinite(number) ? number : at.reject(`must be a number from 0 on, not ${number}`);
}

export function headerName(value: string | undefined, at: At): string {
  const name = value ?? '';
  return HEADER_NAME.test(name) ? name : at.reject(`${JSON.stringify(name)} is not the name of a header in lower case`);
}

export function headerValue(value: string | undefined, at: At): string {
  const text = value ?? '';
  return FORBIDDEN_IN_HEADERS.test(text) ? at.reject(`${JSON.stringify(text)} has control characters`) : text;
}

/** RFC 6265 §4.1.1: a token. */
export function cookieName(value: string | undefined, at: At): string {
  const name = value ?? '';
  return HEADER_NAME.test(name.toLowerCase()) ? name : at.reject(`${JSON.stringify(name)} is not the name of a cookie`);
}
