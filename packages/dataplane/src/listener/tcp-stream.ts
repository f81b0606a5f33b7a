// Opaque bytes between one downstream connection and one connection to an endpoint, half-closes included. Until the connection is there
// nothing is read, so another endpoint can be tried without losing a byte.
import { tryResultOf } from '@heddle/core';
import type { ErrorCode, TryResult } from '@heddle/core';
import type { Connection, ConnectionHandler, NetworkError } from '@heddle/runtime';
import type { Context } from '../stack/context.ts';
import { Timed } from '../stack/deadlines.ts';
import type { StreamMetrics } from '../telemetry/connections.ts';
import type { RequestMetrics } from '../telemetry/requests.ts';
import type { StreamLoad } from '../telemetry/stream-load.ts';
import type { ClusterCaller } from '../upstream/callers.ts';
import type { UpstreamCluster } from '../upstream/cluster.ts';
import type { UpstreamHost } from '../upstream/host.ts';
import { TunnelRefused } from '../upstream/tunnel.ts';

/** Endpoints that are tried: one stale entry in the list is likely, three are an outage that more tries only prolong. */
const TRIES_MAX = 3;

export interface StreamOwner {
  /** The upstream connection is made; bytes flow when this returns. */
  onEstablished(): void;
  /** No endpoint could be reached. The downstream connection is still the owner's to answer and close. */
  onUnreachable(code: ErrorCode, detail: string): void;
}

/** Where the bytes go. */
export interface StreamTarget {
  readonly cluster: UpstreamCluster;
  /** Authority to ask the endpoint for by CONNECT; undefined: the bytes go to the endpoint itself. */
  readonly tunnel: string | undefined;
  readonly workload: string;
  /** Of protocol `tcp`. */
  readonly metrics: RequestMetrics;
  /** Without a byte in either direction; 0 or absent: the data plane's own limit. */
  readonly idleTimeoutMs?: number | undefined;
}

export class TcpStream extends Timed implements ConnectionHandler {
  private readonly context: Context;
  private readonly downstream: Connection;
  private readonly cluster: UpstreamCluster;
  private readonly tunnel: string | undefined;
  private readonly workload: string;
  private readonly metrics: StreamMetrics;
  private readonly requests: RequestMetrics;
  private readonly load: StreamLoad;
  private readonly owner: StreamOwner;
  private readonly caller: ClusterCaller;
  private readonly idleMs: number;
  private readonly tried: UpstreamHost[] = [];
  /** What it has of the cluster's breaker. */
  private isAdmitted = false;
  /** Where the stream goes, once a connection is being made. */
  private host: UpstreamHost | undefined;
  private startedMs = 0;
  private connectedAfterMs = 0;
  /** Called last, with the close of the downstream connection. */
  onClosed: ((error: NetworkError | undefined) => void) | undefined = undefined;
  /** The upstream has said something. */
  hasSent = false;
  private upstream: Connection | undefined;
  /** The upstream of a stream whose client has gone, after it had ended in order. */
  private lastWrite: Connection | undefined;
  /** Came before the stream was established: another endpoint may still be tried. No more than what told the protocol. */
  private early: Buffer[] = [];
  private established = false;
  private done = false;
  private downstreamEnded = false;
  private moved = false;

  constructor(context: Context, downstream: Connection, target: StreamTarget, metrics: StreamMetrics, owner: StreamOwner) {
    super();
    this.context = context;
    this.downstream = downstream;
    this.cluster = target.cluster;
    this.tunnel = target.tunnel;
    this.workload = target.workload;
    this.caller = target.cluster.caller(target.workload);
    this.idleMs = target.idleTimeoutMs !== undefined && target.idleTimeoutMs > 0 ? target.idleTimeoutMs : context.limits.tcpIdleTimeoutMs;
    this.metrics = metrics;
    this.requests = target.metrics;
    this.load = target.cluster.streamsFrom(target.workload);
    this.owner = owner;
  }

  start(): void {
    this.context.active.count += 1;
    this.metrics.total.add(1);
    this.metrics.open.add(1);
    this.load.total.add(1);
    this.load.open.add(1);
    this.requests.active.add(1);
    this.downstream.pause();
    const verdict = this.cluster.breaker.admitRequest();
    this.isAdmitted = verdict === 'admitted';
    if (verdict === 'admitted') this.dispatch();
    else this.unreachable('CIRCUIT_OPEN', this.cluster.refused(verdict));
  }

