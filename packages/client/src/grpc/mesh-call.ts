// A call of grpc-js that goes into the mesh without a connection. What its listener hears comes in grpc-js's order: metadata, then each message once it
// was asked for, then the status, never within a call of the application's own, and in the context in which the call was made.
import { AsyncResource } from 'node:async_hooks';
import type { CallCredentials, experimental } from '@grpc/grpc-js';
import type { DirectCall, DirectCallError, DirectUser, FlatHeaders } from '@heddle/dataplane/direct';
import type { Timer } from '@heddle/runtime';
import { nodeClock } from '@heddle/runtime/process';
import { formatGrpcTimeout, GRPC_STATUS, grpcKindOf } from '@heddle/wire';
import { MeshError } from '../errors.ts';
import { type CodingFault, decodeMessage } from './coding.ts';
import type { CallHost } from './call-host.ts';
import { MessageBuffer } from './message-buffer.ts';
import { addRequestMetadata, fieldOf, responseMetadata } from './metadata.ts';
import { brokenOutcome, httpOutcome, mayComeLater, outcomeOf } from './outcome.ts';
import { Outbox, type OutboxOwner } from './outbox.ts';
import { Replay } from './replay.ts';
import type { AuthContext, InterceptingListener, MessageContext, Metadata, MetadataClass, StatusObject, WriteCallback } from './types.ts';

/** What waits unread before the mesh is asked to wait. So much an answer's end can lie behind and still be heard of at once. */
const UNREAD_BYTES_MAX = 65_536;
/** Of Node's timers. A deadline beyond is none for this process; the called side is told. */
const TIMER_MS_MAX = 2_147_483_647;

/** The metadata are of the class that is known once the call has started. */
type Outcome = Omit<StatusObject, 'metadata'> & { metadata?: Metadata; cause?: unknown };

/** What a call has to wait for before it can begin. */
type Phase = 'new' | 'credentials' | 'mesh' | 'ready' | 'begun' | 'over';

export class MeshCall extends AsyncResource implements experimental.CallStream, DirectUser, OutboxOwner {
  private readonly host: CallHost;
  private readonly path: string;
  private readonly authority: string;
  private readonly number: number;
  /** Milliseconds since the epoch; Infinity for none. */
  private readonly deadlineMs: number;
  private credentials: CallCredentials | undefined;
  private phase: Phase = 'new';
  private listener: InterceptingListener | undefined;
  private metadataClass: MetadataClass | undefined;
  private headers: string[] = [];
  private startedMs = 0;
  private deadline: Timer | undefined;
  private pause: Timer | undefined;
  private unfollow: (() => void) | undefined;
  private call: DirectCall | undefined;
  // Out
  private readonly outbox = new Outbox(this);
  private replay: Replay | undefined;
  private isHalfClosed = false;
  private endIsSent = false;
  private blocked: WriteCallback[] | undefined;
  // In
  private readonly buffer: MessageBuffer;
  private httpStatus = 0;
  /** A head that may be all of the answer. */
  private onlyHead: FlatHeaders | undefined;
  private coding = 'identity';
  private wantsMessage = false;
  private isDelivering = false;
  private isPaused = false;
  /** How the call has ended, which is said once what came before was read. */
  private outcome: Outcome | undefined;
  private isLastChance = false;

  /** @param deadlineMs since the epoch; Infinity for none */
  constructor(host: CallHost, path: string, authority: string, deadlineMs: number) {
    super('HeddleGrpcCall');
    this.host = host;
    this.path = path;
    this.authority = authority;
    this.deadlineMs = deadlineMs;
    this.number = host.nextCallNumber();
    this.buffer = new MessageBuffer(host.settings.receiveBytesMax);
  }

  /** Takes over the cancellation of the call on whose behalf this one is made. @param follow begins to listen, and gives what ends that */
  follow(follow: (cancel: () => void) => () => void): void {
    this.unfollow = follow(() => this.cancelWithStatus(GRPC_STATUS.CANCELLED, 'Cancelled by parent call'));
  }

  // --- from the client

  setCredentials(credentials: CallCredentials): void {
    this.credentials = credentials;
  }

  start(metadata: Metadata, listener: InterceptingListener): void {
    this.listener = listener;
    this.metadataClass = metadata.constructor as unknown as MetadataClass;
    if (this.phase === 'over') {
      this.soon(this.report);
      return;
    }
    this.host.mesh.hold();
    addRequestMetadata(this.headers, metadata);
    if (metadata.getOptions().waitForReady === true) this.replay = new Replay();
    if (this.deadlineMs !== Infinity) this.watchDeadline();
    const credentials = this.host.credentialsWith(this.credentials);
    if (credentials === undefined) this.awaitMesh();
    else this.awaitCredentials(credentials);
  }

