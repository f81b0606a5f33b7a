// The door to outside authorizers (envoy.service.auth.v3.Authorization/Check), for the side that asks: what is said about a request, and what the
// answer does to it. A door of the package by itself (`@heddle/api/authorizer`): only data planes that have an authorizer load it. Answers come
// from peers: what comes out is plain data within bounds.
import type { HeaderValueOption } from '../gen/foreign/envoy/config/core/v3/base.ts';
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '../gen/foreign/envoy/config/core/v3/base.ts';
import { SocketAddress_Protocol } from '../gen/foreign/envoy/config/core/v3/address.ts';
import type { AttributeContext_HttpRequest, AttributeContext_Peer } from '../gen/foreign/envoy/service/auth/v3/attribute_context.ts';
import { CheckRequest, CheckResponse } from '../gen/foreign/envoy/service/auth/v3/external_auth.ts';
import type { DeniedHttpResponse, OkHttpResponse } from '../gen/foreign/envoy/service/auth/v3/external_auth.ts';
import { InvalidMessageError } from './invalid.ts';

/** Of the gRPC call. */
export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';
/** Says whether the body was cut, as Envoy does. */
export const PARTIAL_BODY_HEADER = 'x-envoy-auth-partial-body';
/** In one list of an answer; requests may have 128 in all. */
const HEADERS_MAX = 128;
const DEFAULT_DENIAL = 403;
/** RFC 9110 §5.1, in lower case. */
const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
/** RFC 9110 §5.5, as characters of one byte, without white space at the ends. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

/** One side of a connection. */
export interface CheckPeer {
  readonly address: string;
  /** 0: not known. */
  readonly port: number;
  /** SPIFFE id; empty: not known. */
  readonly principal: string;
  /** `<namespace>/<service>`; empty: not known. */
  readonly service: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface CheckedRequest {
  readonly id: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** In lower case; several of one name joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the body; -1: not known. */
  readonly sizeBytes: number;
  /** `HTTP/1.1`, `HTTP/2`. */
  readonly protocol: string;
  /** Its first bytes; undefined: the body is not asked about. */
  readonly body: Uint8Array | undefined;
}

export interface CheckQuestion {
  readonly source: CheckPeer;
  readonly destination: CheckPeer;
  /** Unix time. */
  readonly wallMs: number;
  /** Undefined for a stream of bytes. */
  readonly request: CheckedRequest | undefined;
}

/** `set`: in place of what is there; `add`: besides; the others look whether there is one of the name. */
export interface CheckHeader {
  readonly name: string;
  readonly value: string;
  readonly how: 'set' | 'add' | 'add-if-absent' | 'set-if-present';
}

export type CheckVerdict =
  | {
      readonly kind: 'allowed';
      readonly requestHeaders: readonly CheckHeader[];
      /** Names in lower case. */
      readonly remove: readonly string[];
      readonly responseHeaders: readonly CheckHeader[];
    }
  | { readonly kind: 'denied'; readonly status: number; readonly headers: readonly CheckHeader[]; readonly body: string };

export function encodeCheck({ source, destination, wallMs, request }: CheckQuestion): Uint8Array {
  return CheckRequest.encode({
    attributes: {
      source: peerOf(source),
      destination: peerOf(destination),
      request: {
        time: { seconds: Math.floor(wallMs / 1_000), nanos: Math.floor(wallMs % 1_000) * 1_000_000 },
        ...(request && { http: httpOf(request) }),
      },
    },
  }).finish();
}

function peerOf({ address, port, principal, service, labels }: CheckPeer): AttributeContext_Peer {
  const { TCP: protocol } = SocketAddress_Protocol;
  const socket = { protocol, address, portSpecifier: { $case: 'portValue', value: port } } as const;
  return { address: { address: { $case: 'socketAddress', value: socket } }, principal, service, labels: { ...labels } };
}

function httpOf({ sizeBytes, body, headers, ...request }: CheckedRequest): AttributeContext_HttpRequest {
  return { ...request, headers: { ...headers }, size: sizeBytes, ...(body && { rawBody: body, ...textOf(body) }) };
}

/** A text must be one in UTF-8; other bodies are in `raw_body` alone. */
function textOf(body: Uint8Array): { body?: string } {
  try {
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body) };
  } catch {
    return {};
  }
}

