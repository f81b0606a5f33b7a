// What the DNS side knows of a service. Each plane makes it from what it has: the registry, or the configuration of a data plane.
import type { NamedPorts, Protocol } from '@heddle/core';

export interface ZoneInstance {
  readonly id: string;
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly isHealthy: boolean;
  /** Other ports of its application, by name in lower case. */
  readonly ports?: NamedPorts;
}

export interface ZoneService {
  readonly namespace: string;
  readonly name: string;
  /** Names by which it is called, in any case, most specific first. Of several services with the same one, it belongs to the one that has it earlier. */
  readonly hostnames: readonly string[];
  /** The port that callers name. */
  readonly port: number;
  /** Under which `_<word>._tcp` its port is found: see SRV_WORDS. */
  readonly srvWords: readonly string[];
  /** Other ports of its instances, by name in lower case. Undefined: whether there are any is not known here. */
  readonly ports: NamedPorts | undefined;
  readonly virtualAddress: string | undefined;
  /** Undefined: not known yet. */
  readonly instances: readonly ZoneInstance[] | undefined;
}

/** The service words of SRV records for the port that the mesh carries. `http2` is HTTP too, and a service that is `auto` carries both. */
export const SRV_WORDS: Readonly<Record<Protocol, readonly string[]>> = {
  http: ['http'],
  http2: ['http', 'http2'],
  grpc: ['grpc', 'http2'],
  tcp: ['tcp'],
  tls: ['tls'],
  auto: ['http', 'tcp'],
};