  sendMessageWithContext(context: MessageContext, message: Buffer): void {
    const { sendBytesMax } = this.host.settings;
    if (this.phase === 'over') {
      if (context.callback !== undefined) process.nextTick(context.callback);
    } else if (message.length > sendBytesMax) {
      const details = `Attempted to send message with a size larger than ${sendBytesMax}`;
      this.cancelWithStatus(GRPC_STATUS.RESOURCE_EXHAUSTED, details);
    } else {
      this.outbox.add(context, message, this.host.requestCoding);
      if (this.phase === 'begun') this.send();
    }
  }

  halfClose(): void {
    this.isHalfClosed = true;
    // What is complete need not wait for the next tick.
    if (this.phase === 'ready' && (this.outbox.isEmpty || this.outbox.isLast)) this.begin();
    else if (this.phase === 'begun') this.send();
  }

  startRead(): void {
    if (this.phase === 'over') return;
    this.wantsMessage = true;
    if (this.isDelivering) return;
    if (this.buffer.hasMessage() || this.buffer.tooLongBytes !== undefined) {
      this.isDelivering = true;
      this.soon(this.deliver);
    } else this.readOn();
  }

  cancelWithStatus(code: number, details: string): void {
    if (this.phase === 'over') return;
    const { call } = this;
    this.finish();
    call?.cancel();
    this.outcome = { code, details };
    if (this.listener !== undefined) this.soon(this.report);
  }

  getPeer(): string {
    return this.authority;
  }

  getCallNumber(): number {
    return this.number;
  }

  /** What is known of a connection of grpc-js's own: there is none. Who the called side is, the mesh has checked. */
  getAuthContext(): AuthContext {
    return null;
  }

  // --- before the call

  private awaitCredentials(credentials: CallCredentials): void {
    this.phase = 'credentials';
    const service = this.path.split('/')[1] ?? '';
    const [host] = this.authority.split(':');
    credentials.generateMetadata({ method_name: this.path, service_url: `https://${host}/${service}` }).then(
      (metadata) => {
        if (this.phase !== 'credentials') return;
        addRequestMetadata(this.headers, metadata);
        if (this.headers.indexOf('authorization') !== this.headers.lastIndexOf('authorization'))
          this.cancelWithStatus(GRPC_STATUS.INTERNAL, '"authorization" metadata cannot have multiple values');
        else this.awaitMesh();
      },
      (error: Error & { code?: unknown }) => {
        const code = typeof error.code === 'number' ? error.code : GRPC_STATUS.UNKNOWN;
        this.cancelWithStatus(code, `Getting metadata from plugin failed with error: ${error.message}`);
      },
    );
  }

  private awaitMesh(): void {
    if (this.host.mesh.isReady) {
      this.phase = 'ready';
      // Messages that are given at once go with the head.
      process.nextTick(beginLater, this);
      return;
    }
    this.phase = 'mesh';
    this.host.whenReady(this);
  }

  /** @internal */
  meshCame(): void {
    if (this.phase !== 'mesh') return;
    this.phase = 'ready';
    this.begin();
  }

  /** @internal */
  meshFailed(error: unknown): void {
    if (this.phase !== 'mesh') return;
    const isStopped = error instanceof MeshError && error.code === 'STOPPED';
    if (this.replay !== undefined && !isStopped) {
      this.later(() => this.awaitMesh());
      return;
    }
    this.cancelWithStatus(GRPC_STATUS.UNAVAILABLE, error instanceof Error ? error.message : String(error));
    // grpc-js makes an error of the status with everything that it has.
    this.outcome!.cause = error;
  }

  private watchDeadline(): void {
    this.startedMs = nodeClock.wallMs();
    const leftMs = this.deadlineMs - this.startedMs;
    if (leftMs <= 0) this.soon(this.onDeadline);
    else if (leftMs <= TIMER_MS_MAX) this.deadline = nodeClock.after(leftMs, this.onDeadline);
  }

