// One request of undici or fetch as a call of the mesh. Everything its handler hears comes in the context of who asked.
import { AsyncResource } from 'node:async_hooks';
import { nextTick } from 'node:process';
import type { DirectCall, DirectCallError, DirectRequest, DirectUser, FlatHeaders } from '@heddle/dataplane/direct';
import type { Timer } from '@heddle/runtime';
import type { Mesh } from '../plane/mesh.ts';
import { type RequestRecord, tell } from './diagnostics.ts';
import { tellData, tellEnd, tellError, tellHead, tellStart } from './handler-calls.ts';
import { type Controlled, MeshController } from './mesh-controller.ts';
import { chunkBytes, type RequestBody } from './request-body.ts';
import type { OpenRequest } from './open-requests.ts';
import { headersBytes } from './response-headers.ts';
import type { Limited, TimeLimits } from './time-limits.ts';
import type { DispatchHandler } from './types.ts';
import { DispatchError, invalidArgument } from './undici-errors.ts';

const CONTINUE = 100;

/** What a request is, once it was read. */
export interface RequestPlan extends DirectRequest {
  readonly body: RequestBody;
  /** What the body must come to; -1: whatever. */
  readonly lengthBytes: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly record: RequestRecord | undefined;
}

export class MeshRequest extends AsyncResource implements DirectUser, Limited, Controlled {
  before: OpenRequest | undefined;
  after: OpenRequest | undefined;
  deadlineMs = Number.POSITIVE_INFINITY;
  ownTimer: Timer | undefined;
  isPaused = false;
  private readonly mesh: Mesh;
  private readonly limits: TimeLimits;
  private readonly plan: RequestPlan;
  private readonly handler: DispatchHandler;
  private readonly controller: MeshController;
  private readonly onOver: (request: MeshRequest) => void;
  private call: DirectCall | undefined;
  private isOver = false;
  private isHolding = false;
  private hasHead = false;
  private goOn: (() => void) | undefined;
  private readonly onBodyError = (error: Error): void => this.fail(error);

  constructor(mesh: Mesh, limits: TimeLimits, plan: RequestPlan, handler: DispatchHandler, onOver: (request: MeshRequest) => void) {
    // Whoever watches for the end of resources gets none: finding out takes longer than the call.
    super('HEDDLE_REQUEST', { requireManualDestroy: true });
    this.mesh = mesh;
    this.limits = limits;
    this.plan = plan;
    this.handler = handler;
    this.onOver = onOver;
    this.controller = new MeshController(this);
  }

  begin(): void {
    const { mesh, handler, controller, plan } = this;
    this.hold();
    plan.body.stream?.on('error', this.onBodyError);
    try {
      tellStart(handler, controller);
    } catch (error) {
      this.fail(asError(error));
    }
    if (this.isOver) return;
    if (mesh.isReady) this.send();
    else
      mesh.ready().then(
        () => this.send(),
        (error: unknown) => this.fail(asError(error)),
      );
  }

  fail(error: Error): void {
    if (this.isOver) return;
    const { call, handler, controller, plan } = this;
    this.finish(error);
    call?.cancel();
    if (plan.record !== undefined) tell.failed(plan.record, error);
    tellError(handler, controller, error);
  }

  aborted(): Error {
    return new DispatchError('UND_ERR_ABORTED');
  }

  pause(): void {
    if (this.isPaused || this.isOver) return;
    this.isPaused = true;
    this.call?.pause();
    // Nobody reads: as with a socket, that is nothing to stay alive for.
    this.release();
  }

  resume(): void {
    if (!this.isPaused || this.isOver) return;
    this.isPaused = false;
    this.hold();
    this.limits.set(this, this.plan.bodyTimeoutMs);
    this.call?.resume();
  }

  timedOut(): void {
    if (!this.hasHead) this.fail(new DispatchError('UND_ERR_HEADERS_TIMEOUT'));
    else if (!this.isPaused) this.fail(new DispatchError('UND_ERR_BODY_TIMEOUT'));
  }

  // --- from the call

  onInterim(status: number, headers: FlatHeaders): void {
    if (this.isOver || status === CONTINUE) return;
    this.head(status, headers);
  }

  onHead(status: number, headers: FlatHeaders): void {
    if (this.isOver) return;
    this.hasHead = true;
    this.limits.set(this, this.plan.bodyTimeoutMs);
    this.head(status, headers);
  }

