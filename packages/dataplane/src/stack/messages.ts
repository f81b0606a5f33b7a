// Heads and trailers as an exchange passes them on: of either version, never converted unless the other side speaks the other one.
import type { HeaderNames, Http2RequestHead, Http2ResponseHead, ResponseHead } from '@heddle/wire';
import type { OwnHeader } from './header-rewrite.ts';
import { HeaderField, Http2Trailers, renderTrailers, RequestHead, toHttp1Trailers, Trailers } from '@heddle/wire';

export type AnyRequestHead = RequestHead | Http2RequestHead;
export type AnyResponseHead = ResponseHead | Http2ResponseHead;
export type AnyTrailers = Trailers | Http2Trailers;

/** RFC 9113 §8.2.2: what only means something on the connection it came by. */
const OF_ONE_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);

/** Names in lower case of the headers that are for one connection alone, as its sender says (RFC 9110 §7.6.1). HTTP/2 has none. */
export function connectionOptions(head: AnyRequestHead): readonly string[] {
  const options = head instanceof RequestHead ? head.list('connection') : undefined;
  return options === undefined ? NONE : options.split(',').map((option) => option.trim().toLowerCase());
}

const NONE: readonly string[] = [];

/** Trailers that stay valid after the call that brought them. */
export function keptTrailers(trailers: AnyTrailers): Http2Trailers {
  if (trailers instanceof Http2Trailers) return trailers.keep();
  const kept = new Http2Trailers();
  for (const [name, value] of trailers) {
    const lower = name.toLowerCase();
    if (!OF_ONE_CONNECTION.has(lower)) kept.add(lower, value);
  }
  return kept;
}

/** Without what is not passed on of headers either: there are servers that read trailers as headers, whatever RFC 9110 §6.5.1 says. */
export function withoutDropped(trailers: AnyTrailers, drop: HeaderNames): AnyTrailers {
  let isClear = true;
  for (const [name] of trailers) isClear &&= !drop.matches(name, 0, name.length);
  if (isClear) return trailers;
  const kept = new Http2Trailers();
  for (const [name, value] of keptTrailers(trailers)) if (!drop.matches(name, 0, name.length)) kept.add(name, value);
  return kept;
}

/** Trailers as lines of HTTP/1.1. */
export function trailerLines(trailers: AnyTrailers): string {
  if (trailers instanceof Trailers) return renderTrailers(trailers);
  const converted = new Trailers();
  toHttp1Trailers(trailers, converted);
  return renderTrailers(converted);
}

/** Headers of our own as fields of HTTP/2. As lines of HTTP/1.1: `headerLines`. */
export function ownFields(headers: readonly OwnHeader[]): HeaderField[] {
  return headers.map(([name, value]) => new HeaderField(name, value, false));
}
