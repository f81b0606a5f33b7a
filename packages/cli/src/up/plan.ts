// What `heddle up` will run, decided before anything is started: which instances, in which order they are stopped, what is left out.
import { serviceKey, type MeshConfig, type RunConfig, type ServiceConfig } from '@heddle/core';

export interface PlannedInstance {
  readonly config: ServiceConfig;
  readonly run: RunConfig;
  /** `orders-1` */
  readonly id: string;
  /** `<namespace>/<service>/<instance>` */
  readonly workload: string;
}

export interface LeftOut {
  readonly config: ServiceConfig;
  readonly missing: readonly string[];
}

export interface Plan {
  readonly instances: readonly PlannedInstance[];
  /** Services whose needs are not met. They stay in the mesh, so that callers get 503 at once instead of an unknown name. */
  readonly leftOut: readonly LeftOut[];
  /** Services of the file that somebody else starts. */
  readonly external: readonly ServiceConfig[];
}

/** @param isOnPath whether a program can be found. */
export function planMesh(mesh: MeshConfig, isOnPath: (program: string, config: ServiceConfig) => boolean): Plan {
  const instances: PlannedInstance[] = [];
  const leftOut: LeftOut[] = [];
  const external: ServiceConfig[] = [];
  for (const config of mesh.services) {
    const { run, service } = config;
    if (run === undefined) {
      external.push(config);
      continue;
    }
    const missing = run.needs.filter((program) => !isOnPath(program, config));
    if (missing.length > 0) {
      leftOut.push({ config, missing });
      continue;
    }
    for (let number = 1; number <= run.replicas; number++) {
      const id = `${service.name}-${number}`;
      instances.push({ config, run, id, workload: `${serviceKey(service)}/${id}` });
    }
  }
  return { instances, leftOut, external };
}

/**
 * The services in the order in which they are stopped: callers before those they call, so that the last requests are still
 * answered. Services that call one another in a circle stop together.
 */
export function stopOrder(services: readonly ServiceConfig[]): string[][] {
  const left = new Map(services.map((config) => [serviceKey(config.service), config]));
  const waves: string[][] = [];
  while (left.size > 0) {
    const called = new Set([...left.entries()].flatMap(([key, { uses }]) => uses.map(serviceKey).filter((used) => used !== key)));
    const free = [...left.keys()].filter((key) => !called.has(key));
    const wave = free.length > 0 ? free : [...left.keys()];
    waves.push(wave);
    for (const key of wave) left.delete(key);
  }
  return waves;
}

const LIVENESS_MIN_MS = 10_000;

/** How long an instance that was healthy may be called unhealthy before it is restarted. */
export function livenessAfterMs({ service }: ServiceConfig): number {
  return Math.max(LIVENESS_MIN_MS, 3 * service.health.unhealthyAfter * service.health.intervalMs);
}
