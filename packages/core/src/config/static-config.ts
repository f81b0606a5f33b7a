// What the file of a static proxy means once it has been read: complete, immutable, with every default filled in.
import type { HealthCheckPolicy, Service, SocketAddress } from '../model/service.ts';

export interface StaticConfig {
  readonly listeners: readonly StaticListener[];
  readonly services: readonly StaticService[];
}

/** `http`: requests are balanced; `tcp`: connections are. */
export type StaticProtocol = 'http' | 'tcp';

export interface StaticListener {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  readonly protocol: StaticProtocol;
  /** Name of the service that everything goes to; it has the same protocol. */
  readonly service: string;
}

export interface StaticService extends Pick<Service, 'name' | 'balance' | 'timeoutMs' | 'connectTimeoutMs' | 'retry'> {
  readonly protocol: StaticProtocol;
  readonly endpoints: readonly SocketAddress[];
  /** Absent: endpoints are not checked and always get traffic. */
  readonly health?: HealthCheckPolicy;
}