/** @throws InvalidMessageError for an answer that cannot be followed: then nothing is known about the request. */
export function decodeCheck(bytes: Uint8Array): CheckVerdict {
  let message: CheckResponse;
  try {
    message = CheckResponse.decode(bytes);
  } catch (error) {
    throw new InvalidMessageError('CheckResponse', `is no such message: ${(error as Error).message}`);
  }
  const { status, httpResponse } = message;
  const code = status?.code ?? 0;
  if (code !== 0) return denied(httpResponse?.$case === 'deniedResponse' ? httpResponse.value : {});
  if (httpResponse?.$case === 'deniedResponse') throw new InvalidMessageError('denied_response', 'comes with a status that allows');
  return allowed(httpResponse?.value ?? {});
}

function allowed(message: OkHttpResponse): CheckVerdict {
  const { headers = [], headersToRemove = [], responseHeadersToAdd = [], queryParametersToSet, queryParametersToRemove } = message;
  if ((queryParametersToSet ?? []).length + (queryParametersToRemove ?? []).length > 0)
    throw new InvalidMessageError('ok_response.query_parameters_to_set', 'query parameters are not changed by Heddle');
  return {
    kind: 'allowed',
    requestHeaders: headersOf(headers, 'ok_response.headers', 'set'),
    remove: bounded(headersToRemove, 'ok_response.headers_to_remove').map((name) => nameOf(name, 'ok_response.headers_to_remove')),
    responseHeaders: headersOf(responseHeadersToAdd, 'ok_response.response_headers_to_add', 'add'),
  };
}

function denied({ status, headers = [], body = '' }: DeniedHttpResponse): CheckVerdict {
  const code: number = status?.code ?? 0;
  if (code !== 0 && (code < 200 || code > 599))
    throw new InvalidMessageError('denied_response.status', `${code} is no status that a request can be answered with`);
  return {
    kind: 'denied',
    status: code === 0 ? DEFAULT_DENIAL : code,
    headers: headersOf(headers, 'denied_response.headers', 'set'),
    body,
  };
}

function headersOf(options: readonly HeaderValueOption[], path: string, otherwise: CheckHeader['how']): CheckHeader[] {
  return bounded(options, path).map(({ header, append, appendAction }) => {
    const name = nameOf(header?.key ?? '', path);
    const value = header?.value ?? '';
    if (!VALUE.test(value)) throw new InvalidMessageError(path, `the value of ${name} is none of a header`);
    return { name, value, how: append === undefined ? howOf(appendAction, otherwise) : append ? 'add' : 'set' };
  });
}

/** 0, which adds where Envoy's filters change headers, is also what is not given. */
function howOf(action: AppendAction | undefined, otherwise: CheckHeader['how']): CheckHeader['how'] {
  switch (action) {
    case AppendAction.ADD_IF_ABSENT:
      return 'add-if-absent';
    case AppendAction.OVERWRITE_IF_EXISTS_OR_ADD:
      return 'set';
    case AppendAction.OVERWRITE_IF_EXISTS:
      return 'set-if-present';
    default:
      return otherwise;
  }
}

function nameOf(key: string, path: string): string {
  const name = key.toLowerCase();
  if (!NAME.test(name)) throw new InvalidMessageError(path, `${JSON.stringify(key)} is not the name of a header`);
  return name;
}

function bounded<T>(list: readonly T[], path: string): readonly T[] {
  if (list.length > HEADERS_MAX) throw new InvalidMessageError(path, `${list.length} entries; at most ${HEADERS_MAX}`);
  return list;
}
