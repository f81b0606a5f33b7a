// The outside authorizer of one policy: what it is asked about a request, and what its answer comes to. What it answers is not trusted further than
// its task goes: it cannot change what frames or routes a message, nor speak with a data plane's voice. What cannot be followed is no answer.
import { ERROR_HEADER } from '@heddle/core';
import type { ExternalAuthorizer } from '@heddle/core';
import type * as Door from '@heddle/api/authorizer';
import type { CheckedRequest, CheckHeader, CheckPeer, CheckQuestion, CheckVerdict } from '@heddle/api/authorizer';
import { RequestHead } from '@heddle/wire';
import { NO_EFFECT } from './access-gate.ts';
import type { HeaderEffect, Later } from './access-gate.ts';
import { AuthorizerCall, authorizerRoute } from './authorizer-call.ts';
import type { CallResult } from './authorizer-call.ts';
import type { Context } from './context.ts';
import { PEER_HEADER, REQUEST_ID_HEADER } from './forwarding.ts';
import type { OwnHeader } from './header-rewrite.ts';
import { authorizerRefusal } from './local-answer.ts';
import type { LocalAnswer } from './local-answer.ts';
import { connectionOptions } from './messages.ts';
import type { AnyRequestHead } from './messages.ts';
import { headerOf } from './request-view.ts';
import type { ClusterSlot, RouteStack } from './routes.ts';

/** `@heddle/api/authorizer`, which is loaded when the first policy needs it. */
export type AuthorizerDoor = typeof Door;

export type AuthorizerAnswer =
  | { readonly kind: 'allowed'; readonly headers: HeaderEffect; readonly responseHeaders: readonly OwnHeader[] | undefined }
  | { readonly kind: 'denied'; readonly answer: LocalAnswer }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** RFC 9110 §6.4, §7.6.1, RFC 9112 §6: they belong to the message or to one connection. */
const NOT_ITS = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  ERROR_HEADER,
  PEER_HEADER,
]);
/** Not the authorizer's business: it is for this proxy alone. */
const NOT_SHOWN = 'proxy-authorization';

export class OutsideAuthorizer {
  readonly policy: ExternalAuthorizer;
  private readonly context: Context;
  private readonly door: AuthorizerDoor;
  private readonly slot: ClusterSlot;
  private readonly stack: RouteStack;

  constructor(context: Context, door: AuthorizerDoor, policy: ExternalAuthorizer, slot: ClusterSlot) {
    this.context = context;
    this.door = door;
    this.policy = policy;
    this.slot = slot;
    this.stack = authorizerRoute(policy.cluster, policy.timeoutMs);
  }

  /** What is asked; the body comes later. Copies all it needs. @param path with its query, as it will be passed on. */
  question(source: CheckPeer, destination: CheckPeer, head: AnyRequestHead | undefined, path: string): CheckQuestion {
    const wallMs = this.context.clock.wallMs();
    return { source, destination, wallMs, request: head && requestOf(head, path) };
  }

  /** @param body its first bytes; `isPartial`: there are more. */
  ask(question: CheckQuestion, workload: string, body: Buffer | undefined, isPartial: boolean): Later<AuthorizerAnswer> {
    const { request } = question;
    const asked =
      request === undefined || body === undefined ? question : { ...question, request: this.withBody(request, body, isPartial) };
    return { kind: 'later', wait: (done) => this.call(asked, workload, request, done) };
  }

  private withBody(request: CheckedRequest, body: Buffer, isPartial: boolean): CheckedRequest {
    return { ...request, body, headers: { ...request.headers, [this.door.PARTIAL_BODY_HEADER]: String(isPartial) } };
  }

