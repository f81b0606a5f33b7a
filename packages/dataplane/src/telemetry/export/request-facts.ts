// What spans and lines of a log both want to know of a request.
import { httpStatusOfGrpc, RequestHead } from '@heddle/wire';
import type { EndedRequest } from '../../stack/ended-request.ts';
import type { AnyRequestHead } from '../../stack/messages.ts';

const PATH_LENGTH_MAX = 512;
/** UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the conventions for spans of servers. */
const SERVER_FAULTS: readonly number[] = [2, 4, 12, 13, 14, 15];

/** Without its query, which may hold secrets, and not longer than anybody reads. */
export function shortPath(path: string): string {
  const end = path.indexOf('?');
  const shown = end === -1 ? path : path.slice(0, end);
  return shown.length > PATH_LENGTH_MAX ? `${shown.slice(0, PATH_LENGTH_MAX)}…` : shown;
}

/** RFC 8441 §5: what asks for a WebSocket over HTTP/2 is the same GET over HTTP/1.1. */
export function methodOf(head: AnyRequestHead): string {
  const isUpgrade = !(head instanceof RequestHead) && head.protocol !== '';
  return isUpgrade ? 'GET' : head.method;
}

export function methodAndPath(head: AnyRequestHead): { readonly method: string; readonly path: string } {
  return { method: methodOf(head), path: shortPath(head.path) };
}

/** A data plane ended it, and not its client. */
export function isOwnError({ error }: Pick<EndedRequest, 'error'>): boolean {
  return error !== '' && error !== 'CLIENT_GONE';
}

export function isGrpcFailure(status: number, isServer: boolean): boolean {
  return isServer ? SERVER_FAULTS.includes(status) : status !== 0;
}

/** Of the answer, in words of HTTP whatever was spoken. */
export function httpStatusOf({ status, grpcStatus }: EndedRequest): number {
  return grpcStatus === undefined || grpcStatus === 0 ? status : httpStatusOfGrpc(grpcStatus);
}