  private readonly onDeadline = (): void => {
    const seconds = ((nodeClock.wallMs() - this.startedMs) / 1_000).toFixed(3);
    const waitsFor =
      { credentials: ',waiting for metadata filters', mesh: ',waiting for the mesh to be ready' }[this.phase as string] ?? '';
    this.cancelWithStatus(GRPC_STATUS.DEADLINE_EXCEEDED, `Deadline exceeded after ${seconds}s${waitsFor},remote_addr=${this.authority}`);
  };

  /** @internal */
  begin(): void {
    if (this.phase !== 'ready') return;
    const { host, path, authority, deadlineMs } = this;
    const headers = host.settings.headers.concat(this.headers);
    if (host.requestCoding !== 'identity') headers.push('grpc-encoding', host.requestCoding);
    if (deadlineMs !== Infinity) headers.push('grpc-timeout', formatGrpcTimeout(Math.max(0, Math.ceil(deadlineMs - nodeClock.wallMs()))));
    try {
      this.call = host.mesh.calls.begin({ method: 'POST', authority, path, headers }, false, this, this.soon);
    } catch (error) {
      this.cancelWithStatus(GRPC_STATUS.INTERNAL, `Failed to start the call: ${(error as Error).message}`);
      return;
    }
    this.phase = 'begun';
    if (this.replay !== undefined) this.endIsSent = this.replay.sendTo(this.call);
    this.send();
  }

  // --- out

  onOutbox(): void {
    if (this.phase === 'begun') this.send();
  }

  onOutboxFault({ code, details }: CodingFault): void {
    this.cancelWithStatus(code, details);
  }

  private send(): void {
    const { outbox, call, replay } = this;
    if (call === undefined) return;
    for (;;) {
      const isLast = this.isHalfClosed && outbox.isLast;
      const framed = outbox.take();
      if (framed === undefined) break;
      replay?.keep(framed.bytes, isLast);
      if (isLast) this.endIsSent = true;
      const hasRoom = call.write(framed.bytes, isLast);
      if (framed.callback === undefined) continue;
      if (hasRoom) process.nextTick(framed.callback);
      else (this.blocked ??= []).push(framed.callback);
    }
    if (!this.isHalfClosed || this.endIsSent || !outbox.isEmpty) return;
    this.endIsSent = true;
    replay?.keepEnd();
    call.end();
  }

  onDrained(): void {
    const { blocked } = this;
    this.blocked = undefined;
    if (blocked !== undefined) for (const callback of blocked) callback();
  }

  // --- in

  onInterim(): void {}

  onHead(status: number, headers: FlatHeaders): void {
    this.httpStatus = status;
    if (status !== 200 || fieldOf(headers, 'grpc-status') !== undefined) {
      this.onlyHead = headers;
      return;
    }
    this.replay = undefined;
    this.headCame(headers);
  }

  private headCame(headers: FlatHeaders): void {
    this.onlyHead = undefined;
    const contentType = fieldOf(headers, 'content-type');
    if (contentType !== undefined && grpcKindOf(contentType) !== 'grpc') {
      const { code, details } = httpOutcome(this.httpStatus);
      this.cancelWithStatus(code, this.httpStatus === 200 ? `Received a response that is not gRPC but ${contentType}` : details);
      return;
    }
    this.coding = fieldOf(headers, 'grpc-encoding') ?? 'identity';
    const accepted = fieldOf(headers, 'grpc-accept-encoding');
    if (accepted !== undefined) this.host.serverAccepts(accepted);
    this.listener!.onReceiveMetadata(responseMetadata(this.metadataClass!, headers, false));
  }

  onBody(bytes: Buffer): void {
    if (this.onlyHead !== undefined) this.headCame(this.onlyHead);
    if (this.phase === 'over') return;
    this.buffer.push(bytes);
    if (this.wantsMessage && !this.isDelivering) this.deliver();
    if (this.wantsMessage || this.isPaused || this.buffer.waitingBytes <= UNREAD_BYTES_MAX || this.call === undefined) return;
    this.isPaused = true;
    this.call.pause();
  }

  onEnd(trailers: FlatHeaders | undefined): void {
    this.call = undefined;
    const { onlyHead, httpStatus, metadataClass } = this;
    if (trailers === undefined && onlyHead !== undefined) {
      if (this.replay?.isWhole === true && mayComeLater(onlyHead)) {
        this.beginAgain();
        return;
      }
      this.outcome = outcomeOf(onlyHead, httpStatus, metadataClass!);
    } else {
      if (onlyHead !== undefined) this.headCame(onlyHead);
      if (this.phase === 'over') return;
      this.outcome =
        trailers === undefined
          ? { code: GRPC_STATUS.INTERNAL, details: 'Call ended without gRPC status', metadata: new metadataClass!() }
          : outcomeOf(trailers, httpStatus, metadataClass!);
    }
    this.settle();
  }

