// What a probe of an application is sent to, and what its connection's end says about the application. Common to probes of all kinds.
import type { HealthCheckPolicy } from '@heddle/core';
import type { NetworkError } from '@heddle/runtime';

export interface ProbeTarget extends Pick<HealthCheckPolicy, 'kind' | 'path' | 'statuses' | 'grpcService'> {
  readonly address: string;
  readonly port: number;
  /** For connecting; the caller abandons a probe that takes too long afterwards. */
  readonly timeoutMs: number;
}

export interface RunningProbe {
  /** Drops the probe; its end is not reported. */
  abandon(): void;
}

/** Why a connection ended, about the application. */
export function reasonOf(error: NetworkError | undefined, { address, port, timeoutMs }: ProbeTarget): string {
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
