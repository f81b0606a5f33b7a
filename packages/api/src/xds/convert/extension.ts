// What Envoy's contract has no field for travels in messages of our own, inside of Envoy's, in `metadata.typed_filter_metadata`. They are read
// as strictly as what is around them. Here: the way in and out, and the checks that their fields share.
import { ipBytes } from '@heddle/core';
import type { Metadata } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import type { At } from './rejection.ts';
import { type MessageType, pack, unpack } from './strict.ts';
import { METADATA_NAMESPACE, requiredText } from './values.ts';

/** google.protobuf.Duration's ten thousand years, in milliseconds: what Envoy's own fields could say. */
const DURATION_MS_MAX = 315_576_000_000_000;
/** RFC 9110 §5.1, in lower case as HTTP/2 has it. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** RFC 9110 §5.5. */
const FORBIDDEN_IN_HEADERS = /[\0-\x08\x0a-\x1f\x7f]/;
/** SPIFFE-ID, section 2. */
const SPIFFE_SCHEME = 'spiffe://';
const SPIFFE_LENGTH_MAX = 2_048;

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

/** For lists that must not be empty in a message. */
export function atLeastOne<T>(items: readonly T[] | undefined, at: At): readonly T[] {
  return items === undefined || items.length === 0 ? at.reject('must have at least one entry') : items;
}

/** For lists of a model that may be absent: on the wire, an empty one would read as absent. */
export function listed<T>(items: readonly T[] | undefined, at: At): readonly T[] {
  return items?.length === 0 ? at.reject('must have at least one entry, or be left out') : (items ?? []);
}

/** The same for texts. */
export function givenOrAbsent(text: string | undefined, at: At): void {
  if (text === '') at.reject('must not be empty; leave it out');
}

/** A SPIFFE id, or what one begins with. */
export function spiffeText(value: string | undefined, at: At): string {
  const text = value ?? '';
  if (text.length > SPIFFE_LENGTH_MAX) at.reject(`has ${text.length} characters; at most ${SPIFFE_LENGTH_MAX} are possible`);
  return text.startsWith(SPIFFE_SCHEME) ? text : at.reject(`must begin with ${SPIFFE_SCHEME}, not ${JSON.stringify(text)}`);
}

/** An IP address, or a network by address and length of its prefix (RFC 4632, RFC 4291). */
export function network(value: string, at: At): string {
  const [address = '', length, ...rest] = value.split('/');
  const bits = (ipBytes(address)?.length ?? 0) * 8;
  const fits = length === undefined || (/^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= bits);
  return bits > 0 && fits && rest.length === 0 ? value : at.reject(`${JSON.stringify(value)} is neither an IP address nor a network`);
}

/** Of a claim, from the outermost object inwards. */
export function claimPath(claim: readonly string[] | undefined, at: At): readonly string[] {
  return atLeastOne(claim, at.field('claim')).map((name, index) => requiredText(name, at.item('claim', index)));
}
