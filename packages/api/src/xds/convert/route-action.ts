// What becomes of a request, beyond one cluster with a time limit and simple retries: heddle.config.v1.ForwardAction and its neighbours.
import { type ForwardAction, type HashSource, NO_RETRY, type PathRewrite, type RetryCondition, type RetryPolicy } from '@heddle/core';
import type { RedirectAction, RespondAction, WeightedCluster } from '@heddle/core';
import {
  type ForwardAction as ForwardMessage,
  type HashSource as HashMessage,
  type Mirror,
  type PathRewrite as RewriteMessage,
  type RedirectAction as RedirectMessage,
  type RespondAction as RespondMessage,
  type Retry,
  RetryCondition as ConditionMessage,
  type RouteExtension,
  type WeightedCluster as WeightedMessage,
} from '../../gen/own/heddle/config/v1/route.ts';
import { cookieName, headerName, headerValue, milliseconds, percentage, within, words } from './extension.ts';
import type { At } from './rejection.ts';
import { decodeSession } from './cluster-extension.ts';
import { decodeChanges, encodeChanges } from './route-policies.ts';
import { required, requiredText } from './values.ts';

/** More would only multiply load on a service that is failing. */
export const TRIES_MAX = 100;
const WEIGHT_MAX = 1_000_000;
const BODY_BYTES_MAX = 4_096;
const REDIRECT_STATUSES: readonly number[] = [301, 302, 303, 307, 308] satisfies RedirectAction['status'][];

const CONDITIONS = words<RetryCondition, ConditionMessage>({
  'connect-failure': ConditionMessage.RETRY_CONDITION_CONNECT_FAILURE,
  refused: ConditionMessage.RETRY_CONDITION_REFUSED,
  reset: ConditionMessage.RETRY_CONDITION_RESET,
  timeout: ConditionMessage.RETRY_CONDITION_TIMEOUT,
  'gateway-error': ConditionMessage.RETRY_CONDITION_GATEWAY_ERROR,
  '5xx': ConditionMessage.RETRY_CONDITION_5XX,
  'retriable-status': ConditionMessage.RETRY_CONDITION_RETRIABLE_STATUS,
  'grpc-cancelled': ConditionMessage.RETRY_CONDITION_GRPC_CANCELLED,
  'grpc-deadline-exceeded': ConditionMessage.RETRY_CONDITION_GRPC_DEADLINE_EXCEEDED,
  'grpc-internal': ConditionMessage.RETRY_CONDITION_GRPC_INTERNAL,
  'grpc-resource-exhausted': ConditionMessage.RETRY_CONDITION_GRPC_RESOURCE_EXHAUSTED,
  'grpc-unavailable': ConditionMessage.RETRY_CONDITION_GRPC_UNAVAILABLE,
});

type ExtendedAction = ForwardAction | RedirectAction | RespondAction;
type ActionMessage = NonNullable<RouteExtension['action']>;

/** Throws XdsRejection for what would mean something else on the wire. */
export function encodeAction(action: ExtendedAction, at: At): ActionMessage {
  if (action.kind === 'forward') return { $case: 'forward', value: encodeForward(action, at.field('forward')) };
  if (action.kind === 'respond') {
    const { status, body, contentType } = action;
    return { $case: 'respond', value: { status, body, contentType } };
  }
  const { status, scheme, authority, path, stripQuery } = action;
  return {
    $case: 'redirect',
    value: {
      status,
      ...(scheme !== undefined && { scheme }),
      ...(authority !== undefined && { authority: notEmpty(authority, at.field('redirect').field('authority')) }),
      ...(path !== undefined && { path: encodeRewrite(path) }),
      stripQuery: stripQuery === true,
    },
  };
}

/** On the wire an empty text is one that is not there. */
function notEmpty(text: string, at: At): string {
  return text === '' ? at.reject('must not be empty; leave it out') : text;
}

