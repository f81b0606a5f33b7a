// What the mesh knows about a request, for the application that answers it: who called, for whom, how long it may take, and whether anybody still
// waits. Everything is worked out when it is asked for. What only a data plane may say is believed only where the data plane of this process
// itself passed the request on; on any other connection such headers are somebody's claim, and count for nothing.
import type { IncomingHttpHeaders } from 'node:http';
import { callerTimeoutMs, parseRequestTimeout, parseSpiffeId, REQUEST_TIMEOUT_HEADER } from '@heddle/core';
import { isOwnHttp } from '@heddle/runtime/inside';
import { parseGrpcTimeout } from '@heddle/wire/grpc';
import { nodeClock } from '@heddle/runtime/process';
import { type Claims, readClaims } from './claims.ts';
import { type Answering, watchCaller } from './caller-signal.ts';

/** Who called, proven by the certificate of the calling workload. */
export interface Peer {
  /** SPIFFE id: `spiffe://<trust domain>/ns/<namespace>/svc/<service>`. */
  readonly id: string;
  readonly trustDomain: string;
  /** Undefined where the id has another form, which workloads of other meshes may have. */
  readonly namespace: string | undefined;
  readonly service: string | undefined;
}

/** Of a request. */
export interface MeshRequest {
  /** Undefined: the request did not come through the mesh, or from somebody without a certificate (`mtls: permissive` or `off`). */
  readonly peer: Peer | undefined;
  /** Of the token that the data plane has checked, as its issuer wrote them; undefined: there was none, or its claims take more than 4 KiB. */
  readonly claims: Claims | undefined;
  /**
   * Milliseconds that the caller still waits, by `x-request-timeout` or `grpc-timeout`, and never below 0; undefined: it did not say. Also of callers past
   * the mesh: a deadline can only shorten.
   */
  readonly timeLeftMs: number | undefined;
  /** Aborted when the caller has gone before the answer was sent, or when `timeLeftMs` is over (then the reason is a TimeoutError). */
  readonly signal: AbortSignal;
}

export const PEER_HEADER = 'x-heddle-peer';
export const CLAIMS_HEADER = 'x-heddle-claims';
const GRPC_TIMEOUT_HEADER = 'grpc-timeout';

type Headers = Readonly<IncomingHttpHeaders>;

/** Everything of a request that is asked. */
export interface Asked {
  readonly headers: Headers;
  /** What stands for the connection in Node's own HTTP, of either version. */
  readonly socket: unknown;
  /** Whose end is the end of the request. */
  readonly answer: Answering;
  /** `nodeClock.nowMs()` when the request came. */
  readonly arrivedMs: number;
  /** What the caller gave it then, where that is not in the headers any more. */
  readonly givenMs?: number;
}

export class AskedRequest implements MeshRequest {
  private readonly asked: Asked;
  private readonly isOurs: boolean;
  private knownPeer: Peer | undefined | null = null;
  private knownClaims: Claims | undefined | null = null;
  private watched: AbortSignal | undefined;

  constructor(asked: Asked) {
    this.asked = asked;
    // Now: a connection that has broken meanwhile says nothing any more.
    this.isOurs = isOwnHttp(asked.socket);
  }

  get peer(): Peer | undefined {
    if (this.knownPeer === null) this.knownPeer = this.isOurs ? peerOf(this.asked.headers[PEER_HEADER]) : undefined;
    return this.knownPeer;
  }

  get claims(): Claims | undefined {
    if (this.knownClaims === null) this.knownClaims = this.isOurs ? readClaims(this.asked.headers[CLAIMS_HEADER]) : undefined;
    return this.knownClaims;
  }

  get timeLeftMs(): number | undefined {
    const { headers, arrivedMs, givenMs = timeGiven(headers) } = this.asked;
    return givenMs === undefined ? undefined : Math.max(0, arrivedMs + givenMs - nodeClock.nowMs());
  }

  get signal(): AbortSignal {
    this.watched ??= watchCaller(this.asked.answer, this.timeLeftMs);
    return this.watched;
  }

  /** As `JSON.stringify` and loggers have it. */
  toJSON(): Pick<MeshRequest, 'peer' | 'claims' | 'timeLeftMs'> {
    const { peer, claims, timeLeftMs } = this;
    return { peer, claims, timeLeftMs };
  }
}

function timeGiven(headers: Headers): number | undefined {
  const grpc = headers[GRPC_TIMEOUT_HEADER];
  const other = headers[REQUEST_TIMEOUT_HEADER];
  return callerTimeoutMs(
    typeof grpc === 'string' ? parseGrpcTimeout(grpc) : undefined,
    typeof other === 'string' ? parseRequestTimeout(other) : undefined,
  );
}

/** @param id of the only ones who may say it; twice would be no word of theirs. */
export function peerOf(id: string | readonly string[] | undefined): Peer | undefined {
  if (typeof id !== 'string' || id === '') return undefined;
  const known = PEERS.get(id);
  if (known !== undefined) return known;
  const parsed = parseSpiffeId(id);
  const peer: Peer = Object.freeze(
    parsed === undefined
      ? { id, trustDomain: /^spiffe:\/\/([^/]*)/.exec(id)?.[1] ?? '', namespace: undefined, service: undefined }
      : { id, trustDomain: parsed.trustDomain, namespace: parsed.namespace, service: parsed.name },
  );
  if (PEERS.size >= PEERS_MAX) PEERS.clear();
  PEERS.set(id, peer);
  return peer;
}

/** Services that call one instance are few. */
const PEERS_MAX = 1_024;
const PEERS = new Map<string, Peer>();
