// One control plane of one size: started, filled, followed by data planes; then changed all over, and in one service that all data planes follow.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Process } from '../support/processes.ts';
import type { Measure } from '../support/result.ts';
import { startControlPlane } from './control-plane.ts';
import { latencies, percentile } from './latency.ts';
import type { Applied, DataPlanesSpec } from './programs/data-planes.ts';
import type { Change, InstancesSpec } from './programs/instances.ts';
import { calledServices, type Size } from './size.ts';

/** Load processes that hold data planes. */
const PROGRAMS = 2;
/** Everything that was under way has come to an end. */
const SETTLE_MS = 3_000;
/** A change of the service that all follow goes to all data planes: so many a second leave time between them. */
const SHARED_CHANGES_PER_SECOND = 2;

export interface MeasureOptions {
  readonly seconds: number;
  readonly built: boolean;
  readonly root: string;
  readonly folder: string;
  readonly cores: { readonly load: number; readonly proxies: number } | undefined;
  readonly profile: string | undefined;
}

export function measuresOf({ dataPlanes, calledByEach }: Size): Measure[] {
  return [
    { key: 'p50Ms', label: `ms to the last of ${calledByEach} subscribers, p50`, digits: 1 },
    { key: 'p99Ms', label: `ms to the last of ${calledByEach} subscribers, p99`, digits: 1 },
    { key: 'sentP99Ms', label: 'the same from before the call, p99', digits: 1 },
    { key: 'sharedP50Ms', label: `ms to all ${dataPlanes} data planes, p50`, digits: 1 },
    { key: 'sharedP99Ms', label: `ms to all ${dataPlanes} data planes, p99`, digits: 1 },
    { key: 'cpuMsPerChange', label: 'CPU ms per change', digits: 2 },
    { key: 'sharedCpuMsPerChange', label: `CPU ms per change to all ${dataPlanes}`, digits: 1 },
    { key: 'idleCpuPercent', label: 'CPU % without changes', digits: 1 },
    { key: 'kbPerChange', label: 'kB on the wire per change', digits: 2 },
    { key: 'startMb', label: 'MB at the start', digits: 0 },
    { key: 'instancesMb', label: 'MB with all instances', digits: 0 },
    { key: 'dataPlanesMb', label: 'MB with all data planes', digits: 0 },
    { key: 'peakMb', label: 'MB at most, under changes', digits: 0 },
    { key: 'registerSeconds', label: 's to register all instances', digits: 1 },
    { key: 'connectSeconds', label: 's until all data planes have everything', digits: 1 },
  ];
}

export async function measure(size: Size, options: MeasureOptions): Promise<Record<string, number>> {
  const { folder, cores } = options;
  const running: Process[] = [];
  const stop = async (): Promise<void> => {
    for (const one of running.splice(0).reverse()) await one.stop();
  };
  const interrupted = (): void => void stop().then(() => process.exit(130));
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const program = (name: string, part: string, spec: object): Process => {
    const file = join(folder, `${part}.json`);
    writeFileSync(file, JSON.stringify(spec), { mode: 0o600 });
    const path = join(import.meta.dirname, 'programs', `${name}.ts`);
    const started = new Process(part, cores?.load, [process.execPath, '--conditions=heddle-source', path, file]);
    running.push(started);
    return started;
  };
  try {
    const { process: control, access } = await startControlPlane({ ...options, core: cores?.proxies, size });
    running.push(control);
    const startMb = control.residentMb();
    const instancesSpec: InstancesSpec = { access, size };
    const instances = program('instances', 'instances', instancesSpec);
    const { seconds: registerSeconds } = JSON.parse(await instances.nextLine()) as { seconds: number };
    const instancesMb = control.residentMb();
    const connectMs = performance.now();
    const each = Math.ceil(size.dataPlanes / PROGRAMS);
    const planes = Array.from({ length: PROGRAMS }, (_, index) => {
      const spec: DataPlanesSpec = { access, size, from: index * each, to: Math.min(size.dataPlanes, (index + 1) * each) };
      return program('data-planes', `data-planes-${index}`, spec);
    });
    await Promise.all(planes.map((one) => one.nextLine()));
    const connectSeconds = (performance.now() - connectMs) / 1_000;
    const dataPlanesMb = control.residentMb();
    const site = new Site(control, instances, planes);
    const changed = await changeAll(site, size, options.seconds);
    const shared = await changeShared(site, size, options.seconds);
    const peakMb = site.peakMb();
    await endGently(control, options.profile);
    return { ...changed, ...shared, startMb, instancesMb, dataPlanesMb, peakMb, registerSeconds, connectSeconds };
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    await stop();
  }
}

