// What routing looks at in a request. Data planes show their own heads in this form, so that a match copies nothing.

/**
 * A request as it was received. Data planes keep one such object for each connection and let it show the current head. Nothing is asked for
 * that no route needs: `header`, `sourceAddress` and `sourceIdentity` may take some work.
 */
export interface RequestView {
  /** As sent: method names are case-sensitive (RFC 9110 §9.1). Extended CONNECT (RFC 8441) is a `GET` with an upgrade. */
  readonly method: string;
  /** From the first slash on, query included; `*` for `OPTIONS *` (RFC 9112 §3.2.4); empty for CONNECT. */
  readonly path: string;
  /** Host with or without port, in any case. */
  readonly authority: string;
  /**
   * Value of a header, without white space around it; undefined: there is none. Several lines of one name are joined by a comma and nothing
   * else; those of `cookie` by `; ` (RFC 9113 §8.2.3).
   * @param name in lower case.
   * @param line that line alone, counted from 0. A `cookie` is one line in any case.
   */
  header(name: string, line?: number): string | undefined;
  /** Of the client in front of the first data plane, without a port; empty: not known. */
  readonly sourceAddress: string;
  /** SPIFFE id of the calling service; empty: not known. */
  readonly sourceIdentity: string;
}

const AMPERSAND = 0x26;
const EQUALS = 0x3d;

/** Where the path ends and the query begins: the place of the question mark, or the end. */
export function pathEnd(path: string): number {
  const mark = path.indexOf('?');
  return mark === -1 ? path.length : mark;
}

/**
 * The first value of a query parameter, as sent: nothing is decoded (so does Envoy); empty for a name alone. Undefined: there is none.
 * @param path with its query.
 */
export function queryValue(path: string, name: string): string | undefined {
  const mark = path.indexOf('?');
  if (mark === -1) return undefined;
  let at = mark + 1;
  while (at <= path.length) {
    const end = at + name.length;
    if (path.startsWith(name, at)) {
      if (end === path.length || path.charCodeAt(end) === AMPERSAND) return '';
      if (path.charCodeAt(end) === EQUALS) {
        const next = path.indexOf('&', end);
        return path.slice(end + 1, next === -1 ? path.length : next);
      }
    }
    const next = path.indexOf('&', at);
    if (next === -1) return undefined;
    at = next + 1;
  }
  return undefined;
}

/** A request in words rather than bytes, for explanations and tests. */
export class PlainRequest implements RequestView {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly sourceAddress: string;
  readonly sourceIdentity: string;
  private readonly lines = new Map<string, string[]>();

  /** @param request `headers`: lines in order, names in any case. Absent parts are empty, the path `/`, the method GET. */
  constructor(request: PlainRequestParts) {
    this.method = request.method ?? 'GET';
    this.path = request.path ?? '/';
    this.authority = request.authority;
    this.sourceAddress = request.sourceAddress ?? '';
    this.sourceIdentity = request.sourceIdentity ?? '';
    for (const [name, value] of request.headers ?? []) {
      const lower = name.toLowerCase();
      const lines = this.lines.get(lower);
      if (lines === undefined) this.lines.set(lower, [value]);
      else if (lower === 'cookie') lines[0] += `; ${value}`;
      else lines.push(value);
    }
  }

  header(name: string, line?: number): string | undefined {
    const lines = this.lines.get(name);
    return line === undefined ? lines?.join(',') : lines?.[line];
  }
}

export interface PlainRequestParts {
  readonly method?: string;
  readonly path?: string;
  readonly authority: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly sourceAddress?: string;
  readonly sourceIdentity?: string;
}
