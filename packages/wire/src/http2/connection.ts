// What is received: frames in, the handler's methods out. Every branch that refuses something names its rule in `errors.ts`; what may arrive
// in which state stands in `stream-state.ts`.

import { HpackDecoder, type FieldList } from '../hpack/index.ts';
import { Http2Core, type Http2Options } from './core.ts';
import {
  HTTP2_ERROR,
  HTTP2_VIOLATIONS,
  type ConnectionViolationCode,
  type Http2ViolationCode,
  type StreamViolationCode,
} from './errors.ts';
import { FLAG, FRAME, SETTING, readUint31, readUint32 } from './frame.ts';
import { frameFault } from './frame-check.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import type { Http2Handler } from './handler.ts';
import { LOAD_ANSWER_BYTES, LOAD_QUESTION_BYTES, readLoadAnswer } from './load.ts';
import { trailerStock, type Http2Trailers } from './head.ts';
import { readTrailers } from './message.ts';
import { readSettings } from './settings.ts';
import { RECEIVE, type InactiveState, type StreamFrame } from './stream-state.ts';
import type { Http2Stream } from './stream.ts';

const NOTHING = Buffer.alloc(0);
const PRIORITY_BYTES = 5;
const DEBUG_CHARS_MAX = 256;

export abstract class Http2Connection extends Http2Core implements FrameSink {
  protected readonly reader: FrameReader;
  protected readonly decoder: HpackDecoder;
  /** Sent by us, until the peer has answered: then GOAWAY can name the last stream. */
  protected drainPing: Buffer | undefined;
  private readonly handler: Http2Handler;
  private readonly byServer: boolean;
  protected settingsReceived = false;
  /** Of the block that is being received; between blocks the connection has none. */
  private trailers: Http2Trailers | undefined;
  /** The header block that is being received: its stream, 0 when there is none; what its HEADERS said. */
  private blockStreamId = 0;
  private blockEndsStream = false;
  private blockStream: Http2Stream | undefined;
  private blockFault: StreamViolationCode | undefined;
  /** Decoded to follow the peer's table, not looked at. */
  private blockIgnored = false;
  private blockList: FieldList | undefined;
  private continuations = 0;
  /** The DATA frame that is being received; no stream: its content is discarded. */
  private dataStream: Http2Stream | undefined;
  private dataLeft = 0;
  private dataEndsStream = false;

  protected constructor(role: 'server' | 'client', handler: Http2Handler, options: Http2Options) {
    super(handler, options);
    const { limits } = this;
    this.handler = handler;
    this.byServer = role === 'client';
    this.reader = new FrameReader(this, limits.frameBytesMax, role === 'server');
    this.decoder = new HpackDecoder({
      listBytesMax: limits.headerListBytesMax,
      stringBytesMax: limits.headerListBytesMax,
      fieldsMax: limits.fieldsMax,
      blockBytesMax: limits.headerBlockBytesMax,
    });
    if (role === 'client') this.writer.preface();
    this.greet(role, options);
  }

  /**
   * Reads `bytes` and tells the handler. `nowMs`: any clock that does not go back; it refills the budgets of the limits. After an error, and
   * after `end`, bytes are discarded. The bytes must not change as long as slices of them are in use.
   */
  push(bytes: Buffer, nowMs: number): void {
    this.meter.nowMs = nowMs;
    this.reader.push(bytes);
  }

  /** Whether nobody has opened this stream yet. */
  protected abstract isIdle(streamId: number): boolean;
  /** HEADERS on an idle stream: opens it, or says why that cannot be. */
  protected abstract openIdle(streamId: number): ConnectionViolationCode | undefined;
  /** Where the head of a stream is decoded that has none yet. */
  protected abstract headList(): FieldList;
  /** That head has come. `stream`: undefined when the peer opens it. */
  protected abstract receiveHead(
    streamId: number,
    stream: Http2Stream | undefined,
    endStream: boolean,
    blockFault: StreamViolationCode | undefined,
  ): void;

