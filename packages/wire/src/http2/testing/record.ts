// For tests: both roles with a handler that writes down what it is told, as short texts.

import { Http2Client } from '../client.ts';
import type { Http2Connection } from '../connection.ts';
import type { Http2Options } from '../core.ts';
import { CLIENT_PREFACE } from '../frame.ts';
import type { Http2ClientHandler, Http2Handler, Http2ServerHandler } from '../handler.ts';
import type { Http2RequestHead, Http2ResponseHead } from '../head.ts';
import type { LoadAnswer } from '../load.ts';
import { Http2Server } from '../server.ts';
import type { Http2Stream } from '../stream.ts';
import { SETTINGS_ACK, Wiretap, settings } from './frames.ts';

class Recorder implements Http2Handler {
  readonly events: string[] = [];
  readonly streams = new Map<number, Http2Stream>();
  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    if (start > end || end > bytes.length || (start === end && !endStream)) throw new Error(`onData with ${start}..${end}`);
    this.events.push(`data ${stream.id} ${bytes.toString('latin1', start, end)}${endStream ? ' end' : ''}`);
  }
  onTrailers(stream: Http2Stream, trailers: Iterable<[string, string]>): void {
    this.events.push(`trailers ${stream.id} ${textOf(trailers)}`);
  }
  onReset(stream: Http2Stream, errorCode: number, violation: string | undefined): void {
    this.events.push(`reset ${stream.id} ${errorCode}${violation === undefined ? '' : ` ${violation}`}`);
  }
  onWindow(stream: Http2Stream): void {
    this.events.push(`window ${stream.id}`);
  }
  onRefused(streamId: number, violation: string): void {
    this.events.push(`refused ${streamId} ${violation}`);
  }
  onSettings(): void {}
  onGoaway(lastStreamId: number, errorCode: number, debug: string): void {
    this.events.push(`goaway ${lastStreamId} ${errorCode} ${debug}`);
  }
  onPingAck(bytes: Buffer, start: number): void {
    this.events.push(`pong ${bytes.toString('latin1', start, start + 8)}`);
  }
  onLoadQuestion(number: number): void {
    this.events.push(`load? ${number}`);
  }
  onLoadAnswer({ number, inFlight, latencyMicros }: LoadAnswer): void {
    this.events.push(`load ${number} ${inFlight} ${latencyMicros}`);
  }
  onError(error: Error & { code: string }): void {
    this.events.push(`error ${error.code}`);
  }
}

class ServerRecorder extends Recorder implements Http2ServerHandler {
  onHeaders(stream: Http2Stream, head: Http2RequestHead, endStream: boolean): void {
    this.streams.set(stream.id, stream);
    const protocol = head.protocol === '' ? '' : ` ${head.protocol}`;
    this.events.push(
      `request ${stream.id} ${head.method} ${head.scheme}|${head.authority}|${head.path}${protocol} ${textOf(head)}${endStream ? ' end' : ''}`,
    );
  }
}

class ClientRecorder extends Recorder implements Http2ClientHandler {
  onInterim(stream: Http2Stream, head: Http2ResponseHead): void {
    this.events.push(`interim ${stream.id} ${head.status} ${textOf(head)}`);
  }
  onHeaders(stream: Http2Stream, head: Http2ResponseHead, endStream: boolean): void {
    this.events.push(`response ${stream.id} ${head.status} ${textOf(head)}${endStream ? ' end' : ''}`);
  }
}

function textOf(fields: Iterable<[string, string]>): string {
  return `[${[...fields].map((field) => field.join(' ')).join(', ')}]`;
}

/** A connection under test, and the peer's side of it made by hand. */
export class Bench<C extends Http2Connection> {
  readonly connection: C;
  readonly recorder: Recorder;
  readonly tap = new Wiretap();
  nowMs = 1_000;

  constructor(connection: C, recorder: Recorder) {
    this.connection = connection;
    this.recorder = recorder;
  }

  /** Gives it bytes and returns what it was told since the last call. */
  push(...pieces: readonly Buffer[]): string[] {
    for (const piece of pieces) this.connection.push(piece, this.nowMs);
    return this.recorder.events.splice(0);
  }

  /** What it has sent since the last call. */
  sent(all: boolean = false): string[] {
    return this.tap.read(this.connection.take(), all);
  }

  stream(id: number): Http2Stream {
    const stream = this.recorder.streams.get(id);
    if (stream === undefined) throw new Error(`There is no stream ${id}.`);
    return stream;
  }
}

/** A server whose client has sent its preface and these settings, and acknowledged the server's. */
export function serverBench(options: Http2Options = {}, ...theirs: readonly (readonly [number, number])[]): Bench<Http2Server> {
  const recorder = new ServerRecorder();
  const bench = new Bench(new Http2Server(recorder, options), recorder);
  bench.push(CLIENT_PREFACE, settings(...theirs), SETTINGS_ACK);
  bench.connection.take();
  return bench;
}

/** A server before the first byte. */
export function freshServer(options: Http2Options = {}): Bench<Http2Server> {
  const recorder = new ServerRecorder();
  return new Bench(new Http2Server(recorder, options), recorder);
}

/** A client whose server has sent these settings, and acknowledged the client's. */
export function clientBench(options: Http2Options = {}, ...theirs: readonly (readonly [number, number])[]): Bench<Http2Client> {
  const recorder = new ClientRecorder();
  const bench = new Bench(new Http2Client(recorder, options), recorder);
  bench.connection.take();
  bench.push(settings(...theirs), SETTINGS_ACK);
  bench.connection.take();
  return bench;
}
