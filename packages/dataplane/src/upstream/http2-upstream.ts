// One HTTP/2 connection to an endpoint: carries the calls of many requests at once. It belongs to a pool, which is told when it is there, when
// it has room again, and when it is gone. A connection that says nothing while calls wait is asked by PING whether it lives.
import type { ErrorCode } from '@heddle/core';
import { NOBODY } from '@heddle/runtime';
import type { NetworkError, TlsContext } from '@heddle/runtime';
import { Http2Client } from '@heddle/wire';
import type { Http2ClientHandler, Http2Limits, Http2ResponseHead, Http2Stream, LoadAnswer } from '@heddle/wire';
import type { Context } from '../stack/context.ts';
import { COPY_ALL, Http2Link } from '../stack/http2-link.ts';
import { Http2Call } from './http2-call.ts';
import type { ClientStream, Http2CallOwner } from './http2-call.ts';

/** Whom the connection belongs to. `connected` or `connectFailed` comes once; after `connected`, `closed` once. */
export interface Http2UpstreamOwner {
  readonly http2Limits: Partial<Http2Limits>;
  /** Whether PING finds out that it is dead. Not for servers that take that for an attack. */
  readonly mayPing: boolean;
  connected(upstream: Http2Upstream): void;
  connectFailed(upstream: Http2Upstream, error: NetworkError | undefined): void;
  /** A call has ended, or the peer allows more of them, or no more. */
  changed(upstream: Http2Upstream): void;
  loadAnswered(answer: LoadAnswer): void;
  closed(upstream: Http2Upstream): void;
}

/** What waits for a connection: a request, or a tunnel. */
export interface Http2PoolUser {
  /** There is room on it for one stream, which must be opened now. */
  onConnection(upstream: Http2Upstream, reused: boolean): void;
  onNoConnection(code: ErrorCode, detail: string): void;
}

const PING_PAYLOAD = Buffer.from('heddle-1', 'latin1');

export class Http2Upstream extends Http2Link implements Http2ClientHandler, Http2CallOwner {
  readonly codec: Http2Client;
  readonly tls: TlsContext | undefined;
  /** Requests begun on it. */
  requests = 0;
  isConnected = false;
  /** Takes no further calls, and closes after the last one. */
  isRetired = false;
  private readonly owner: Http2UpstreamOwner;
  hasSettings = false;
  /** Calls that were begun before its settings said that it takes fewer. */
  private surplus = 0;
  /** Upgrades that wait for them. */
  private readonly awaitingSettings: Http2Call[] = [];
  /** Calls that have ended and are used again. */
  private readonly spare: Http2Call[] = [];
  private awaitsPing = false;
  private isPushing = false;
  private isClosing = false;
  private hasChanged = false;

  constructor(context: Context, owner: Http2UpstreamOwner, address: string, port: number, tls: TlsContext | undefined, timeoutMs: number) {
    // Nothing arrives before this turn has ended.
    const connection = context.network.connect({ address, port, tls, timeoutMs, isOwnHttp: true }, NOBODY);
    super(context, connection, 'client');
    connection.handler = this;
    this.owner = owner;
    this.tls = tls;
    this.codec = new Http2Client(this, { limits: owner.http2Limits, huffman: false, ...COPY_ALL });
  }

  /** How many calls it takes now. */
  get capacity(): number {
    return this.isRetired || !this.isConnected ? 0 : this.codec.capacity;
  }

  get streamCount(): number {
    return this.codec.streamCount;
  }

  /** For one request; only while there is capacity. */
  call(): Http2Call {
    this.requests += 1;
    return this.spare.pop() ?? new Http2Call(this.context, this);
  }

  /** @internal A stream was opened: from now on silence is suspicious. */
  streamOpened(): void {
    if (this.codec.streamCount > 1) return;
    this.hasRead = false;
    this.awaitsPing = false;
    const { limits, clock, deadlines } = this.context;
    deadlines.set(this, this.owner.mayPing ? clock.nowMs() + limits.pingAfterMs : Infinity);
  }

  takeSurplus(): boolean {
    return this.surplus > 0 && this.surplus-- > 0;
  }

