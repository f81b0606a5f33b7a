// What a route configuration must be like to be applied. Texts, paths and patterns are checked where they are compiled.
import type { FaultPolicy, RateLimit } from '../model/resilience.ts';
import type { ForwardAction, FieldMatch, RequestMatch, RespondAction, Route, RouteAction, RouteMatch } from '../model/route.ts';
import { RouteFault } from './error.ts';
import { compileHeaderChanges } from './header-changes.ts';
import { checkAuthority, compileRewrite, Redirect } from './rewrite.ts';
import { Split } from './split.ts';

/** RFC 9110 §5.6.2: names of methods and headers. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
export const RESPOND_BODY_BYTES_MAX = 4_096;

/** @throws RouteFault */
export function checkRoute(route: Route): void {
  if (route.name === '') throw new RouteFault('a route has no name', 'give it one that is unique in its virtual host');
  if (route.match.kind === 'request') checkMatch(route.match);
  checkAction(route.match, route.action);
  compileHeaderChanges(route.requestHeaders);
  compileHeaderChanges(route.responseHeaders);
  if (route.fault !== undefined) checkFault(route.fault);
  for (const limit of route.rateLimits ?? []) checkRateLimit(limit);
}

export function checkMatch({ methods, headers, query }: RequestMatch): void {
  if (methods?.length === 0)
    throw new RouteFault('the list of methods is empty, so that no request could take the route', 'leave it out for all methods');
  for (const method of methods ?? []) {
    if (!TOKEN.test(method)) throw new RouteFault(`"${method}" is not a method`, 'write it as it is sent, as GET');
    if (method === 'CONNECT') throw new RouteFault('CONNECT has no path', 'give it a route whose match has the kind "connect"');
  }
  for (const header of headers ?? []) checkMatchedHeader(header.name);
  for (const { name } of query ?? []) {
    if (!/^[\x21-\x7e]+$/.test(name) || /[&=#]/.test(name))
      throw new RouteFault(
        `"${name}" is not the name of a query parameter as it is sent`,
        'percent-encode blanks, "&", "=", "#" and what is not ASCII',
      );
  }
  checkContradictions('header', headers ?? [], (name) => name.toLowerCase());
  checkContradictions('query parameter', query ?? [], (name) => name);
}

function checkMatchedHeader(name: string): void {
  if (name.startsWith(':')) throw new RouteFault(`"${name}" is not a header`, 'match the path, methods or authority instead');
  if (!TOKEN.test(name)) throw new RouteFault(`"${name}" is not the name of a header`, 'write the name alone, in letters, digits and "-"');
  if (name.toLowerCase() === 'host')
    throw new RouteFault('the header "host" is the authority', 'match that, so that it holds for HTTP/2 too');
}

function checkContradictions(what: string, fields: readonly FieldMatch[], nameOf: (name: string) => string): void {
  const absent = new Set(fields.filter(({ match, invert }) => match === undefined && invert === true).map(({ name }) => nameOf(name)));
  const needed = fields.find(({ name, invert }) => invert !== true && absent.has(nameOf(name)));
  if (needed !== undefined)
    throw new RouteFault(
      `${what} "${needed.name}" must be present and absent, so that no request could take the route`,
      'remove one of the two',
    );
}

function checkAction(match: RouteMatch, action: RouteAction): void {
  if ((match.kind === 'connect') !== (action.kind === 'tunnel')) {
    if (match.kind !== 'connect')
      throw new RouteFault('the action "tunnel" is for CONNECT, and this route takes other requests', 'forward them');
    throw new RouteFault(`a route for CONNECT has the action "${action.kind}"`, 'use "tunnel", which alone carries bytes both ways');
  }
  switch (action.kind) {
    case 'forward':
      checkForward(action, match);
      return;
    case 'tunnel':
      if (action.how !== 'forward' && action.how !== 'terminate')
        throw new RouteFault(`tunnel "${String(action.how)}" is not known`, 'write forward or terminate');
      if (action.cluster === '') throw new RouteFault('a cluster has no name', 'name it');
      return;
    case 'redirect':
      void new Redirect(action, match);
      return;
    case 'respond':
      checkRespond(action);
  }
}

function checkForward({ clusters, timeoutMs, idleTimeoutMs, mirrors, hash, splitByHash, rewrite }: ForwardAction, match: RouteMatch): void {
  void new Split(clusters);
  for (const { requestHeaders, responseHeaders } of clusters) {
    compileHeaderChanges(requestHeaders);
    compileHeaderChanges(responseHeaders);
  }
  if (rewrite?.path !== undefined) compileRewrite(rewrite.path, match);
  if (rewrite?.authority !== undefined) checkAuthority(rewrite.authority);
  checkDuration('the timeout', timeoutMs);
  checkDuration('the idle timeout', idleTimeoutMs);
  if (splitByHash === true && clusters.length > 1 && hash.length === 0)
    throw new RouteFault(
      'the split goes by hash, but nothing says what is hashed',
      'name a header, a cookie, a query parameter or the source',
    );
  for (const source of hash) {
    if (source.kind === 'header') checkMatchedHeader(source.name);
    else if (source.kind !== 'source' && !/^[\x21-\x7e]+$/.test(source.name))
      throw new RouteFault(`"${source.name}" is not the name of a ${source.kind}`, 'write the name alone, without blanks');
    if (source.kind === 'cookie') {
      if (!TOKEN.test(source.name))
        throw new RouteFault(`"${source.name}" is not the name of a cookie`, 'write the name alone, in letters, digits and "-"');
      if (source.ttlMs !== undefined) checkDuration(`the life of cookie "${source.name}"`, source.ttlMs);
    }
  }
  for (const { cluster, percent } of mirrors ?? []) {
    if (cluster === '') throw new RouteFault('a mirror has no cluster', 'name it');
    checkPercent(`the mirror to "${cluster}"`, percent);
  }
}

function checkRespond({ status, body, contentType }: RespondAction): void {
  checkWhole('the status of the answer', status, 200, 599);
  const bytes = new TextEncoder().encode(body).length;
  if (bytes > RESPOND_BODY_BYTES_MAX)
    throw new RouteFault(
      `the body of the answer has ${bytes} bytes`,
      `at most ${RESPOND_BODY_BYTES_MAX} may stand in a route, more belongs in a service`,
    );
  if ((status === 204 || status === 205 || status === 304) && body !== '')
    throw new RouteFault(`an answer with status ${status} has no body (RFC 9110 §15)`, 'remove the body');
  if (!/^[\x20-\x7e]*$/.test(contentType)) throw new RouteFault(`"${contentType}" is not a content type`, 'write one as "text/plain"');
}

function checkFault({ delay, abort }: FaultPolicy): void {
  if (delay !== undefined) {
    checkPercent('the delay', delay.percent);
    checkDuration('the delay', delay.delayMs);
  }
  if (abort === undefined) return;
  checkPercent('the abort', abort.percent);
  if (abort.status.kind === 'http') checkWhole('the status of the abort', abort.status.code, 200, 599);
  else checkWhole('the gRPC status of the abort', abort.status.code, 1, 16);
}

function checkRateLimit({ requests, perMs, burst, by }: RateLimit): void {
  if (!(requests > 0 && Number.isFinite(requests)))
    throw new RouteFault(`a rate limit of ${requests} requests lets nothing pass`, 'give a number above 0');
  if (!(perMs > 0 && Number.isFinite(perMs))) throw new RouteFault(`a rate limit per ${perMs} ms has no meaning`, 'give a time above 0');
  if (!(burst >= 1 && Number.isFinite(burst)))
    throw new RouteFault(`a rate limit with a burst of ${burst} lets nothing pass`, 'give 1 or more');
  if (by.kind === 'header') checkMatchedHeader(by.name);
}

function checkPercent(what: string, percent: number): void {
  if (!(percent >= 0 && percent <= 100)) throw new RouteFault(`${what} has ${percent} percent`, 'give a number from 0 to 100');
}

function checkDuration(what: string, ms: number): void {
  if (!(ms >= 0 && Number.isFinite(ms))) throw new RouteFault(`${what} is ${ms} ms`, 'give a time of 0 or more');
}

function checkWhole(what: string, value: number, from: number, to: number): void {
  if (!Number.isInteger(value) || value < from || value > to)
    throw new RouteFault(`${what} is ${value}`, `give a whole number from ${from} to ${to}`);
}