  private call(
    question: CheckQuestion,
    workload: string,
    request: CheckedRequest | undefined,
    done: (answer: AuthorizerAnswer) => void,
  ): () => void {
    const { context, slot, stack, door } = this;
    const { clock } = context;
    const { cluster } = slot;
    let isWaiting = true;
    const answer = (said: AuthorizerAnswer): void => {
      if (!isWaiting) return;
      isWaiting = false;
      done(said);
    };
    // Whoever is called back must not be called before he knows that he waits.
    const later = (reason: string): void => void clock.after(0, () => answer({ kind: 'unavailable', reason }));
    if (cluster === undefined) {
      later(`the cluster "${slot.name}" has not arrived yet`);
      return () => (isWaiting = false);
    }
    let isStarting = true;
    const call = new AuthorizerCall(context, (result) => {
      if (isStarting && 'failure' in result) later(result.failure);
      else answer(this.read(result, request));
    });
    call.start(stack, cluster, workload, door.CHECK_PATH, door.encodeCheck(question));
    isStarting = false;
    return () => {
      // What has answered ends by itself.
      if (isWaiting) call.cancel();
      isWaiting = false;
    };
  }

  private read(result: CallResult, request: CheckedRequest | undefined): AuthorizerAnswer {
    if ('failure' in result) return { kind: 'unavailable', reason: result.failure };
    try {
      return answerOf(this.door.decodeCheck(result.message), request);
    } catch (error) {
      return { kind: 'unavailable', reason: `its answer cannot be followed: ${(error as Error).message}` };
    }
  }
}

function requestOf(head: AnyRequestHead, path: string): CheckedRequest {
  const isHttp1 = head instanceof RequestHead;
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  // What is not passed on is not asked about.
  const dropped = connectionOptions(head);
  for (const [name] of head) {
    const lower = isHttp1 ? name.toLowerCase() : name;
    if (lower !== NOT_SHOWN && lower !== 'host' && !dropped.includes(lower)) headers[lower] ??= headerOf(head, lower) ?? '';
  }
  const scheme = head.scheme === '' ? 'http' : head.scheme;
  const isSwitch = !isHttp1 && head.protocol !== '';
  const method = isSwitch ? 'GET' : head.method;
  // Envoy shows them among the headers.
  Object.assign(headers, { ':authority': head.authority, ':method': method, ':path': path, ':scheme': scheme });
  return {
    id: head.get(REQUEST_ID_HEADER) ?? '',
    method,
    path,
    host: head.authority,
    scheme,
    headers,
    sizeBytes: head.contentLength,
    protocol: isHttp1 ? `HTTP/1.${head.minorVersion}` : 'HTTP/2',
    body: undefined,
  };
}

/** @throws Error that says what cannot be followed. */
function answerOf(verdict: CheckVerdict, request: CheckedRequest | undefined): AuthorizerAnswer {
  if (verdict.kind === 'denied') {
    const { status, headers, body } = verdict;
    return { kind: 'denied', answer: authorizerRefusal(status, headers.map(ownOf), body) };
  }
  const { requestHeaders, remove, responseHeaders } = verdict;
  for (const name of remove) checkName(name);
  const drop = [...remove];
  const set: OwnHeader[] = [];
  for (const header of requestHeaders) {
    const { name, how } = header;
    const own = ownOf(header);
    const isThere = request !== undefined && name in request.headers;
    if ((how === 'add-if-absent' && isThere) || (how === 'set-if-present' && !isThere)) continue;
    if (how === 'set' || how === 'set-if-present') drop.push(name);
    set.push(own);
  }
  const isNothing = drop.length === 0 && set.length === 0;
  return {
    kind: 'allowed',
    headers: isNothing ? NO_EFFECT : { drop, set },
    responseHeaders: responseHeaders.length === 0 ? undefined : responseHeaders.map(ownOf),
  };
}

function ownOf({ name, value }: CheckHeader): OwnHeader {
  checkName(name);
  return [name, value];
}

function checkName(name: string): void {
  if (NOT_ITS.has(name)) throw new Error(`the header ${name} is not the authorizer's to change`);
}
