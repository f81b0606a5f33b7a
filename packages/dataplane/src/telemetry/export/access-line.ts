// A request as a line of the access log. Whatever a peer sends, it is one line: control characters are written as escapes.
import type { AccessLogPolicy } from '@heddle/core';
import type { EndedRequest } from '../../stack/ended-request.ts';
import { headerOf } from '../../stack/request-view.ts';
import { methodAndPath } from './request-facts.ts';

const HEADER_LENGTH_MAX = 512;
/** C0 is left to JSON; DEL, C1, and what JavaScript takes for the end of a line. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u2028\u2029]/g;
/** In text, blanks and quotes separate. */
const UNSAFE_IN_TEXT = /[\0-\x20"\\\x7f-\x9f\u2028\u2029]/g;

/** Ends with a line feed. @param time RFC 3339. */
export function accessLine(request: EndedRequest, policy: Pick<AccessLogPolicy, 'format' | 'headers'>, time: string, node: string): string {
  return policy.format === 'json' ? jsonLine(request, policy.headers, time, node) : textLine(request, policy.headers, time);
}

function jsonLine(request: EndedRequest, names: readonly string[], time: string, node: string): string {
  const { labels, head, route, protocol, status, grpcStatus, error, durationMs, requestBytes, responseBytes, tries, instance, peer } =
    request;
  const { method, path } = methodAndPath(head);
  const line = {
    time,
    node,
    direction: labels.direction,
    source: labels.source,
    destination: labels.destination,
    route: given(route),
    protocol,
    method,
    authority: head.authority,
    path,
    status: status === 0 ? undefined : status,
    grpcStatus,
    error: given(error),
    durationMs: milliseconds(durationMs),
    requestBytes,
    responseBytes,
    tries,
    instance: given(instance),
    peer: given(peer.sourceIdentity),
    address: given(peer.peerAddress),
    traceId: given(request.traceId),
    headers: names.length === 0 ? undefined : headersOf(request, names),
  };
  return `${JSON.stringify(line).replace(UNSAFE_IN_JSON, escaped)}\n`;
}

function headersOf({ head }: EndedRequest, names: readonly string[]): Record<string, string> {
  const all: Record<string, string> = {};
  for (const name of names) {
    const value = headerOf(head, name);
    if (value !== undefined) all[name] = value.slice(0, HEADER_LENGTH_MAX);
  }
  return all;
}

/** `time direction source -> destination method authority path status duration bytes`, and what there is besides as `name=value`. */
function textLine(request: EndedRequest, names: readonly string[], time: string): string {
  const { labels, head, status, durationMs, requestBytes, responseBytes } = request;
  const { method, path } = methodAndPath(head);
  const told = [
    time,
    labels.direction,
    word(labels.source),
    '->',
    word(labels.destination),
    word(method),
    word(head.authority),
    word(path),
    status === 0 ? '-' : String(status),
    `${milliseconds(durationMs)}ms`,
    `${requestBytes}B/${responseBytes}B`,
  ];
  const besides: [string, string | number | undefined][] = [
    ['error', request.error],
    ['grpc', request.grpcStatus],
    ['protocol', request.protocol],
    ['route', request.route],
    ['tries', request.tries],
    ['instance', request.instance],
    ['peer', request.peer.sourceIdentity],
    ['address', request.peer.peerAddress],
    ['trace', request.traceId],
    ...Object.entries(headersOf(request, names)),
  ];
  for (const [name, value] of besides) if (value !== undefined && value !== '') told.push(`${name}=${word(String(value))}`);
  return `${told.join(' ')}\n`;
}

function word(text: string): string {
  return text === '' ? '-' : text.replace(UNSAFE_IN_TEXT, (character) => (character === ' ' ? '\\x20' : escaped(character)));
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function given(text: string): string | undefined {
  return text === '' ? undefined : text;
}

/** Thousandths are what a clock can tell. */
function milliseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