function encodeForward(action: ForwardAction, at: At): ForwardMessage {
  const { clusters, hash, splitByHash, timeoutMs, idleTimeoutMs, retry, hedge, rewrite, mirrors = [], session } = action;
  const authority = rewrite?.authority;
  return {
    clusters: clusters.map(encodeWeighted),
    hash: hash.map(encodeHash),
    splitByHash: splitByHash === true,
    timeoutMs,
    idleTimeoutMs,
    retry: encodeRetry(retry),
    ...(hedge !== undefined && { hedge }),
    ...(rewrite !== undefined && {
      rewrite: {
        ...(rewrite.path !== undefined && { path: encodeRewrite(rewrite.path) }),
        ...(authority !== undefined && { authority: notEmpty(authority, at.field('rewrite').field('authority')) }),
      },
    }),
    mirrors: mirrors.map((mirror) => ({ ...mirror })),
    ...(session !== undefined && { session }),
  };
}

function encodeWeighted({ cluster, weight, requestHeaders, responseHeaders }: WeightedCluster): WeightedMessage {
  return {
    cluster,
    weight,
    ...(requestHeaders !== undefined && { requestHeaders: encodeChanges(requestHeaders) }),
    ...(responseHeaders !== undefined && { responseHeaders: encodeChanges(responseHeaders) }),
  };
}

function encodeHash(source: HashSource): HashMessage {
  if (source.kind === 'source') return { kind: { $case: 'source', value: {} } };
  if (source.kind !== 'cookie') return { kind: { $case: source.kind, value: source.name } };
  const { name, ttlMs } = source;
  return { kind: { $case: 'cookie', value: { name, ...(ttlMs !== undefined && { ttlMs }) } } };
}

function encodeRetry({ attempts, on, perTryMs, statuses, nonIdempotent, backoff }: RetryPolicy): Retry {
  return {
    attempts,
    on: on.map((condition) => CONDITIONS.toWire[condition]),
    perTryMs,
    statuses: [...statuses],
    nonIdempotent,
    backoffBaseMs: backoff.baseMs,
    backoffMaxMs: backoff.maxMs,
  };
}

function encodeRewrite(rewrite: PathRewrite): RewriteMessage {
  if (rewrite.kind !== 'regex') return { kind: { $case: rewrite.kind, value: rewrite.value } };
  const { pattern, substitution } = rewrite;
  return { kind: { $case: 'regex', value: { pattern, substitution } } };
}

export function decodeAction(message: ActionMessage, at: At): ExtendedAction {
  const inside = at.field(message.$case);
  if (message.$case === 'forward') return decodeForward(message.value, inside);
  return message.$case === 'redirect' ? decodeRedirect(message.value, inside) : decodeRespond(message.value, inside);
}

function decodeForward(message: ForwardMessage, at: At): ForwardAction {
  const { clusters = [], hash = [], mirrors = [], hedge, rewrite, session } = message;
  if (clusters.length === 0) at.field('clusters').reject('must have at least one entry');
  const weighted = clusters.map((one, index) => decodeWeighted(one, at.item('clusters', index)));
  if (weighted.length > 1 && weighted.every(({ weight }) => weight === 0)) at.field('clusters').reject('must not all have weight 0');
  if (message.splitByHash === true && hash.length === 0) at.field('split_by_hash').reject('needs at least one entry in hash');
  const hedgeAt = at.field('hedge');
  const rewriteAt = at.field('rewrite');
  return {
    kind: 'forward',
    clusters: weighted,
    hash: hash.map((source, index) => decodeHash(source, at.item('hash', index))),
    ...(message.splitByHash === true && { splitByHash: true }),
    timeoutMs: milliseconds(message.timeoutMs, at.field('timeout_ms')),
    idleTimeoutMs: milliseconds(message.idleTimeoutMs, at.field('idle_timeout_ms')),
    retry: message.retry === undefined ? NO_RETRY : decodeRetry(message.retry, at.field('retry')),
    ...(hedge !== undefined && {
      hedge: {
        afterMs: milliseconds(hedge.afterMs, hedgeAt.field('after_ms'), 1),
        attempts: within(hedge.attempts, 1, TRIES_MAX, hedgeAt.field('attempts')),
      },
    }),
    ...(rewrite !== undefined && {
      rewrite: {
        ...(rewrite.path !== undefined && { path: decodeRewrite(rewrite.path, rewriteAt.field('path')) }),
        ...((rewrite.authority ?? '') !== '' && { authority: headerValue(rewrite.authority, rewriteAt.field('authority')) }),
      },
    }),
    ...(mirrors.length > 0 && { mirrors: mirrors.map((mirror, index) => decodeMirror(mirror, at.item('mirrors', index))) }),
    ...(session !== undefined && { session: decodeSession(session, at.field('session')) }),
  };
}