  /** @internal */
  onFrameHeader(type: number, flags: number, streamId: number, length: number): void {
    if (!this.settingsReceived && (type !== FRAME.settings || (flags & FLAG.ack) !== 0)) return this.fail('SETTINGS_NOT_FIRST');
    if (this.blockStreamId !== 0) {
      if (type !== FRAME.continuation || streamId !== this.blockStreamId) return this.fail('CONTINUATION_EXPECTED');
    } else if (type === FRAME.continuation) return this.fail('CONTINUATION_UNEXPECTED');
    const fault = frameFault(type, flags, streamId, length);
    if (fault !== undefined) return this.fail(fault);
    if (type > FRAME.continuation && type !== this.reader.extensionType) this.charge('ignoredFrames');
  }

  /** @internal */
  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case FRAME.headers:
        this.onHeadersFrame(flags, streamId, bytes, start, end);
        break;
      case FRAME.priority:
        this.onPriority(streamId, bytes, start, end);
        break;
      case FRAME.rstStream:
        this.onRstStream(streamId, readUint32(bytes, start));
        break;
      case FRAME.settings:
        this.onSettingsFrame((flags & FLAG.ack) !== 0, bytes, start, end);
        break;
      case FRAME.ping:
        this.onPing((flags & FLAG.ack) !== 0, bytes, start);
        break;
      case FRAME.goaway:
        this.onGoawayFrame(bytes, start, end);
        break;
      case FRAME.windowUpdate:
        this.onWindowUpdate(streamId, readUint31(bytes, start));
        break;
      case FRAME.continuation:
        this.onContinuation(flags, bytes, start, end);
        break;
      default:
        this.onLoad((flags & FLAG.ack) !== 0, streamId, bytes, start, end);
    }
    if (this.writer.replyBytes > this.limits.replyBytesMax) this.fail('TOO_MANY_REPLIES');
  }

  /** @internal */
  onFault(code: ConnectionViolationCode): void {
    this.fail(code);
  }

  /** @internal */
  onDataHeader(streamId: number, endStream: boolean, length: number, content: number): void {
    const { receiveFlow } = this;
    this.dataStream = undefined;
    if (!receiveFlow.take(length)) return this.fail('CONNECTION_WINDOW_EXCEEDED');
    const stream = this.streams.get(streamId);
    if (stream === undefined || !stream.isReceiving) {
      receiveFlow.release(length);
      this.refuseFrame('data', streamId, stream);
      return;
    }
    const fault = takeData(stream, endStream, length, content);
    if (fault !== undefined) {
      receiveFlow.release(length);
      return this.failStream(stream, fault);
    }
    const padding = length - content;
    if (padding > 0) {
      receiveFlow.releaseStream(stream, padding, this.local.latestWindow);
      receiveFlow.release(padding);
    }
    if (content > 0) {
      this.meter.dataFrames++;
      this.dataStream = stream;
      this.dataLeft = content;
      this.dataEndsStream = endStream;
    } else if (endStream) {
      this.endReceiving(stream);
      this.handler.onData(stream, NOTHING, 0, 0, true);
    } else this.charge('emptyFrames');
  }

  /** @internal */
  onDataPiece(bytes: Buffer, start: number, end: number): void {
    const stream = this.dataStream;
    if (stream === undefined) return;
    const length = end - start;
    this.dataLeft -= length;
    // The handler has reset the stream after an earlier piece.
    if (stream.isClosed) return this.receiveFlow.release(length);
    stream.unconsumed += length;
    const isLast = this.dataLeft === 0 && this.dataEndsStream;
    if (isLast) this.endReceiving(stream);
    this.handler.onData(stream, bytes, start, end, isLast);
  }

  protected override stopReading(): void {
    this.reader.stopped = true;
  }

  /** Settings and windows that we begin with (RFC 9113 §3.4). */
  private greet(role: 'server' | 'client', { extendedConnect = true, answersLoad = false }: Http2Options): void {
    const { limits } = this;
    const values = this.local.send({
      headerTableSize: limits.headerTableBytesMax,
      initialWindowSize: limits.streamWindowBytes,
      maxFrameSize: limits.frameBytesMax,
      ...(role === 'server' ? { maxConcurrentStreams: limits.concurrentStreamsMax } : {}),
    });
    values.push([SETTING.maxHeaderListSize, limits.headerListBytesMax]);
    if (role === 'client') values.push([SETTING.enablePush, 0]);
    else if (extendedConnect) values.push([SETTING.enableConnectProtocol, 1]);
    if (role === 'server' && answersLoad) {
      values.push([SETTING.answersLoad, 1]);
      this.reader.extensionType = FRAME.load;
    }
    this.writer.settings(values);
    this.receiveFlow.open(limits.connectionWindowBytes);
    this.decoder.setTableLimit(this.local.largest('headerTableSize'));
  }

  private onHeadersFrame(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    let from = start;
    let to = end;
    if ((flags & FLAG.padded) !== 0) {
      if (from === to) return this.fail('BAD_FRAME_SIZE');
      to -= bytes[from++]!;
    }
    let dependsOn = 0;
    if ((flags & FLAG.priority) !== 0) {
      if (end - from < PRIORITY_BYTES) return this.fail('BAD_FRAME_SIZE');
      dependsOn = readUint31(bytes, from);
      from += PRIORITY_BYTES;
    }
    if (from > to) return this.fail('BAD_PADDING');
    const list = this.beginBlock(streamId);
    if (list === undefined) return;
    // RFC 7540 §5.3.1. RFC 9113 §5.3.2 deprecates priorities, but such a frame was never sent by anyone in good faith.
    if (dependsOn === streamId) this.blockFault ??= 'SELF_DEPENDENCY';
    this.blockEndsStream = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) === 0) {
      this.blockStreamId = streamId;
      this.continuations = 0;
      const fault = this.decoder.push(bytes, from, to, list);
      if (fault !== undefined) return this.failBlock(fault);
      this.blockList = list;
      return;
    }
    const fault = this.decoder.decode(bytes, from, to, list);
    if (fault !== undefined) return this.failBlock(fault);
    this.endBlock(streamId);
  }

  private onContinuation(flags: number, bytes: Buffer, start: number, end: number): void {
    // CVE-2024-27316: before the piece is decoded.
    if (++this.continuations > this.limits.continuationsMax) return this.fail('TOO_MANY_CONTINUATIONS');
    const streamId = this.blockStreamId;
    const list = this.blockList!;
    let fault = this.decoder.push(bytes, start, end, list);
    if (fault === undefined && (flags & FLAG.endHeaders) === 0) return;
    fault ??= this.decoder.finish(list);
    if (fault !== undefined) return this.failBlock(fault);
    this.blockStreamId = 0;
    this.blockList = undefined;
    this.endBlock(streamId);
  }

  private failBlock(fault: NonNullable<ReturnType<HpackDecoder['finish']>>): void {
    if (fault === 'BLOCK_TOO_LARGE') this.fail('HEADER_BLOCK_TOO_LARGE');
    else this.fail('BAD_HEADER_BLOCK', fault);
  }

  /** Finds out what the block of a HEADERS frame is for, and where it is decoded; undefined after a connection error. */
  private beginBlock(streamId: number): FieldList | undefined {
    const stream = this.streams.get(streamId);
    this.blockStream = stream;
    this.blockFault = undefined;
    this.blockIgnored = false;
    if (stream?.isReceiving === true) {
      return stream.headReceived ? this.trailerList() : this.headList();
    }
    if (stream === undefined && this.isIdle(streamId)) {
      const fault = this.openIdle(streamId);
      if (fault !== undefined) {
        this.fail(fault);
        return undefined;
      }
      return this.headList();
    }
    // The peer's table must be followed, whatever becomes of the stream.
    this.blockIgnored = true;
    return this.trailerList();
  }

  private trailerList(): FieldList {
    this.trailers = trailerStock.lend(this.trailers);
    return this.trailers.list;
  }

  private dropTrailers(): void {
    trailerStock.end(this.trailers!);
    this.trailers = undefined;
  }

  private endBlock(streamId: number): void {
    const stream = this.blockStream;
    this.blockStream = undefined;
    if (this.blockIgnored) {
      this.dropTrailers();
      return this.refuseFrame('headers', streamId, stream);
    }
    // The handler may have reset it between the frames of the block.
    if (stream?.isClosed === true) return;
    if (stream === undefined || !stream.headReceived) return this.receiveHead(streamId, stream, this.blockEndsStream, this.blockFault);
    this.receiveTrailers(stream, this.trailers!);
    this.dropTrailers();
  }

  private receiveTrailers(stream: Http2Stream, trailers: Http2Trailers): void {
    const fault = this.blockFault ?? this.readTrailers(stream, trailers);
    if (fault !== undefined) return this.failStream(stream, fault);
    this.endReceiving(stream);
    this.handler.onTrailers(stream, trailers);
  }

  private readTrailers(stream: Http2Stream, trailers: Http2Trailers): StreamViolationCode | undefined {
    if (!this.blockEndsStream) return 'TRAILERS_WITHOUT_END';
    if (trailers.list.tooLarge) return 'HEADERS_TOO_LARGE';
    return readTrailers(trailers) ?? (stream.lengthLeft > 0 ? 'LENGTH_DIFFERS' : undefined);
  }

  private onPriority(streamId: number, bytes: Buffer, start: number, end: number): void {
    if (!this.charge('ignoredFrames')) return;
    if (end - start !== PRIORITY_BYTES) return this.faultOn(streamId, 'BAD_PRIORITY_SIZE', 'BAD_FRAME_SIZE');
    if (readUint31(bytes, start) === streamId) this.faultOn(streamId, 'SELF_DEPENDENCY', 'IDLE_SELF_DEPENDENCY');
  }

  private onRstStream(streamId: number, errorCode: number): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.refuseFrame('rst-stream', streamId, stream);
    this.closeReset(stream, 'reset-by-peer');
    this.handler.onReset(stream, errorCode, undefined);
    if (this.chargesResets) this.charge('resets');
  }

  private onSettingsFrame(ack: boolean, bytes: Buffer, start: number, end: number): void {
    if (ack) {
      this.onSettingsAck();
      return;
    }
    if (!this.charge('settings')) return;
    this.settingsReceived = true;
    if (!this.applySettings(bytes, start, end)) return;
    if (this.byServer && this.remote.answersLoad) this.reader.extensionType = FRAME.load;
    this.writer.settingsAck();
    this.handler.onSettings(this.remote);
    for (const stream of this.streams.list()) if (stream.isSending && this.sendFlow.unblock(stream)) this.handler.onWindow(stream);
  }

  /** Applies a SETTINGS payload of the peer; false after a connection error. */
  protected applySettings(bytes: Buffer, start: number, end: number): boolean {
    const { remote } = this;
    const windowBefore = remote.initialWindowSize;
    const fault = readSettings(bytes, start, end, remote, this.byServer);
    if (fault !== undefined) {
      this.fail(fault);
      return false;
    }
    this.encoder.setTableLimit(remote.headerTableSize);
    const change = remote.initialWindowSize - windowBefore;
    if (change === 0) return true;
    // §6.9.2: holds for the streams that are open, too; their windows may get negative.
    for (const stream of this.streams.list()) {
      if (!this.sendFlow.enlargeStream(stream, change)) {
        this.fail('SETTINGS_WINDOW_OVERFLOW');
        return false;
      }
    }
    return true;
  }

  private onSettingsAck(): void {
    const { local } = this;
    const windowBefore = local.largestWindow;
    if (!local.acknowledge()) return this.fail('SETTINGS_ACK_UNEXPECTED');
    this.decoder.setTableLimit(local.largest('headerTableSize'));
    this.reader.frameBytesMax = local.largest('maxFrameSize');
    this.moveReceiveWindows(windowBefore);
  }

  private onPing(ack: boolean, bytes: Buffer, start: number): void {
    if (!ack) {
      if (this.charge('pings')) this.writer.ping(true, bytes, start);
      return;
    }
    if (this.drainPing?.compare(bytes, start, start + this.drainPing.length) === 0) {
      this.drainPing = undefined;
      this.goaway();
    } else this.handler.onPingAck(bytes, start);
  }

  /** Only where both sides have agreed on it: a server gets questions, a client answers. */
  private onLoad(isAnswer: boolean, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId !== 0) return this.fail('STREAM_NOT_ALLOWED');
    if (isAnswer !== this.byServer || end - start !== (isAnswer ? LOAD_ANSWER_BYTES : LOAD_QUESTION_BYTES))
      return this.fail('BAD_FRAME_SIZE');
    if (isAnswer) this.handler.onLoadAnswer(readLoadAnswer(bytes, start));
    else if (this.charge('loadQuestions')) this.handler.onLoadQuestion(readUint32(bytes, start));
  }

  private onGoawayFrame(bytes: Buffer, start: number, end: number): void {
    this.goawayReceived = true;
    const lastStreamId = readUint31(bytes, start);
    this.dropUnprocessed(lastStreamId);
    const debug = bytes.toString('latin1', start + 8, Math.min(end, start + 8 + DEBUG_CHARS_MAX));
    this.handler.onGoaway(lastStreamId, readUint32(bytes, start + 4), debug);
  }

  /** GOAWAY: the peer has not processed our streams above this one (§6.8). */
  private dropUnprocessed(lastStreamId: number): void {
    if (!this.byServer) return;
    for (const stream of this.streams.list()) {
      // A handler may have closed it in the meantime.
      if (stream.id <= lastStreamId || stream.isClosed) continue;
      this.closeReset(stream, 'reset-by-us');
      this.handler.onReset(stream, HTTP2_ERROR.refusedStream, undefined);
    }
  }

  private onWindowUpdate(streamId: number, increment: number): void {
    if (!this.charge('windowUpdates')) return;
    const { sendFlow } = this;
    if (streamId === 0) {
      if (increment === 0) return this.fail('CONNECTION_WINDOW_ZERO_INCREMENT');
      if (!sendFlow.enlarge(increment)) return this.fail('CONNECTION_WINDOW_OVERFLOW');
      return this.grantTurns();
    }
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.refuseFrame('window-update', streamId, stream);
    if (increment === 0) return this.failStream(stream, 'STREAM_WINDOW_ZERO_INCREMENT');
    if (!sendFlow.enlargeStream(stream, increment)) return this.failStream(stream, 'STREAM_WINDOW_OVERFLOW');
    if (sendFlow.unblock(stream)) this.handler.onWindow(stream);
  }

  /** The window of the connection has opened: those who wait for it send in turn. */
  private grantTurns(): void {
    const { sendFlow } = this;
    try {
      for (let stream = sendFlow.next(); stream !== undefined; stream = sendFlow.next()) this.handler.onWindow(stream);
    } finally {
      sendFlow.endTurns();
    }
  }

  /** What RFC 9113 §5.1 says about a frame on a stream that does not take it. */
  private refuseFrame(frame: StreamFrame, streamId: number, stream: Http2Stream | undefined): void {
    const verdict = RECEIVE[stream === undefined ? this.inactiveState(streamId) : stream.state][frame];
    if (verdict !== 'accept' && verdict !== 'ignore') this.faultOf(streamId, verdict);
    if (!this.closed) this.charge('lateFrames');
  }

  private inactiveState(streamId: number): InactiveState {
    if (this.isIdle(streamId)) return 'idle';
    const state = this.closedStreams.find(streamId);
    // A client passes over no stream: what it does not remember, it once closed.
    return state === 'forgotten' && this.byServer ? 'reset-by-us' : state;
  }

  /** A violation of either scope. */
  private faultOf(streamId: number, code: Http2ViolationCode): void {
    if (HTTP2_VIOLATIONS[code].scope === 'connection') return this.fail(code as ConnectionViolationCode);
    const stream = this.streams.get(streamId);
    if (stream !== undefined) this.failStream(stream, code as StreamViolationCode);
    else this.writer.rstStream(streamId, HTTP2_VIOLATIONS[code].errorCode);
  }

  /** A stream error, which on an idle stream can only be a connection error: RST_STREAM must not be sent there (§6.4). */
  private faultOn(streamId: number, code: StreamViolationCode, onIdle: ConnectionViolationCode): void {
    if (this.isIdle(streamId)) this.fail(onIdle);
    else this.faultOf(streamId, code);
  }
}

/** Accounts a DATA frame to its stream: window and Content-Length. */
function takeData(stream: Http2Stream, endStream: boolean, length: number, content: number): StreamViolationCode | undefined {
  // RFC 9113 §8.1: a client may get DATA only after the final head.
  if (!stream.headReceived) return 'DATA_BEFORE_HEADERS';
  stream.receiveWindow -= length;
  if (stream.receiveWindow < 0) return 'STREAM_WINDOW_EXCEEDED';
  if (stream.lengthLeft < 0) return undefined;
  if (content > stream.lengthLeft) return 'LENGTH_DIFFERS';
  stream.lengthLeft -= content;
  return endStream && stream.lengthLeft > 0 ? 'LENGTH_DIFFERS' : undefined;
}
