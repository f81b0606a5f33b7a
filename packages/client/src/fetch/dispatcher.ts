// In place of undici's Agent: requests to hosts that the mesh serves are calls of the mesh, all others go to the dispatcher that was there before.
import { EventEmitter } from 'node:events';
import { nodeClock } from '@heddle/runtime/process';
import type { Mesh } from '../plane/mesh.ts';
import { recordOf } from './diagnostics.ts';
import { isNewHandler, tellError } from './handler-calls.ts';
import { MeshRequest, type RequestPlan } from './mesh-request.ts';
import { OpenRequests } from './open-requests.ts';
import { readBody } from './request-body.ts';
import { readHeaders, readPath, readTimeout } from './request-parts.ts';
import { TimeLimits } from './time-limits.ts';
import type { DispatchHandler, Dispatching, DispatchOptions } from './types.ts';
import { DispatchError, invalidArgument } from './undici-errors.ts';
import { UpgradeRequest } from './upgrade.ts';

export interface MeshDispatcherOptions {
  /** For hosts that the mesh does not serve. Default: the global dispatcher. */
  readonly others?: Dispatching;
  /** How long the head of a response may take, where the request does not say. 0: for ever. Default: 300,000, as undici's. */
  readonly headersTimeoutMs?: number;
  /** How long the body of a response may be silent, where the request does not say. 0: for ever. Default: 300,000, as undici's. */
  readonly bodyTimeoutMs?: number;
}

/** Whether https:// to a host of the mesh can be left to the other dispatcher, because its sockets enter the mesh as well. */
export type EntersBySocket = () => boolean;

