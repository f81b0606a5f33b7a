// A request as undici describes it, as one for the mesh. What undici refuses is refused here in its words' place, by its code.
import { stringify } from 'node:querystring';
import type { DispatchOptions } from './types.ts';
import { DispatchError, invalidArgument } from './undici-errors.ts';

/** What the headers of a request come to. */
export class RequestParts {
  /** Names and values in turn. */
  readonly headers: string[] = [];
  /** Of the header `host`. */
  host = '';
  /** As declared; -1: not. */
  contentLength = -1;
  hasContentType = false;

  /** @throws DispatchError */
  add(name: string, value: unknown): void {
    if (value === undefined) return;
    if (Array.isArray(value)) {
      for (const item of value) this.addOne(name, item);
    } else this.addOne(name, value);
  }

  private addOne(name: string, given: unknown): void {
    if (typeof given === 'object' && given !== null) throw invalidArgument(`invalid ${name} header`);
    const value = typeof given === 'string' ? given : given === null ? '' : `${given as number}`;
    switch (name.length) {
      case 4:
        if (name.toLowerCase() !== 'host') break;
        if (this.host !== '') throw invalidArgument('duplicate host header');
        this.host = value;
        return;
      case 6:
        if (name.toLowerCase() === 'expect') throw new DispatchError('UND_ERR_NOT_SUPPORTED', 'expect header not supported');
        break;
      case 7:
        if (name.toLowerCase() === 'upgrade') throw invalidArgument('invalid upgrade header');
        break;
      case 10:
        if (name.toLowerCase() === 'keep-alive') throw invalidArgument('invalid keep-alive header');
        break;
      case 12:
        if (name.toLowerCase() === 'content-type') this.hasContentType = true;
        break;
      case 14:
        if (name.toLowerCase() !== 'content-length') break;
        if (this.contentLength !== -1) throw invalidArgument('duplicate content-length header');
        this.contentLength = lengthOf(value);
        return;
      case 17:
        if (name.toLowerCase() === 'transfer-encoding') throw invalidArgument('invalid transfer-encoding header');
        break;
    }
    this.headers.push(name, value);
  }
}

/** @throws DispatchError */
export function readHeaders(headers: unknown): RequestParts {
  const parts = new RequestParts();
  if (headers === undefined || headers === null) return parts;
  if (typeof headers !== 'object') throw invalidArgument('headers must be an object or an array');
  if (Array.isArray(headers)) {
    if (headers.length % 2 !== 0) throw invalidArgument('headers array must be even');
    for (let at = 0; at < headers.length; at += 2) parts.add(nameOf(headers[at]), headers[at + 1]);
  } else if (isIterable(headers)) {
    for (const pair of headers) {
      if (!Array.isArray(pair) || pair.length !== 2) throw invalidArgument('headers must be in key-value pair format');
      parts.add(nameOf(pair[0]), pair[1]);
    }
  } else {
    const values = headers as Record<string, unknown>;
    for (const name of Object.keys(values)) parts.add(name, values[name]);
  }
  return parts;
}

/** With what `query` adds. @throws DispatchError */
export function readPath({ path, query }: DispatchOptions): string {
  if (typeof path !== 'string') throw invalidArgument('path must be a string');
  if (query === undefined || query === null) return path;
  if (path.includes('?') || path.includes('#'))
    throw invalidArgument('Query params cannot be passed when url already contains "?" or "#".');
  const text = stringify(query as NodeJS.Dict<string>);
  return text === '' ? path : `${path}?${text}`;
}

/** @param name of the option */
export function readTimeout(name: string, value: number | null | undefined, defaultMs: number): number {
  if (value === undefined || value === null) return defaultMs;
  if (!Number.isFinite(value) || value < 0) throw invalidArgument(`invalid ${name}`);
  return value;
}

function nameOf(name: unknown): string {
  if (typeof name === 'string') return name;
  if (Buffer.isBuffer(name)) return name.toString('latin1');
  throw invalidArgument('invalid header key');
}

function lengthOf(value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw invalidArgument('invalid content-length header');
  return Number(value);
}

function isIterable(value: object): value is Iterable<unknown> {
  return typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
}
