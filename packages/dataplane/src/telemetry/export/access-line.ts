// A request as a line of the access log. Whatever a peer sends, it is one line: control characters are written as escapes.
import type { AccessLogPolicy } from '@heddle/core';
import type { HeldRequest } from './held-requests.ts';
import { shortPath } from './request-facts.ts';

export interface LineFacts {
  /** When the request began. RFC 3339. */
  readonly time: string;
  /** Those that the policy names; undefined: it names none. */
  readonly headers: Readonly<Record<string, string>> | undefined;
}

/** C0 is left to JSON; DEL, C1, and what JavaScript takes for the end of a line. */
const UNSAFE_IN_JSON = /[\x7f-\x9f\u2028\u2029]/g;
/** In text, blanks and quotes separate. */
const UNSAFE_IN_TEXT = /[\0-\x20"\\\x7f-\x9f\u2028\u2029]/g;

/** Ends with a line feed. */
export function accessLine(held: HeldRequest, facts: LineFacts, format: AccessLogPolicy['format'], node: string): string {
  return format === 'json' ? jsonLine(held, facts, node) : textLine(held, facts);
}

function jsonLine(held: HeldRequest, { time, headers }: LineFacts, node: string): string {
  const { labels, route, protocol, status, grpcStatus, error, durationMs, requestBytes, responseBytes, tries, instance } = held;
  const line = {
    time,
    node,
    direction: labels.direction,
    source: labels.source,
    destination: labels.destination,
    route: given(route),
    protocol,
    method: held.method,
    authority: held.authority,
    path: shortPath(held.path),
    status: status === 0 ? undefined : status,
    grpcStatus,
    error: given(error),
    durationMs: milliseconds(durationMs),
    requestBytes,
    responseBytes,
    tries,
    instance: given(instance),
    peer: given(held.peerIdentity),
    address: given(held.peerAddress),
    traceId: given(held.traceId),
    headers,
  };
  return `${JSON.stringify(line).replace(UNSAFE_IN_JSON, escaped)}\n`;
}

/** `time direction source -> destination method authority path status duration bytes`, and what there is besides as `name=value`. */
function textLine(held: HeldRequest, { time, headers = {} }: LineFacts): string {
  const { labels, status, durationMs, requestBytes, responseBytes } = held;
  const told = [
    time,
    labels.direction,
    word(labels.source),
    '->',
    word(labels.destination),
    word(held.method),
    word(held.authority),
    word(shortPath(held.path)),
    status === 0 ? '-' : String(status),
    `${milliseconds(durationMs)}ms`,
    `${requestBytes}B/${responseBytes}B`,
  ];
  const besides: [string, string | number | undefined][] = [
    ['error', held.error],
    ['grpc', held.grpcStatus],
    ['protocol', held.protocol],
    ['route', held.route],
    ['tries', held.tries],
    ['instance', held.instance],
    ['peer', held.peerIdentity],
    ['address', held.peerAddress],
    ['trace', held.traceId],
    ...Object.entries(headers),
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