const DEFAULT_TIMEOUT_MS = 300_000;
/** Origins that are remembered as read; an application has few. */
const ORIGINS_MAX = 256;
/** Whose requests tell that they have no body (RFC 9110 §8.6). */
const EXPECT_PAYLOAD = new Set(['PUT', 'POST', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH']);
const NO_PAYLOAD = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT']);

interface Origin {
  readonly text: string;
  /** As in a `host` header. */
  readonly authority: string;
  readonly isSecure: boolean;
}

/**
 * A dispatcher for `fetch(url, { dispatcher })`, undici's functions and `setGlobalDispatcher`, of undici 6 to 8. The options `idempotent`, `blocking`,
 * `reset` and `expectContinue` say how connections are shared, and there are none here; what may be tried again is the mesh's policy.
 */
export class MeshDispatcher extends EventEmitter implements Dispatching {
  readonly others: Dispatching;
  private readonly mesh: Mesh;
  private readonly entersBySocket: EntersBySocket;
  private readonly headersTimeoutMs: number;
  private readonly bodyTimeoutMs: number;
  private readonly requests = new OpenRequests();
  private readonly limits = new TimeLimits(nodeClock, this.requests);
  private readonly origins = new Map<string, Origin | undefined>();
  private isClosed = false;
  private isDestroyed = false;
  private hasLeft = false;
  private onIdle: (() => void) | undefined;
  private readonly onOver = (request: MeshRequest | UpgradeRequest): void => {
    this.requests.remove(request);
    if (this.requests.first === undefined) this.onIdle?.();
  };

  constructor(mesh: Mesh, options: MeshDispatcherOptions & { readonly others: Dispatching }, entersBySocket: EntersBySocket) {
    super();
    this.mesh = mesh;
    this.others = options.others;
    this.entersBySocket = entersBySocket;
    this.headersTimeoutMs = options.headersTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.bodyTimeoutMs = options.bodyTimeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean {
    const origin = this.originOf(options?.origin);
    if (this.hasLeft || origin === undefined || !this.mesh.serves(origin.authority)) return this.others.dispatch(options, handler);
    if (origin.isSecure && this.entersBySocket()) return this.others.dispatch(options, handler);
    if (typeof handler !== 'object' || handler === null) throw invalidArgument('handler must be an object');
    try {
      this.start(origin, options, handler);
    } catch (error) {
      if (!isNewHandler(handler) && typeof handler.onError !== 'function') throw error;
      tellError(handler, null, error as Error);
      return false;
    }
    return true;
  }

  /** Waits for the calls under way. Does not close the dispatcher for other hosts, which is not this one's. */
  close(): Promise<void>;
  close(done: (error: Error | null) => void): void;
  close(done?: (error: Error | null) => void): Promise<void> | void {
    if (this.isDestroyed) return settle(Promise.reject(new DispatchError('UND_ERR_DESTROYED')), done);
    this.isClosed = true;
    return settle(this.idle(), done);
  }

  /** Ends the calls under way with the error. */
  destroy(...args: unknown[]): Promise<void> | void {
    const done = args.find((arg) => typeof arg === 'function') as ((error: Error | null) => void) | undefined;
    this.isClosed = true;
    this.isDestroyed = true;
    const reason = args[0] instanceof Error ? args[0] : new DispatchError('UND_ERR_DESTROYED');
    while (this.requests.first !== undefined) this.requests.first.fail(reason);
    return settle(Promise.resolve(), done);
  }

  /** @internal From now on all requests go to the other dispatcher. */
  leaveMesh(): void {
    this.hasLeft = true;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  get destroyed(): boolean {
    return this.isDestroyed;
  }

  // The rest of a dispatcher's methods build upon `dispatch`; those of the other dispatcher do, whichever version it is.
  get request(): unknown {
    return this.member('request');
  }

  get stream(): unknown {
    return this.member('stream');
  }

  get pipeline(): unknown {
    return this.member('pipeline');
  }

  get connect(): unknown {
    return this.member('connect');
  }

  get upgrade(): unknown {
    return this.member('upgrade');
  }

  get compose(): unknown {
    return this.member('compose');
  }

  get webSocketOptions(): unknown {
    return this.member('webSocketOptions');
  }

  get eventSourceOptions(): unknown {
    return this.member('eventSourceOptions');
  }

  private member(name: string): unknown {
    return (this.others as unknown as Record<string, unknown>)[name];
  }

  private start(origin: Origin, options: DispatchOptions, handler: DispatchHandler): void {
    if (this.isDestroyed) throw new DispatchError('UND_ERR_DESTROYED');
    if (this.isClosed) throw new DispatchError('UND_ERR_CLOSED');
    if (origin.isSecure) throw secureRefused(origin);
    const { upgrade, method } = options;
    if (typeof method !== 'string') throw invalidArgument('method must be a string');
    if (upgrade !== undefined && upgrade !== null && upgrade !== false && typeof upgrade !== 'string')
      throw invalidArgument('upgrade must be a string');
    const plan = this.planOf(origin, options);
    const { mesh, limits, onOver } = this;
    const isConnect = method === 'CONNECT';
    const request =
      upgrade || isConnect
        ? new UpgradeRequest(mesh, plan, isConnect ? '' : (upgrade as string), handler, onOver)
        : new MeshRequest(mesh, limits, plan, handler, onOver);
    this.requests.add(request);
    request.begin();
  }

  private planOf(origin: Origin, options: DispatchOptions): RequestPlan {
    const { method } = options;
    const whole = readPath(options);
    const isAbsolute = whole[0] !== '/' && whole.startsWith('http://');
    const target = isAbsolute ? new URL(whole) : undefined;
    const path = target === undefined ? whole : `${target.pathname}${target.search}`;
    const parts = readHeaders(options.headers);
    const body = readBody(options.body);
    const headersTimeoutMs = readTimeout('headersTimeout', options.headersTimeout, this.headersTimeoutMs);
    const bodyTimeoutMs = readTimeout('bodyTimeout', options.bodyTimeout, this.bodyTimeoutMs);
    const record = recordOf(origin.text, path, method, parts);
    if (body.contentType !== '' && !parts.hasContentType) parts.headers.push('content-type', body.contentType);
    const declared = parts.contentLength;
    if (body.lengthBytes > 0 && declared !== -1 && declared !== body.lengthBytes && !NO_PAYLOAD.has(method))
      throw new DispatchError('UND_ERR_REQ_CONTENT_LENGTH_MISMATCH');
    const lengthBytes = body.lengthBytes === -1 ? declared : body.lengthBytes;
    if (lengthBytes > 0 || (lengthBytes === 0 && EXPECT_PAYLOAD.has(method))) parts.headers.push('content-length', String(lengthBytes));
    const authority = parts.host === '' ? (target?.host ?? origin.authority) : parts.host;
    return { method, path, authority, headers: parts.headers, body, lengthBytes, headersTimeoutMs, bodyTimeoutMs, record };
  }

  private originOf(origin: string | URL | undefined): Origin | undefined {
    if (origin === undefined || origin === null) return undefined;
    const text = typeof origin === 'string' ? origin : origin.origin;
    const known = this.origins.get(text);
    if (known !== undefined || this.origins.has(text)) return known;
    const read = readOrigin(text);
    if (this.origins.size >= ORIGINS_MAX) this.origins.clear();
    this.origins.set(text, read);
    return read;
  }

  private async idle(): Promise<void> {
    while (this.requests.first !== undefined)
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
  }
}

function readOrigin(text: string): Origin | undefined {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return { text: url.origin, authority: url.host, isSecure: url.protocol === 'https:' };
}

function secureRefused({ authority }: Origin): Error {
  return new DispatchError(
    'UND_ERR_NOT_SUPPORTED',
    `https://${authority} is a host of the mesh, which encrypts by itself: use http://${authority}`,
  );
}

function settle(promise: Promise<void>, done: ((error: Error | null) => void) | undefined): Promise<void> | void {
  if (done === undefined) return promise;
  promise.then(
    () => done(null),
    (error: Error) => done(error),
  );
}