  /** Bytes that came before the stream began. */
  sendFirst(bytes: Buffer): void {
    this.onBytes(bytes);
  }

  /** Drops both sides. */
  destroy(): void {
    this.upstream?.destroy();
    this.downstream.destroy();
  }

  /** The downstream connection turns out to be for something else, and stays as it is. */
  abandon(): void {
    const { upstream } = this;
    this.upstream = undefined;
    this.finish();
    upstream?.destroy();
    this.downstream.resume();
  }

  onBytes(bytes: Buffer): void {
    this.moved = true;
    this.metrics.receivedBytes.add(bytes.length);
    this.requests.requestBytes.add(bytes.length);
    if (!this.established) {
      this.early.push(Buffer.from(bytes));
      return;
    }
    if (this.upstream !== undefined && !this.context.turn.pass(this.upstream, bytes)) this.downstream.pause();
  }

  onDrained(): void {
    this.upstream?.resume();
  }

  onEnd(): void {
    this.downstreamEnded = true;
    // Before the connection is made nothing was sent: `connected` sends what came early, and the end.
    if (this.established) this.upstream?.end();
  }

  onClose(error: NetworkError | undefined): void {
    this.downstreamClosed(error);
    this.onClosed?.(error);
  }

  private downstreamClosed(error: NetworkError | undefined): void {
    const { upstream } = this;
    this.upstream = undefined;
    if (!this.established) upstream?.destroy();
    else if (error !== undefined) upstream?.reset();
    else if (!this.downstreamEnded) upstream?.destroy();
    this.finish();
    if (!this.established || error !== undefined || !this.downstreamEnded || upstream === undefined) return;
    // What the client sent last goes out by itself, but an instance that does not take it is not waited for for ever.
    this.lastWrite = upstream;
    this.context.deadlines.set(this, this.context.clock.nowMs() + this.context.limits.streamIdleTimeoutMs);
  }

  onDeadline(nowMs: number): void {
    if (this.lastWrite !== undefined) {
      this.lastWrite.destroy();
    } else if (this.moved) {
      this.moved = false;
      this.context.deadlines.set(this, nowMs + this.idleMs);
    } else {
      this.destroy();
    }
  }

  private dispatch(): void {
    const { cluster, context } = this;
    const nowMs = context.clock.nowMs();
    const host = this.pick(nowMs);
    if (host === undefined) return;
    const tls = cluster.tls.of(this.workload);
    if (cluster.tls.isNeeded && tls === undefined) return this.unreachable('NO_IDENTITY', cluster.tls.missing(this.workload));
    const side = new UpstreamSide(this, host);
    this.host = host;
    this.startedMs = nowMs;
    cluster.started(this.caller, host, nowMs);
    if (this.tunnel === undefined) host.streams += 1;
    const timeoutMs = cluster.config.connectTimeoutMs;
    if (this.tunnel === undefined) {
      this.upstream = context.network.connect({ address: host.address, port: host.port, tls, timeoutMs }, side);
      return;
    }
    const upstream = host.openTunnel(this.workload, this.tunnel, side, timeoutMs);
    if (upstream === undefined) {
      this.leave('cancelled', nowMs);
      return this.unreachable('UPSTREAM_PROTOCOL', `${cluster.destination} is reached by HTTP/1.1, which carries no tunnels`);
    }
    // It may have been refused at once, and the next endpoint be in its place.
    if (side.isClosed) return;
    this.upstream = upstream;
  }

  /** Undefined: there is none, which has been told. */
  private pick(nowMs: number): UpstreamHost | undefined {
    const { cluster, tried, tunnel } = this;
    const { connections } = cluster.config.breaker;
    const request = { nowMs, hash: cluster.streamHash(this.downstream.remoteAddress), avoid: tried };
    // Tunnels share connections, whose number the pool bounds.
    const isFull = (host: UpstreamHost) => tunnel === undefined && connections > 0 && host.streams >= connections;
    let host = cluster.pick(this.caller, request);
    if (host === undefined) this.unreachable('NO_HEALTHY_INSTANCE', cluster.whyNone());
    else if (isFull(host)) {
      host = cluster.find((other) => !tried.includes(other) && !isFull(other));
      if (host === undefined) this.unreachable('CIRCUIT_OPEN', cluster.refused('connections'));
    }
    return host;
  }

