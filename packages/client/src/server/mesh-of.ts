// `meshOf`: what the mesh knows about a request of Node's own HTTP.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { nodeClock } from '@heddle/runtime/process';
import { AskedRequest, type MeshRequest } from './mesh-request.ts';

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** The same for the same request. */
const known = new WeakMap<object, MeshRequest>();

/**
 * Of a request that a server of node:http or node:http2 has received. Ask when the request comes: `timeLeftMs` is counted from the first time, and what
 * comes by a connection that has broken since has no peer.
 */
export function meshOf(request: NodeRequest, response: NodeResponse): MeshRequest;
/** Of a stream of node:http2, with the headers that came with it. */
export function meshOf(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): MeshRequest;
export function meshOf(asked: NodeRequest | ServerHttp2Stream, more: NodeResponse | IncomingHttpHeaders): MeshRequest {
  const before = known.get(asked);
  if (before !== undefined) return before;
  const request = 'rstCode' in asked ? ofStream(asked, more as IncomingHttpHeaders) : ofRequest(asked, more as NodeResponse);
  known.set(asked, request);
  return request;
}

function ofRequest(request: NodeRequest, response: NodeResponse): MeshRequest {
  const socket = 'stream' in request ? request.stream.session?.socket : request.socket;
  return new AskedRequest({ headers: request.headers, socket, answer: response, arrivedMs: nodeClock.nowMs() });
}

function ofStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): MeshRequest {
  return new AskedRequest({ headers, socket: stream.session?.socket, answer: stream, arrivedMs: nodeClock.nowMs() });
}