class Site {
  readonly #control: Process;
  readonly #instances: Process;
  readonly #planes: readonly Process[];
  #peakMb = 0;
  #wireBytes = 0;

  constructor(control: Process, instances: Process, planes: readonly Process[]) {
    this.#control = control;
    this.#instances = instances;
    this.#planes = planes;
  }

  peakMb(): number {
    return this.#peakMb;
  }

  async subscribe(service: number): Promise<void> {
    await Promise.all(this.#planes.map((plane) => plane.ask(JSON.stringify({ subscribe: service }))));
  }

  /** CPU seconds of the control plane while nothing changes. */
  async idle(seconds: number): Promise<number> {
    await delay(SETTLE_MS);
    const before = this.#control.cpuSeconds();
    await delay(seconds * 1_000);
    return this.#control.cpuSeconds() - before;
  }

  async change(services: readonly number[], perSecond: number, seconds: number) {
    await this.#take();
    const wireBytes = this.#wireBytes;
    const before = this.#control.cpuSeconds();
    const watch = setInterval(() => this.#watchMemory(), 250);
    const changes = JSON.parse(await this.#instances.ask(JSON.stringify({ services, perSecond, seconds }))) as Change[];
    await delay(SETTLE_MS);
    clearInterval(watch);
    const cpuSeconds = this.#control.cpuSeconds() - before;
    const applied = await this.#take();
    return { changes, applied, cpuSeconds, wireBytes: this.#wireBytes - wireBytes };
  }

  #watchMemory(): void {
    this.#peakMb = Math.max(this.#peakMb, this.#control.residentMb());
  }

  async #take(): Promise<Applied[]> {
    this.#watchMemory();
    const answers = await Promise.all(this.#planes.map((plane) => plane.ask(JSON.stringify({ take: true }))));
    const taken = answers.map((answer) => JSON.parse(answer) as { wireBytes: number; applied: Applied[] });
    this.#wireBytes = taken.reduce((sum, { wireBytes }) => sum + wireBytes, 0);
    return taken.flatMap(({ applied }) => applied);
  }
}

/** Instances of all services that data planes call. */
async function changeAll(site: Site, size: Size, seconds: number): Promise<Record<string, number>> {
  const idleSeconds = Math.min(10, seconds);
  const idleCpuSeconds = await site.idle(idleSeconds);
  const services = Array.from({ length: size.dataPlanes }, (_, index) => index);
  const subscribers = new Map<number, number[]>(services.map((service) => [service, []]));
  for (const plane of services) for (const service of calledServices(plane, size)) subscribers.get(service)?.push(plane);
  const { changes, applied, cpuSeconds, wireBytes } = await site.change(services, size.changesPerSecond, seconds);
  const { toAll, toAllFromSent } = latencies(changes, applied, (service) => subscribers.get(service) ?? []);
  const idlePerSecond = idleCpuSeconds / idleSeconds;
  return {
    p50Ms: percentile(toAll, 0.5),
    p99Ms: percentile(toAll, 0.99),
    sentP99Ms: percentile(toAllFromSent, 0.99),
    cpuMsPerChange: ((cpuSeconds - idlePerSecond * (seconds + SETTLE_MS / 1_000)) * 1_000) / changes.length,
    idleCpuPercent: idlePerSecond * 100,
    kbPerChange: wireBytes / 1_024 / changes.length,
  };
}

/** Instances of one service that every data plane calls. */
async function changeShared(site: Site, size: Size, seconds: number): Promise<Record<string, number>> {
  const service = size.dataPlanes - 1;
  await site.subscribe(service);
  await delay(SETTLE_MS);
  const { changes, applied, cpuSeconds } = await site.change([service], SHARED_CHANGES_PER_SECOND, seconds);
  const everybody = Array.from({ length: size.dataPlanes }, (_, index) => index);
  const { toAll } = latencies(changes, applied, () => everybody);
  return {
    sharedP50Ms: percentile(toAll, 0.5),
    sharedP99Ms: percentile(toAll, 0.99),
    sharedCpuMsPerChange: (cpuSeconds * 1_000) / changes.length,
  };
}

/** A profile is written only by a process that ends by itself. */
async function endGently(control: Process, profile: string | undefined): Promise<void> {
  if (profile === undefined) return;
  control.terminate();
  for (let waitedMs = 0; control.isAlive && waitedMs < 30_000; waitedMs += 100) await delay(100);
}