  /** @internal */
  connected(): void {
    const { cluster, host, context } = this;
    const nowMs = context.clock.nowMs();
    cluster.metrics.connected(this.tunnel === undefined && cluster.tls.isNeeded);
    cluster.metrics.open.add(1);
    this.established = true;
    this.connectedAfterMs = nowMs - this.startedMs;
    if (host !== undefined) cluster.streamReached(host, 'success', this.connectedAfterMs, nowMs);
    context.deadlines.set(this, nowMs + this.idleMs);
    this.owner.onEstablished();
    for (const bytes of this.early.splice(0)) this.upstream?.write(bytes);
    if (this.downstreamEnded) this.upstream?.end();
    this.downstream.resume();
  }

  /** @internal */
  connectFailed(host: UpstreamHost, error: NetworkError | undefined): void {
    if (this.done) return;
    this.upstream = undefined;
    this.tried.push(host);
    const { cluster } = this;
    const nowMs = this.context.clock.nowMs();
    const failure = cluster.connectFailed(host, error);
    const code = error instanceof TunnelRefused ? error.code : failure.code;
    const result = tryResultOf(code, 0, undefined);
    cluster.streamReached(host, result, nowMs - this.startedMs, nowMs);
    this.leave(result, nowMs);
    if (this.tried.length < TRIES_MAX && cluster.healthyCount(this.caller) > this.healthyTried()) return this.dispatch();
    this.unreachable(code, failure.detail);
  }

  /** @internal */
  upstreamBytes(bytes: Buffer): void {
    this.moved = true;
    this.hasSent = true;
    this.metrics.sentBytes.add(bytes.length);
    this.requests.responseBytes.add(bytes.length);
    if (!this.context.turn.pass(this.downstream, bytes)) this.upstream?.pause();
  }

  /** @internal */
  upstreamDrained(): void {
    this.downstream.resume();
  }

  /** @internal */
  upstreamEnded(): void {
    this.downstream.end();
  }

  /** @internal */
  upstreamClosed(error: NetworkError | undefined): void {
    this.cluster.metrics.open.add(-1);
    if (this.lastWrite !== undefined) {
      this.lastWrite = undefined;
      this.context.deadlines.remove(this);
    }
    if (this.upstream === undefined) return;
    this.upstream = undefined;
    if (error !== undefined) this.downstream.reset();
    // Closed without an error after both directions ended: what is still in the downstream buffer goes out by itself.
    else if (!this.downstreamEnded) this.downstream.end();
  }

  private healthyTried(): number {
    return this.tried.filter(({ health }) => health === 'healthy').length;
  }

  /** The stream no longer loads the host that it was to go to. */
  private leave(result: TryResult, nowMs: number): void {
    const { host, cluster, established } = this;
    this.host = undefined;
    if (host === undefined) return;
    if (this.tunnel === undefined) host.streams -= 1;
    cluster.streamEnded(this.caller, host, result, established ? this.connectedAfterMs : nowMs - this.startedMs, nowMs);
  }

  private unreachable(code: ErrorCode, detail: string): void {
    this.load.failed.add(1);
    this.requests.streamEnded(code);
    this.finish();
    this.owner.onUnreachable(code, detail);
  }

  private finish(): void {
    if (this.done) return;
    this.done = true;
    if (this.isAdmitted) this.cluster.breaker.requestEnded();
    this.leave(this.established ? 'success' : 'cancelled', this.context.clock.nowMs());
    this.context.active.count -= 1;
    this.metrics.open.add(-1);
    this.load.open.add(-1);
    this.requests.active.add(-1);
    if (this.established) this.requests.streamEnded('');
    this.context.deadlines.remove(this);
  }
}

/** The handler of the connection to the endpoint. */
class UpstreamSide implements ConnectionHandler {
  private readonly stream: TcpStream;
  private readonly host: UpstreamHost;
  private isConnected = false;
  isClosed = false;

  constructor(stream: TcpStream, host: UpstreamHost) {
    this.stream = stream;
    this.host = host;
  }

  onConnected(): void {
    this.isConnected = true;
    this.stream.connected();
  }

  onBytes(bytes: Buffer): void {
    this.stream.upstreamBytes(bytes);
  }

  onDrained(): void {
    this.stream.upstreamDrained();
  }

  onEnd(): void {
    this.stream.upstreamEnded();
  }

  onClose(error: NetworkError | undefined): void {
    this.isClosed = true;
    if (this.isConnected) this.stream.upstreamClosed(error);
    else this.stream.connectFailed(this.host, error);
  }
}
