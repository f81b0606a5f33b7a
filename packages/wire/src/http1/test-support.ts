// For tests: runs a parser over pieces of bytes and records what it tells as plain data, so that two runs can be compared.

import type { BodyFraming, Head, RequestHead, ResponseHead, TargetForm, Trailers } from './head.ts';
import type { RemoteProtocolError, ViolationCode } from './errors.ts';
import type { HeaderBlock } from './header-block.ts';
import type { Http1Limits } from './limits.ts';
import type { ParserState } from './parser.ts';
import { RequestParser } from './request-parser.ts';
import { ResponseParser } from './response-parser.ts';

interface HeadRecord {
  headers: [string, string][];
  minorVersion: number;
  framing: BodyFraming;
  contentLength: number;
  keepAlive: boolean;
  upgrade: string;
}

export interface RequestRecord extends HeadRecord {
  kind: 'request';
  method: string;
  target: string;
  form: TargetForm;
  scheme: string;
  authority: string;
  path: string;
  expectContinue: boolean;
  acceptsTrailers: boolean;
}

export interface ResponseRecord extends HeadRecord {
  kind: 'response' | 'interim';
  status: number;
  reason: string;
}

export type Recorded =
  | RequestRecord
  | ResponseRecord
  | { kind: 'body'; text: string }
  | { kind: 'end'; trailers: [string, string][] | undefined }
  | { kind: 'error'; code: ViolationCode; httpStatus: number };

export interface Run {
  events: Recorded[];
  state: ParserState;
}

function recordHead(head: Head): HeadRecord {
  const { minorVersion, framing, contentLength, keepAlive, upgrade } = head;
  return { headers: [...head], minorVersion, framing, contentLength, keepAlive, upgrade };
}

function recordRequest(head: RequestHead): RequestRecord {
  const { method, target, form, scheme, authority, path, expectContinue, acceptsTrailers } = head;
  return { kind: 'request', method, target, form, scheme, authority, path, expectContinue, acceptsTrailers, ...recordHead(head) };
}

class Recorder {
  readonly events: Recorded[] = [];
  onBody(bytes: Buffer, start: number, end: number): void {
    if (!(start < end && end <= bytes.length))
      throw new Error(`onBody with an empty or outlying range: ${start}..${end} of ${bytes.length}`);
    const last = this.events.at(-1);
    const text = bytes.toString('latin1', start, end);
    // How a body is cut follows the pushes; what counts is its content.
    if (last?.kind === 'body') last.text += text;
    else this.events.push({ kind: 'body', text });
  }
  onEnd(trailers: Trailers | undefined): void {
    this.events.push({ kind: 'end', trailers: trailers === undefined ? undefined : [...(trailers as HeaderBlock)] });
  }
  onError(error: RemoteProtocolError): void {
    this.events.push({ kind: 'error', code: error.code, httpStatus: error.httpStatus });
  }
}

function pushAll(parser: { push(bytes: Buffer, start: number): number }, pieces: readonly Buffer[]): void {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const to = parser.push(piece, at);
      if (to <= at || to > piece.length) throw new Error(`push(…, ${at}) of ${piece.length} bytes returned ${to}`);
      at = to;
    }
  }
}

/** Takes request after request. `ended`: the peer ends its direction afterwards. */
export function runRequests(pieces: readonly Buffer[], limits?: Partial<Http1Limits>, ended: boolean = false): Run {
  const recorder = new Recorder();
  const parser = new RequestParser(
    {
      onHead: (head) => recorder.events.push(recordRequest(head)),
      onBody: (bytes, start, end) => recorder.onBody(bytes, start, end),
      onEnd: (trailers) => {
        recorder.onEnd(trailers);
        parser.next();
      },
      onError: (error) => recorder.onError(error),
    },
    limits,
  );
  pushAll(parser, pieces);
  if (ended) parser.end();
  return { events: recorder.events, state: parser.state };
}

/** Takes the responses to requests with these methods, in order. */
export function runResponses(
  methods: readonly string[],
  pieces: readonly Buffer[],
  options: { limits?: Partial<Http1Limits>; ended?: boolean; upgradeAsked?: boolean } = {},
): Run {
  const recorder = new Recorder();
  const waiting = [...methods];
  const begin = (): void => {
    const method = waiting.shift();
    if (method !== undefined) parser.begin(method, options.upgradeAsked ?? false);
  };
  const record = (kind: 'response' | 'interim') => (head: ResponseHead) => {
    recorder.events.push({ kind, status: head.status, reason: head.reason, ...recordHead(head) });
  };
  const parser = new ResponseParser(
    {
      onInterim: record('interim'),
      onHead: record('response'),
      onBody: (bytes, start, end) => recorder.onBody(bytes, start, end),
      onEnd: (trailers) => {
        recorder.onEnd(trailers);
        begin();
      },
      onError: (error) => recorder.onError(error),
    },
    options.limits,
  );
  begin();
  pushAll(parser, pieces);
  if (options.ended === true) parser.end();
  return { events: recorder.events, state: parser.state };
}

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

/** Cuts bytes at these positions (in any order; outlying ones are ignored). Pieces are copies, so that no parser looks beyond its piece. */
export function cut(bytes: Buffer, positions: readonly number[]): Buffer[] {
  const at = [...new Set(positions.filter((position) => position > 0 && position < bytes.length))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => Buffer.from(bytes.subarray(start, at[index] ?? bytes.length)));
}

export function byteByByte(bytes: Buffer): Buffer[] {
  return cut(bytes, Array.from(bytes.keys()));
}
