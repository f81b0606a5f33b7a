// Bodies of requests: bounded while they are read, of a kind that is expected, and with the place of what is wrong in them.
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { faultsOf } from '../schema/faults.ts';
import { ProblemError } from './problems.ts';

/** A registration with all its labels and ports has some 200 kB. */
export const JSON_BYTES_MAX = 1_048_576;
/** A mesh file has at most 1 MiB; one that is larger is to be told so by the reader of mesh files. */
export const TEXT_BYTES_MAX = 1_114_112;

/** Rest of a body that nobody wants, read so that its sender gets to read the answer; beyond it the connection ends. */
const DISCARDED_BYTES_MAX = 4_194_304;

/** What is used of a request. */
export interface Incoming {
  readonly headers: Headers;
  /** Not read by anybody yet. */
  readonly stream: Readable;
}

/** Throws ProblemError UNSUPPORTED_MEDIA_TYPE, TOO_LARGE, INVALID (not UTF-8). */
export async function readText(request: Incoming, mediaTypes: readonly string[], bytesMax: number): Promise<string> {
  const declared = request.headers.get('content-type');
  if (!mediaTypes.includes(mediaTypeOf(request))) {
    const what =
      declared === null ? 'the header `content-type` is missing' : `${JSON.stringify(declared.slice(0, 100))} cannot be read here`;
    throw new ProblemError('UNSUPPORTED_MEDIA_TYPE', what, { mend: `send the body as ${mediaTypes.join(' or ')}` });
  }
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    throw new ProblemError('UNSUPPORTED_MEDIA_TYPE', `content-encoding ${JSON.stringify(encoding.slice(0, 50))} cannot be read`, {
      mend: 'send the body as it is',
    });
  const bytes = await readBytes(request, bytesMax);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ProblemError('INVALID', 'the body is not UTF-8');
  }
}

/** Without parameters, in lower case; empty: none is named. */
export function mediaTypeOf({ headers }: Pick<Incoming, 'headers'>): string {
  return headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

async function readBytes({ headers, stream }: Incoming, bytesMax: number): Promise<Uint8Array> {
  const tooLarge = `the body has more than ${bytesMax} bytes, which is the most that is read here`;
  if (Number(headers.get('content-length') ?? 0) > bytesMax) throw new ProblemError('TOO_LARGE', tooLarge);
  const chunks: Uint8Array[] = [];
  const end = await take(stream, bytesMax, (chunk) => chunks.push(chunk));
  if (end === 'more') throw new ProblemError('TOO_LARGE', tooLarge);
  if (end === 'broken') throw new ProblemError('INVALID', 'the body broke off');
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks);
}

/** Reads on to the end of a body, when there is not too much of it. Whether the connection can be used again. */
export async function discardRest({ stream }: Pick<Incoming, 'stream'>): Promise<boolean> {
  return (await take(stream, DISCARDED_BYTES_MAX, () => {})) === 'end';
}

/** Unlike iteration, this leaves the stream open when it stops early: what is on it is a connection, and an answer is still to be sent. */
function take(stream: Readable, bytesMax: number, onChunk: (chunk: Uint8Array) => void): Promise<'end' | 'more' | 'broken'> {
  if (stream.readableEnded) return Promise.resolve('end');
  if (stream.destroyed) return Promise.resolve('broken');
  return new Promise((resolve) => {
    let bytes = 0;
    const onData = (chunk: Uint8Array): void => {
      bytes += chunk.byteLength;
      if (bytes > bytesMax) finish('more');
      else onChunk(chunk);
    };
    const onEnd = (): void => finish('end');
    const onClose = (): void => finish('broken');
    const finish = (result: 'end' | 'more' | 'broken'): void => {
      stream.pause();
      stream.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      resolve(result);
    };
    stream.on('end', onEnd).on('close', onClose).on('error', onClose).on('data', onData);
    stream.resume();
  });
}

export function hasBody(headers: Headers): boolean {
  return headers.has('transfer-encoding') || Number(headers.get('content-length') ?? 0) > 0;
}

/** Throws ProblemError BAD_JSON with line and column, INVALID for a name that would be lost on the way. */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ProblemError('BAD_JSON', jsonFault((error as Error).message, text));
  }
  // Assigned to an object, it would be its prototype. It may be written with escapes.
  if (/__proto__|\\u/.test(text))
    JSON.parse(text, (key, inner: unknown) => {
      if (key === '__proto__') throw new ProblemError('INVALID', 'body: nothing can be called __proto__');
      return inner;
    });
  return value;
}

/** V8 tells an offset for most faults; at the end of the text it tells none. */
function jsonFault(message: string, text: string): string {
  const offset = Number(/ at position (\d+)/.exec(message)?.[1] ?? text.length);
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const column = offset - before.lastIndexOf('\n');
  const what = /^(Unexpected end|Expected|Bad|Unterminated|Unexpected non-white|Exponent|No number|Invalid)/.test(message)
    ? message.replace(/ (?:in JSON )?at position .*$/s, '').replace(/ in JSON$/, '')
    : 'unexpected token';
  return `line ${line}, column ${column}: ${what.charAt(0).toLowerCase()}${what.slice(1)}`;
}

/** The value as the schema makes it, or ProblemError INVALID with every fault. `where`: "body", for people. */
export function check<T extends z.ZodType>(schema: T, value: unknown, where: 'path' | 'query' | 'body'): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.flatMap(faultsOf).slice(0, ERRORS_MAX);
  const [first = { path: '', message: 'is wrong' }] = errors;
  const place = first.path === '' ? where : `${where}: ${first.path}`;
  throw new ProblemError('INVALID', `${place}: ${first.message}${errors.length > 1 ? `; and ${errors.length - 1} more` : ''}`, { errors });
}

/** Of a large body that is wrong everywhere, more than anybody reads. */
const ERRORS_MAX = 50;
