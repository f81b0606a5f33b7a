// Requests that ask for another protocol, and CONNECT: these need a connection, which Node's own client drives.
import { AsyncResource } from 'node:async_hooks';
import http from 'node:http';
import type { Duplex } from 'node:stream';
import { heldStream } from '../http/held-stream.ts';
import type { Mesh } from '../plane/mesh.ts';
import { tell } from './diagnostics.ts';
import { tellData, tellEnd, tellError, tellHead, tellStart, tellUpgrade } from './handler-calls.ts';
import { type Controlled, MeshController } from './mesh-controller.ts';
import type { RequestPlan } from './mesh-request.ts';
import type { OpenRequest } from './open-requests.ts';
import type { DispatchHandler } from './types.ts';
import { DispatchError } from './undici-errors.ts';

export class UpgradeRequest extends AsyncResource implements Controlled, OpenRequest {
  before: OpenRequest | undefined;
  after: OpenRequest | undefined;
  /** Its limits are those of its connection. */
  deadlineMs = Number.POSITIVE_INFINITY;
  isPaused = false;
  private readonly mesh: Mesh;
  private readonly plan: RequestPlan;
  private readonly protocol: string;
  private readonly handler: DispatchHandler;
  private readonly controller: MeshController;
  private readonly onOver: (request: UpgradeRequest) => void;
  private request: http.ClientRequest | undefined;
  private response: http.IncomingMessage | undefined;
  private isOver = false;

  /** @param protocol empty: CONNECT. */
  constructor(mesh: Mesh, plan: RequestPlan, protocol: string, handler: DispatchHandler, onOver: (request: UpgradeRequest) => void) {
    super('HEDDLE_UPGRADE', { requireManualDestroy: true });
    this.mesh = mesh;
    this.plan = plan;
    this.protocol = protocol;
    this.handler = handler;
    this.onOver = onOver;
    this.controller = new MeshController(this);
  }

  begin(): void {
    const { mesh, handler, controller } = this;
    mesh.hold();
    try {
      tellStart(handler, controller);
    } catch (error) {
      this.fail(error as Error);
    }
    if (this.isOver) return;
    mesh.ready().then(
      () => this.send(),
      (error: unknown) => this.fail(error as Error),
    );
  }

  fail(error: Error): void {
    if (this.isOver) return;
    const { plan, handler, controller, request } = this;
    this.finish();
    request?.destroy();
    if (plan.record !== undefined) tell.failed(plan.record, error);
    tellError(handler, controller, error);
  }

  timedOut(): void {}

  aborted(): Error {
    return new DispatchError('UND_ERR_ABORTED');
  }

  pause(): void {
    this.isPaused = true;
    this.response?.pause();
  }

  resume(): void {
    this.isPaused = false;
    this.response?.resume();
  }

  private send(): void {
    const { mesh, plan, protocol } = this;
    if (this.isOver) return;
    const { method, path, authority, headers, record, headersTimeoutMs } = plan;
    const switching = protocol === '' ? [] : ['connection', 'upgrade', 'upgrade', protocol];
    try {
      this.request = http.request({
        ...{ method, path, createConnection: () => heldStream(mesh) },
        headers: ['host', authority, ...switching, ...headers],
        ...(headersTimeoutMs > 0 && { timeout: headersTimeoutMs }),
      });
    } catch (error) {
      this.fail(error as Error);
      return;
    }
    if (record !== undefined) tell.headersSent(record, undefined);
    const switched = this.bind((response: http.IncomingMessage, socket: Duplex, head: Buffer) => this.switched(response, socket, head));
    this.request
      .on('upgrade', switched)
      .on('connect', switched)
      .on(
        'response',
        this.bind((response: http.IncomingMessage) => this.refused(response)),
      )
      .on(
        'timeout',
        this.bind(() => this.fail(new DispatchError('UND_ERR_HEADERS_TIMEOUT'))),
      )
      .on(
        'error',
        this.bind((error: Error) => this.fail(error)),
      )
      .end();
  }

  private switched(response: http.IncomingMessage, socket: Duplex & { setTimeout?(timeoutMs: number): void }, head: Buffer): void {
    const { plan, handler, controller } = this;
    if (this.isOver) {
      socket.destroy();
      return;
    }
    socket.setTimeout?.(0);
    if (head.length > 0) socket.unshift(head);
    const headers = flatOf(response);
    controller.rawHeaders = headers;
    if (plan.record !== undefined) tell.ended(plan.record, []);
    this.finish();
    try {
      tellUpgrade(handler, controller, { status: response.statusCode!, headers, socket });
    } catch (error) {
      socket.destroy();
      tellError(handler, controller, error as Error);
    }
  }

  /** The answer is one like any other. */
  private refused(response: http.IncomingMessage): void {
    const { handler, controller } = this;
    if (this.isOver) return;
    this.response = response;
    const headers = flatOf(response);
    controller.rawHeaders = headers;
    this.told(() => tellHead(handler, controller, response.statusCode!, headers));
    if (this.isPaused) response.pause();
    response
      .on(
        'data',
        this.bind((bytes: Buffer) => this.told(() => tellData(handler, controller, bytes))),
      )
      .on(
        'error',
        this.bind((error: Error) => this.fail(error)),
      )
      .on(
        'end',
        this.bind(() =>
          this.told(() => {
            this.finish();
            tellEnd(handler, controller, undefined);
          }),
        ),
      );
  }

  private told(tellIt: () => void): void {
    try {
      tellIt();
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.mesh.release();
    this.onOver(this);
  }
}

function flatOf({ rawHeaders }: http.IncomingMessage): string[] {
  return rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
}
