// The hash of a request by which ring-hash, maglev and splits choose, from the first source that the request has.
import { hashText } from '../balancing/hash-text.ts';
import type { HashSource } from '../model/balance.ts';
import { cookieValue, setCookie } from './cookie.ts';
import { queryValue } from './request.ts';
import type { RequestView } from './request.ts';

/** Data planes keep one such object and have it filled in again. */
export interface HashResult {
  /** Unsigned 32-bit; undefined: the request has nothing of what is hashed. */
  hash: number | undefined;
  /** Value of a `set-cookie` that the response needs, so that the next request has the same hash; empty: none. */
  setCookie: string;
}

/**
 * Goes through the sources in order; the first that the request has counts. A cookie that may be made is made when it is its turn and the
 * request has none.
 * @param random uniform in [0, 1).
 */
export function hashRequest(sources: readonly HashSource[], request: RequestView, random: () => number, into: HashResult): void {
  into.setCookie = '';
  into.hash = undefined;
  for (let index = 0; index < sources.length; index++) {
    const source = sources[index] as HashSource;
    const text = textOf(source, request);
    if (text !== undefined) {
      into.hash = hashText(text);
      return;
    }
    if (source.kind === 'cookie' && source.ttlMs !== undefined) {
      const value = newValue(random);
      into.hash = hashText(value);
      into.setCookie = setCookie(source.name, value, source.ttlMs);
      return;
    }
  }
}

/** What of a request is hashed for a source; undefined: it has nothing of the kind. */
export function textOf(source: HashSource, request: RequestView): string | undefined {
  switch (source.kind) {
    case 'header':
      return request.header(source.name.toLowerCase());
    case 'cookie':
      return cookieValue(request.header('cookie'), source.name);
    case 'query':
      return queryValue(request.path, source.name);
    case 'source':
      return request.sourceAddress === '' ? undefined : request.sourceAddress;
  }
}

/** 64 bits in hexadecimal digits: that two users get the same does no harm. */
function newValue(random: () => number): string {
  return word(random) + word(random);
}

function word(random: () => number): string {
  return Math.floor(random() * 4_294_967_296)
    .toString(16)
    .padStart(8, '0');
}
