// One probe of an application: HTTP with our own codec, or TCP. When to probe, and how long to wait, is decided elsewhere (core's ActiveCheck).
import type { Cluster } from '@heddle/core';
import type { Connection, ConnectionHandler, Network, NetworkError } from '@heddle/runtime';
import { renderRequest, ResponseParser } from '@heddle/wire';
import type { RemoteProtocolError, ResponseHandler, ResponseHead } from '@heddle/wire';

interface ProbeTarget {
  readonly kind: 'http' | 'tcp';
  readonly address: string;
  readonly port: number;
  readonly path?: string;
  /** For connecting; the caller abandons a probe that takes too long afterwards. */
  readonly timeoutMs: number;
}

export interface RunningProbe {
  /** Drops the probe; its end is not reported. */
  abandon(): void;
}

/**
 * Sends the probe that the cluster's health policy asks for to its first static endpoint. `onEnd` is called once: with undefined when the
 * application answered (HTTP: with 2xx), else with the reason, which completes "checks fail: …". Throws Error for a cluster without a health
 * policy or a static endpoint.
 */
export function sendProbe(
  deps: { readonly network: Network },
  cluster: Cluster,
  onEnd: (failure: string | undefined) => void,
): RunningProbe {
  const { health, endpoints } = cluster;
  const endpoint = endpoints.kind === 'static' ? endpoints.endpoints[0] : undefined;
  if (health === undefined || endpoint === undefined)
    throw new Error(`cluster "${cluster.name}" has no health check or no address to send it to`);
  return new Probe(
    deps.network,
    { kind: health.kind, path: health.path, address: endpoint.address, port: endpoint.port, timeoutMs: health.timeoutMs },
    onEnd,
  );
}

class Probe implements RunningProbe, ConnectionHandler {
  private readonly target: ProbeTarget;
  private readonly connection: Connection;
  private readonly parser: ResponseParser;
  private onResult: ((failure: string | undefined) => void) | undefined;

  constructor(network: Network, target: ProbeTarget, onEnd: (failure: string | undefined) => void) {
    this.target = target;
    this.onResult = onEnd;
    this.parser = new ResponseParser(new ProbeAnswer((failure) => this.end(failure)));
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
  private readonly end: (failure: string | undefined) => void;

  constructor(end: (failure: string | undefined) => void) {
    this.end = end;
  }

  onInterim(): void {}

  onHead(head: ResponseHead): void {
    this.end(head.status >= 200 && head.status < 300 ? undefined : `answered ${head.status}`);
  }

  onBody(): void {}

  onEnd(): void {}

  onError(error: RemoteProtocolError): void {
    this.end(`answered with something that is not HTTP: ${error.message}`);
  }
}

function reasonOf(error: NetworkError | undefined, { address, port, timeoutMs }: ProbeTarget): string {
  switch (error?.kind) {
    case 'refused':
      return `nothing listens on ${address}:${port}`;
    case 'timeout':
      return `no connection to ${address}:${port} within ${timeoutMs} ms`;
    case 'reset':
      return 'the application reset the connection';
    default:
      return error?.message ?? 'the application closed the connection without an answer';
  }
}
