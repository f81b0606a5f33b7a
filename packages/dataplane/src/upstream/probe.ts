// One probe of an application: HTTP/1.1 with our own codec, TCP, or gRPC (grpc-probe.ts). When to probe, and how long to wait, is decided elsewhere (core's ActiveCheck).
import type { Cluster, HealthCheckPolicy } from '@heddle/core';
import type { Clock, Connection, ConnectionHandler, Network, NetworkError } from '@heddle/runtime';
import { renderRequest, ResponseParser } from '@heddle/wire';
import type { RemoteProtocolError, ResponseHandler, ResponseHead } from '@heddle/wire';
import { GrpcProbe } from './grpc-probe.ts';
import { reasonOf } from './probe-target.ts';
import type { ProbeTarget, RunningProbe } from './probe-target.ts';

/**
 * Sends the probe that the cluster's health policy asks for to its first static endpoint. `onEnd` is called once: with undefined when the
 * application answered as the policy asks (HTTP: with one of its statuses, gRPC: with SERVING), else with the reason, which completes "checks fail: …". Throws Error for a cluster without a health
 * policy or a static endpoint.
 */
export function sendProbe(
  { network, clock }: { readonly network: Network; readonly clock: Pick<Clock, 'nowMs'> },
  cluster: Cluster,
  onEnd: (failure: string | undefined) => void,
): RunningProbe {
  const { health, endpoints } = cluster;
  const endpoint = endpoints.kind === 'static' ? endpoints.endpoints[0] : undefined;
  if (health === undefined || endpoint === undefined)
    throw new Error(`cluster "${cluster.name}" has no health check or no address to send it to`);
  const { kind, path, statuses, grpcService, timeoutMs, port = endpoint.port } = health;
  const target: ProbeTarget = { kind, path, statuses, grpcService, address: endpoint.address, port, timeoutMs };
  return kind === 'grpc' ? new GrpcProbe(network, clock, target, onEnd) : new Probe(network, target, onEnd);
}

/** RFC 9110 §15.3: the class of statuses that says yes. */
const PASSING: NonNullable<HealthCheckPolicy['statuses']> = [[200, 299]];

class Probe implements RunningProbe, ConnectionHandler {
  private readonly target: ProbeTarget;
  private readonly connection: Connection;
  private readonly parser: ResponseParser;
  private onResult: ((failure: string | undefined) => void) | undefined;

  constructor(network: Network, target: ProbeTarget, onEnd: (failure: string | undefined) => void) {
    this.target = target;
    this.onResult = onEnd;
    this.parser = new ResponseParser(new ProbeAnswer(target.statuses ?? PASSING, (failure) => this.end(failure)));
    this.connection = network.connect({ address: target.address, port: target.port, timeoutMs: target.timeoutMs }, this);
  }

  abandon(): void {
    this.onResult = undefined;
    this.connection.destroy();
  }

  onConnected(): void {
    const { kind, path = '/', address, port } = this.target;
    if (kind === 'tcp') return this.end(undefined);
    this.parser.begin('GET');
    const host = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    this.connection.write(renderRequest({ method: 'GET', target: path, host, headers: [['user-agent', 'heddle-health']], close: true }));
  }

  onBytes(bytes: Buffer): void {
    if (this.onResult !== undefined) this.parser.push(bytes);
  }

  onDrained(): void {}

  onEnd(): void {
    this.end('the application closed the connection without an answer');
  }

  onClose(error: NetworkError | undefined): void {
    this.end(reasonOf(error, this.target));
  }

  private end(failure: string | undefined): void {
    const { onResult } = this;
    this.onResult = undefined;
    this.connection.destroy();
    onResult?.(failure);
  }
}

/** The status decides; the body is not waited for. */
class ProbeAnswer implements ResponseHandler {
  private readonly passing: NonNullable<HealthCheckPolicy['statuses']>;
  private readonly end: (failure: string | undefined) => void;

  constructor(passing: NonNullable<HealthCheckPolicy['statuses']>, end: (failure: string | undefined) => void) {
    this.passing = passing;
    this.end = end;
  }

  onInterim(): void {}

  onHead(head: ResponseHead): void {
    const passes = this.passing.some(([from, to]) => head.status >= from && head.status <= to);
    this.end(passes ? undefined : `answered ${head.status}`);
  }

  onBody(): void {}

  onEnd(): void {}

  onError(error: RemoteProtocolError): void {
    this.end(`answered with something that is not HTTP: ${error.message}`);
  }
}
