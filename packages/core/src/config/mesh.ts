// What a mesh file means once it has been read: complete, immutable, with every default filled in.
import type { SecurityConfig } from '../model/security.ts';
import type { Service, ServiceRef } from '../model/service.ts';
import type { TelemetryConfig } from '../model/telemetry.ts';
import type { EgressHost } from '../model/traffic.ts';

export interface MeshConfig {
  readonly name: string;
  readonly trustDomain: string;
  /** Whose identity a call through the machine's HTTP proxy carries when it names no workload. */
  readonly anonymousCalls: 'operator' | 'refuse';
  readonly discovery: DiscoveryConfig;
  readonly services: readonly ServiceConfig[];
  /** Hosts outside the mesh that workloads may call through it. */
  readonly egress: readonly EgressHost[];
  readonly security: SecurityConfig;
  readonly telemetry: TelemetryConfig;
}

export interface DiscoveryConfig {
  /** When more than half of a service's leases end at about the same time, its last known instances are kept for a while. */
  readonly keepOnMassExpiry: boolean;
}

export interface ServiceConfig {
  readonly service: Service;
  /** Present when Heddle starts the service's processes. */
  readonly run?: RunConfig;
  /** The services this one calls: it gets a local port and a `<NAME>_URL` for each. Default: all others of the mesh; without `run`, none. */
  readonly uses: readonly ServiceRef[];
}

export interface RunConfig {
  /** Given to `/bin/sh -c` with `exec` in front where it is a string. */
  readonly command: string | readonly string[];
  /** Absolute; relative ones in the file are relative to the file. */
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly replicas: number;
  /** Programs that must be on PATH; the service is left out with a message where one is missing. */
  readonly needs: readonly string[];
  /** Time between SIGTERM and SIGKILL. */
  readonly stopTimeoutMs: number;
  readonly version: string;
}