  onBody(bytes: Buffer): void {
    const { handler, controller, plan } = this;
    if (this.isOver) return;
    this.limits.set(this, plan.bodyTimeoutMs);
    if (plan.record !== undefined) tell.chunkCame(plan.record, bytes);
    try {
      tellData(handler, controller, bytes);
    } catch (error) {
      this.fail(asError(error));
    }
  }

  onEnd(trailers: FlatHeaders | undefined): void {
    const { handler, controller, plan } = this;
    if (this.isOver) return;
    this.finish(undefined);
    controller.rawTrailers = trailers ?? [];
    if (plan.record !== undefined) tell.ended(plan.record, headersBytes(trailers));
    try {
      tellEnd(handler, controller, trailers);
    } catch (error) {
      tellError(handler, controller, asError(error));
    }
  }

  onError(error: DirectCallError): void {
    this.fail(error);
  }

  onDrained(): void {
    const { goOn } = this;
    this.goOn = undefined;
    goOn?.();
  }

  // --- inside

  private send(): void {
    const { mesh, plan } = this;
    if (this.isOver) return;
    const { body, record } = plan;
    const { bytes, chunks } = body;
    const isComplete = bytes?.length === 0;
    if (record !== undefined) tell.headersSent(record, undefined);
    try {
      this.call = mesh.calls.begin(plan, isComplete, this, (run) => this.runInAsyncScope(nextTick, undefined, run));
    } catch (error) {
      this.fail(invalidArgument(asError(error).message));
      return;
    }
    this.limits.set(this, plan.headersTimeoutMs);
    if (this.isPaused) this.call.pause();
    if (isComplete) this.sent();
    else if (bytes !== undefined) {
      this.call.write(bytes, true);
      this.chunkSent(bytes);
      this.sent();
    } else void this.pump(this.call, chunks!);
  }

  private async pump(call: DirectCall, chunks: AsyncIterable<unknown> | Iterable<unknown>): Promise<void> {
    const { plan, limits } = this;
    let sentBytes = 0;
    try {
      for await (const chunk of chunks) {
        if (this.isOver) return;
        const bytes = chunkBytes(chunk);
        if (bytes.length === 0) continue;
        sentBytes += bytes.length;
        if (plan.lengthBytes !== -1 && sentBytes > plan.lengthBytes) throw new DispatchError('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
        if (!this.hasHead) limits.set(this, plan.headersTimeoutMs);
        const hasRoom = call.write(bytes, false);
        this.chunkSent(bytes);
        if (!hasRoom && !this.isOver)
          await new Promise<void>((resolve) => {
            this.goOn = resolve;
          });
      }
      if (this.isOver) return;
      if (plan.lengthBytes !== -1 && sentBytes !== plan.lengthBytes) throw new DispatchError('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
      call.end();
      this.sent();
    } catch (error) {
      this.fail(asError(error));
    }
  }

  private chunkSent(bytes: Uint8Array): void {
    const { handler, plan } = this;
    if (plan.record !== undefined) tell.chunkSent(plan.record, bytes);
    handler.onBodySent?.(bytes);
  }

  private sent(): void {
    const { handler, plan } = this;
    if (plan.record !== undefined) tell.bodySent(plan.record);
    handler.onRequestSent?.();
  }

  private head(status: number, headers: FlatHeaders): void {
    const { handler, controller, plan } = this;
    controller.rawHeaders = headers;
    try {
      handler.onResponseStarted?.();
      if (plan.record !== undefined) tell.headersCame(plan.record, status, headersBytes(headers), '');
      tellHead(handler, controller, status, headers);
    } catch (error) {
      this.fail(asError(error));
    }
  }

  /** Nothing more is said to the handler but how it ended. */
  private finish(error: Error | undefined): void {
    this.isOver = true;
    this.limits.clear(this);
    this.release();
    this.onOver(this);
    const { stream } = this.plan.body;
    if (stream !== undefined) {
      if (stream.destroyed || stream.readableEnded) stream.off('error', this.onBodyError);
      // The listener stays, so that what it is destroyed with is not thrown.
      else stream.destroy(error);
    }
    this.onDrained();
  }

  private hold(): void {
    if (this.isHolding) return;
    this.isHolding = true;
    this.mesh.hold();
  }

  private release(): void {
    if (!this.isHolding) return;
    this.isHolding = false;
    this.mesh.release();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}
