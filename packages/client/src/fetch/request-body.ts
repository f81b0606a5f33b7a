// Bodies of requests in all the forms that undici takes: bytes at once, or something that gives them one after the other.
import { Readable } from 'node:stream';
import { encodeForm, formBytes, isFormData } from './form-data.ts';
import { invalidArgument } from './undici-errors.ts';

export interface RequestBody {
  /** The whole body, where it is known. */
  readonly bytes: Uint8Array | undefined;
  /** In place of `bytes`. */
  readonly chunks: AsyncIterable<unknown> | Iterable<unknown> | undefined;
  /** -1: not known before the end. */
  readonly lengthBytes: number;
  /** What it is, where nobody says otherwise. */
  readonly contentType: string;
  /** To be destroyed when the request ends before it. */
  readonly stream: Readable | undefined;
}

const NO_BODY: RequestBody = whole(new Uint8Array(0));

/** @throws DispatchError */
export function readBody(body: unknown): RequestBody {
  if (body === undefined || body === null || body === '') return NO_BODY;
  if (typeof body === 'string') return whole(Buffer.from(body));
  if (body instanceof Uint8Array) return whole(body);
  if (ArrayBuffer.isView(body)) return whole(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  if (body instanceof ArrayBuffer) return whole(Buffer.from(body));
  if (typeof body === 'object') {
    if (isStream(body)) return streamed(body);
    if (isFormData(body)) {
      const form = encodeForm(body);
      return { ...NO_BODY, bytes: undefined, chunks: formBytes(form), lengthBytes: form.lengthBytes, contentType: form.contentType };
    }
    if (isBlob(body)) return { ...NO_BODY, bytes: undefined, chunks: body.stream(), lengthBytes: body.size, contentType: body.type };
    if (isIterable(body)) return { ...NO_BODY, bytes: undefined, chunks: body, lengthBytes: -1 };
  }
  throw invalidArgument('body must be a string, a Buffer, a Readable stream, an iterable, or an async iterable');
}

/** A chunk of a body as bytes. @throws DispatchError */
export function chunkBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return Buffer.from(chunk);
  if (ArrayBuffer.isView(chunk)) return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  if (chunk instanceof ArrayBuffer) return Buffer.from(chunk);
  throw invalidArgument('a chunk of the body must be a string or bytes');
}

function whole(bytes: Uint8Array): RequestBody {
  return { bytes, chunks: undefined, lengthBytes: bytes.length, contentType: '', stream: undefined };
}

function streamed(body: NodeJS.ReadableStream): RequestBody {
  const stream = body instanceof Readable || Symbol.asyncIterator in body ? (body as Readable) : new Readable().wrap(body);
  return { bytes: undefined, chunks: stream, lengthBytes: endedLength(stream), contentType: '', stream };
}

/** Of a stream that has got everything already. */
function endedLength(stream: Readable): number {
  const state = (stream as { _readableState?: { objectMode: boolean; ended: boolean; length: number } })._readableState;
  return state !== undefined && !state.objectMode && state.ended && Number.isFinite(state.length) ? state.length : -1;
}

function isStream(body: object): body is NodeJS.ReadableStream {
  const { pipe, on } = body as Record<string, unknown>;
  return typeof pipe === 'function' && typeof on === 'function';
}

function isBlob(body: object): body is Blob {
  if (body instanceof Blob) return true;
  const tag = (body as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return (tag === 'Blob' || tag === 'File') && typeof (body as Partial<Blob>).stream === 'function';
}

function isIterable(body: object): body is AsyncIterable<unknown> {
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = body as Record<symbol, unknown>;
  return typeof later === 'function' || typeof now === 'function';
}