  onError(error: DirectCallError): void {
    this.call = undefined;
    this.outcome = brokenOutcome(error, this.metadataClass!);
    this.settle();
  }

  private readonly deliver = (): void => {
    this.isDelivering = false;
    if (this.phase === 'over' || !this.wantsMessage) return;
    const message = this.buffer.take();
    if (message === undefined) this.awaitMessage();
    else if (this.buffer.isCompressed) {
      this.wantsMessage = false;
      this.decode(message);
    } else this.say(message);
  };

  private say(message: Buffer): void {
    this.wantsMessage = false;
    try {
      this.listener!.onReceiveMessage(message);
    } finally {
      if (this.outcome !== undefined) this.settle();
    }
  }

  private awaitMessage(): void {
    const { tooLongBytes } = this.buffer;
    if (tooLongBytes !== undefined) {
      const details = `Received message larger than max (${tooLongBytes} vs ${this.host.settings.receiveBytesMax})`;
      this.cancelWithStatus(GRPC_STATUS.RESOURCE_EXHAUSTED, details);
      return;
    }
    this.readOn();
    if (this.outcome !== undefined) this.settle();
  }

  private decode(message: Buffer): void {
    this.isDelivering = true;
    decodeMessage(this.coding, message, this.host.settings.receiveBytesMax, (fault, decoded) => {
      this.isDelivering = false;
      if (this.phase === 'over') return;
      if (fault !== undefined) {
        this.cancelWithStatus(fault.code, fault.details);
        return;
      }
      // The next one may have been asked for meanwhile.
      const wantsNext = this.wantsMessage;
      this.runInAsyncScope(() => this.say(decoded));
      if (wantsNext) this.startRead();
    });
  }

  private readOn(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.call?.resume();
  }

  /** Says how the call has ended, as soon as that is next. */
  private settle(): void {
    const { outcome, buffer } = this;
    if (outcome === undefined || this.phase === 'over' || this.isDelivering) return;
    if (buffer.hasMessage()) {
      if (this.wantsMessage) {
        this.isDelivering = true;
        this.isLastChance = false;
        this.soon(this.deliver);
        return;
      }
      // What went well is read to its end. A failure waits only for who is just reading.
      if (outcome.code === GRPC_STATUS.OK) return;
      if (!this.isLastChance) {
        this.isLastChance = true;
        this.soon(this.settleLate);
        return;
      }
    } else if (outcome.code === GRPC_STATUS.OK && (buffer.isTruncated || buffer.tooLongBytes !== undefined)) {
      this.cancelWithStatus(GRPC_STATUS.INTERNAL, 'The response ended in the middle of a message');
      return;
    }
    this.finish();
    this.report();
  }

  private readonly settleLate = (): void => this.settle();

  /** Everything but saying so. */
  private finish(): void {
    if (this.phase === 'over') return;
    if (this.phase !== 'new') this.host.mesh.release();
    this.phase = 'over';
    this.call = undefined;
    this.deadline?.cancel();
    this.pause?.cancel();
    this.unfollow?.();
    this.replay = undefined;
    this.buffer.clear();
    const callbacks = this.outbox.isEmpty ? this.blocked : [...(this.blocked ?? []), ...this.outbox.clear()];
    this.blocked = undefined;
    if (callbacks !== undefined) for (const callback of callbacks) process.nextTick(callback);
  }

  private readonly report = (): void => {
    const { outcome, metadataClass } = this;
    const { metadata = new metadataClass!() } = outcome!;
    this.listener!.onReceiveStatus(Object.assign(outcome!, { metadata }));
  };

  // --- again

  private beginAgain(): void {
    this.phase = 'ready';
    this.onlyHead = undefined;
    this.onDrained();
    this.later(() => this.begin());
  }

  private later(run: () => void): void {
    this.pause = nodeClock.after(this.replay!.nextPauseMs(), () => this.runInAsyncScope(run));
  }

  /** In a later tick and in the context of the call, whoever asks for it. */
  private readonly soon = (run: () => void): void => {
    this.runInAsyncScope(inNextTick, undefined, run);
  };
}

function beginLater(call: MeshCall): void {
  call.begin();
}

function inNextTick(run: () => void): void {
  process.nextTick(run);
}