  callEnded(call: Http2Call): void {
    if (this.spare.length < this.context.limits.streamsPerConnectionMax) this.spare.push(call);
    this.streamClosed();
  }

  /** @internal */
  streamClosed(): void {
    this.hasChanged = true;
    // Within `push` the pool is told once, after all that came was handled.
    if (!this.isPushing) this.afterPush();
  }

  /** No further calls: closes now, or after the last one. */
  retire(): void {
    this.isRetired = true;
    this.closeIfDone();
  }

  onConnected(): void {
    this.isConnected = true;
    this.touch();
    // Whoever asked for it may have gone, and the instance may never say a word.
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.upstreamIdleTimeoutMs);
    this.owner.connected(this);
    this.context.turn.end();
  }

  onInterim(stream: Http2Stream, head: Http2ResponseHead): void {
    (stream.context as ClientStream | undefined)?.receiveInterim(head);
  }

  onHeaders(stream: Http2Stream, head: Http2ResponseHead, endStream: boolean): void {
    (stream.context as ClientStream | undefined)?.receiveHead(head, endStream);
  }

  override onSettings(): void {
    this.hasChanged = true;
    if (!this.hasSettings) this.surplus = Math.max(0, this.codec.streamCount - this.codec.peerSettings.maxConcurrentStreams);
    this.hasSettings = true;
    for (const call of this.awaitingSettings.splice(0)) call.settingsArrived();
  }

  /** False: this server does not answer such, or the connection is about to end. Questions keep no idle connection open. */
  askLoad(number: number): boolean {
    if (!this.codec.askLoad(number)) return false;
    // It may be closed by now, like any other that is kept.
    if (this.requests === 0) this.requests = 1;
    this.touch();
    return true;
  }

  override onLoadAnswer(answer: LoadAnswer): void {
    this.owner.loadAnswered(answer);
  }

  /** @internal */
  awaitSettings(call: Http2Call): void {
    this.awaitingSettings.push(call);
  }

  /** @internal */
  forgetAwaiting(call: Http2Call): void {
    const at = this.awaitingSettings.indexOf(call);
    if (at !== -1) this.awaitingSettings.splice(at, 1);
  }

  override onGoaway(): void {
    this.isRetired = true;
    this.hasChanged = true;
  }

  onDeadline(nowMs: number): void {
    const { limits } = this.context;
    if (this.isClosing) {
      this.destroy();
    } else if (this.codec.streamCount === 0) {
      this.retire();
    } else if (this.hasRead) {
      this.hasRead = false;
      this.awaitsPing = false;
      this.context.deadlines.set(this, nowMs + limits.pingAfterMs);
    } else if (!this.awaitsPing) {
      this.awaitsPing = true;
      this.codec.ping(PING_PAYLOAD);
      this.touch();
      this.context.deadlines.set(this, nowMs + limits.pingTimeoutMs);
    } else {
      this.closeReason = `nothing came from the instance for ${limits.pingAfterMs + limits.pingTimeoutMs} ms, not even the answer to a PING`;
      this.codec.end();
      this.destroy();
    }
    this.context.turn.end();
  }

  override onBytes(bytes: Buffer): void {
    this.isPushing = true;
    super.onBytes(bytes);
  }

  get reason(): string {
    return this.closeReason;
  }

  protected override afterPush(): void {
    this.isPushing = false;
    if (!this.hasChanged) return;
    this.hasChanged = false;
    if (this.codec.streamCount === 0 && this.isConnected && !this.isRetired) {
      const { limits, clock, deadlines } = this.context;
      deadlines.set(this, clock.nowMs() + limits.upstreamIdleTimeoutMs);
    }
    this.owner.changed(this);
    this.closeIfDone();
  }

  protected override closed(error: NetworkError | undefined): void {
    for (const call of this.awaitingSettings.splice(0)) call.settingsArrived();
    if (this.isConnected) this.owner.closed(this);
    else this.owner.connectFailed(this, error);
  }

  private closeIfDone(): void {
    if (!this.isRetired || this.isClosing || this.codec.streamCount > 0) return;
    this.isClosing = true;
    this.codec.goaway();
    this.end();
    // The peer closes its direction, too; if not, it is not waited for longer than this.
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.lingerTimeoutMs);
  }
}
