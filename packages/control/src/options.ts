// What a control plane is started with.
import type { MeshConfig } from '@heddle/core';
import type { DnsSettings } from '@heddle/dns';
import type { Clock, Logger, Random } from '@heddle/runtime';
import type { CaSource } from './ca/index.ts';
import type { MeshSource } from './mesh-file/read.ts';
import type { LoginOptions } from './login/logins.ts';
import type { AnomalySettings } from './telemetry/anomaly-watch.ts';

export interface ControlOptions {
  readonly mesh: MeshConfig;
  /** Where it was read from. Absent: from nowhere; it counts as changed when it says something else than the last time. */
  readonly meshFile?: MeshSource;
  /** Created, readable by its owner only, when it is not there. */
  readonly stateDir: string;
  /** Port 0: the system chooses. Default of the CLI: 127.0.0.1:15010. */
  readonly listen: { readonly address: string; readonly port: number };
  /** Absent: no names are served. Default of the CLI: 127.0.0.1:15053, instances. */
  readonly dns?: DnsSettings;
  /** The REST API: HTTP on loopback, TLS elsewhere. Port 0: the system chooses. Absent: there is none. Default of the CLI: 127.0.0.1:15080. */
  readonly rest?: { readonly address: string; readonly port: number };
  /** Administrators who log in at an issuer. Absent: tokens alone count. */
  readonly login?: LoginOptions;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** `memory`: nothing of the registry outlives the process. Default: `registry.sqlite` in the state directory. */
  readonly store?: 'memory';
  /** What signs certificates. Default: a root of our own, made at the first start. */
  readonly ca?: CaSource;
  /** Life of workloads' certificates. Default 1 h; held within 2 s and 7 days. */
  readonly certificateTtlMs?: number;
  /** How long after its end a certificate can still be renewed by who holds its key. Default 7 days; 0: never; at most 90 days. */
  readonly lateRenewalMs?: number;
  /** How often data planes are to report their traffic and load; traffic is kept in steps of it. Default 5 s. */
  readonly reportIntervalMs?: number;
  /** How shifts of traffic are found. Default: windows of 6 intervals, compared with the last 120, after 20. */
  readonly anomalies?: Partial<AnomalySettings>;
}
