// One gRPC call to an outside authorizer: a request like any other, through the pools, balancer and mutual TLS of its cluster, whose answer is
// kept instead of being passed on. It ends in time, since its route has a limit.
import { forwardTo, NO_RETRY } from '@heddle/core';
import type { ErrorCode, ForwardAction } from '@heddle/core';
import {
  decodeGrpcMessage,
  formatGrpcTimeout,
  GRPC_STATUS,
  GrpcReader,
  grpcPrefix,
  grpcStatusName,
  Http2RequestHead,
  readGrpcStatus,
} from '@heddle/wire';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import { serviceOfWorkload } from './context.ts';
import type { Context } from './context.ts';
import { Timed } from './deadlines.ts';
import type { Downstream } from './ends.ts';
import { Exchange, NO_WISHES } from './exchange.ts';
import { DroppedHeaders, Forwarding } from './forwarding.ts';
import type { LocalAnswer } from './local-answer.ts';
import type { AnyResponseHead, AnyTrailers } from './messages.ts';
import { plainStack } from './routes.ts';
import type { RouteStack } from './routes.ts';

/** An answer has some headers; Envoy takes 4 MiB, which a request that waits is not worth. */
const ANSWER_BYTES_MAX = 65_536;
const NOTHING_DROPPED = new DroppedHeaders([]);

/** Nobody has seen a question that did not arrive, so another instance may be asked. */
export function authorizerRoute(cluster: string, timeoutMs: number): RouteStack {
  const action: ForwardAction = {
    ...forwardTo(cluster),
    timeoutMs,
    retry: { ...NO_RETRY, attempts: 1, on: ['connect-failure', 'refused'] },
  };
  return plainStack('authorizer', action);
}

/** What came back: the message, or why there is none. */
export type CallResult = { readonly message: Buffer } | { readonly failure: string };

export class AuthorizerCall extends Timed implements Downstream {
  readonly forwarding = new Forwarding(NOTHING_DROPPED, 'http2', '');
  readonly switchesBy2xx = false;
  readonly isBlocked = false;
  private readonly context: Context;
  private readonly exchange: Exchange;
  private readonly parts: Buffer[] = [];
  private readonly reader: GrpcReader;
  private done: ((result: CallResult) => void) | undefined;

  constructor(context: Context, done: (result: CallResult) => void) {
    super();
    this.context = context;
    this.done = done;
    this.exchange = new Exchange(context, this);
    const keep = (bytes: Buffer, start: number, end: number): void => void this.parts.push(Buffer.from(bytes.subarray(start, end)));
    this.reader = new GrpcReader({ onMessage: () => {}, onData: keep, onMessageEnd: () => {} }, ANSWER_BYTES_MAX);
  }

  /** @param path of the gRPC method. `done` may be called before this returns. */
  start(stack: RouteStack, cluster: UpstreamCluster, workload: string, path: string, message: Uint8Array): void {
    const head = new Http2RequestHead();
    head.method = 'POST';
    head.scheme = 'http';
    head.authority = `${cluster.config.service.name}.${cluster.config.service.namespace}`;
    head.path = path;
    head.acceptsTrailers = true;
    head
      .add('content-type', 'application/grpc')
      .add('te', 'trailers')
      .add('grpc-timeout', formatGrpcTimeout(stack.forward!.timeoutMs))
      .add('user-agent', 'heddle');
    this.forwarding.begin('', '', '');
    const metrics = cluster.requestsFrom(serviceOfWorkload(workload), 'outbound').of(stack.route.name, 'http2');
    this.exchange.start(head, false, false, { ...NO_WISHES, stack, cluster, workload, metrics });
    const bytes = Buffer.concat([grpcPrefix(message.length), message]);
    if (this.exchange.active) this.exchange.requestBody(bytes, 0, bytes.length, true);
    if (this.exchange.active) this.exchange.requestEnd(undefined);
    this.context.turn.end();
  }

  /** Nobody waits any more. */
  cancel(): void {
    this.done = undefined;
    if (this.exchange.active) this.exchange.cancel();
    this.context.deadlines.remove(this);
  }

  override onDeadline(nowMs: number): void {
    if (this.exchange.active) this.exchange.onDeadline(nowMs);
    this.context.turn.end();
  }

  // --- for the exchange

  /** The question is short, and waits in the exchange. */
  pauseRequest(): void {}

  resumeRequest(): void {}

  setDeadline(deadlineMs: number): void {
    this.context.deadlines.set(this, deadlineMs);
  }

  interim(): void {}

  respond(head: AnyResponseHead, endStream: boolean): void {
    if (head.status !== 200) this.settle({ failure: `it answered with HTTP status ${head.status}` });
    else if (endStream) this.ended(head);
  }

  switchProtocols(): void {}

  endTunnel(): void {}

  body(bytes: Buffer, start: number, end: number): void {
    if (this.done !== undefined && this.reader.push(bytes, start, end) !== undefined)
      this.settle({ failure: `it answered with something that is no gRPC message of at most ${ANSWER_BYTES_MAX} bytes` });
  }

  end(trailers: AnyTrailers | undefined): void {
    this.ended(trailers);
  }

  private settle(result: CallResult): void {
    const { done } = this;
    this.done = undefined;
    done?.(result);
  }

  private ended(fields: Pick<AnyResponseHead, 'get'> | undefined): void {
    if (this.done === undefined) return;
    const status = fields?.get('grpc-status');
    if (status === undefined) return this.settle({ failure: 'it answered without a gRPC status' });
    const code = readGrpcStatus(status);
    if (code === GRPC_STATUS.OK) return this.settle({ message: Buffer.concat(this.parts) });
    const said = decodeGrpcMessage(fields?.get('grpc-message') ?? '');
    this.settle({ failure: `it answered ${grpcStatusName(code)}${said === '' ? '' : `: ${said.slice(0, 200)}`}` });
  }

  respondError(code: ErrorCode, detail: string): void {
    this.settle({ failure: `${code}${detail === '' ? '' : ` (${detail})`}` });
    this.responseDone();
  }

  answerLocally({ code }: LocalAnswer): void {
    this.settle({ failure: code ?? 'it was answered by a rule' });
    this.responseDone();
  }

  responseDone(): void {
    this.context.deadlines.remove(this);
  }

  abort(): void {
    this.settle({ failure: 'the answer broke off' });
    this.responseDone();
  }
}