function decodeWeighted({ cluster, weight, requestHeaders, responseHeaders }: WeightedMessage, at: At): WeightedCluster {
  return {
    cluster: requiredText(cluster, at.field('cluster')),
    weight: within(weight, 0, WEIGHT_MAX, at.field('weight')),
    ...(requestHeaders !== undefined && { requestHeaders: decodeChanges(requestHeaders, at.field('request_headers')) }),
    ...(responseHeaders !== undefined && { responseHeaders: decodeChanges(responseHeaders, at.field('response_headers')) }),
  };
}

function decodeMirror({ cluster, percent }: Mirror, at: At): NonNullable<ForwardAction['mirrors']>[number] {
  return { cluster: requiredText(cluster, at.field('cluster')), percent: percentage(percent, at.field('percent')) };
}

function decodeHash(message: HashMessage, at: At): HashSource {
  const source = required(message.kind, at);
  const inside = at.field(source.$case);
  if (source.$case === 'source') return { kind: 'source' };
  if (source.$case === 'header') return { kind: 'header', name: headerName(source.value, inside) };
  if (source.$case === 'query') return { kind: 'query', name: requiredText(source.value, inside) };
  const { name, ttlMs } = source.value;
  return {
    kind: 'cookie',
    name: cookieName(name, inside.field('name')),
    ...(ttlMs !== undefined && { ttlMs: milliseconds(ttlMs, inside.field('ttl_ms')) }),
  };
}

function decodeRetry(message: Retry, at: At): RetryPolicy {
  const { on = [], statuses = [] } = message;
  if (new Set(on).size < on.length) at.field('on').reject('has an entry twice');
  const baseMs = milliseconds(message.backoffBaseMs, at.field('backoff_base_ms'));
  return {
    attempts: within(message.attempts, 0, TRIES_MAX, at.field('attempts')),
    on: on.map((condition, index) => CONDITIONS.fromWire(condition, at.item('on', index))),
    perTryMs: milliseconds(message.perTryMs, at.field('per_try_ms')),
    statuses: statuses.map((status, index) => within(status, 100, 599, at.item('statuses', index))),
    nonIdempotent: message.nonIdempotent === true,
    backoff: { baseMs, maxMs: milliseconds(message.backoffMaxMs, at.field('backoff_max_ms'), baseMs) },
  };
}

function decodeRewrite(message: RewriteMessage, at: At): PathRewrite {
  const rewrite = required(message.kind, at);
  const inside = at.field(rewrite.$case);
  if (rewrite.$case === 'regex') {
    const pattern = requiredText(rewrite.value.pattern, inside.field('pattern'));
    return { kind: 'regex', pattern, substitution: rewrite.value.substitution ?? '' };
  }
  if (!rewrite.value.startsWith('/')) inside.reject(`must begin with '/', not ${JSON.stringify(rewrite.value)}`);
  return { kind: rewrite.$case, value: rewrite.value };
}

function decodeRedirect(message: RedirectMessage, at: At): RedirectAction {
  const { status = 0, scheme = '', authority = '', path, stripQuery } = message;
  if (!isRedirectStatus(status)) return at.field('status').reject(`must be one of ${REDIRECT_STATUSES.join(', ')}, not ${status}`);
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https')
    return at.field('scheme').reject(`must be http or https, not ${JSON.stringify(scheme)}`);
  return {
    kind: 'redirect',
    status,
    ...(scheme !== '' && { scheme }),
    ...(authority !== '' && { authority: headerValue(authority, at.field('authority')) }),
    ...(path !== undefined && { path: decodeRewrite(path, at.field('path')) }),
    ...(stripQuery === true && { stripQuery: true }),
  };
}

function isRedirectStatus(status: number): status is RedirectAction['status'] {
  return REDIRECT_STATUSES.includes(status);
}

function decodeRespond({ status, body = '', contentType }: RespondMessage, at: At): RespondAction {
  const bytes = Buffer.byteLength(body);
  if (bytes > BODY_BYTES_MAX) at.field('body').reject(`has ${bytes} bytes; at most ${BODY_BYTES_MAX} are possible`);
  return {
    kind: 'respond',
    status: within(status, 200, 599, at.field('status')),
    body,
    contentType: headerValue(contentType, at.field('content_type')),
  };
}
