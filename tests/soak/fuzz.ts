// Hostile clients and hostile instances at a running proxy, while honest ones use it: none of their requests may fail, the proxy must live
// without a fault of its own, and afterwards hold nothing any more. Everything that is thrown at it follows from the seed.
import { setTimeout as delay } from 'node:timers/promises';
import { TestAuthority } from '../../packages/runtime/src/testing/certificates.ts';
import { SERVER_NAME } from './support/corpus.ts';
import { Dice } from './support/dice.ts';
import { planClient, runClient, type Target } from './support/hostile-client.ts';
import { hostileHttp1, hostileHttp2, hostileRaw, type HostileUpstream } from './support/hostile-upstream.ts';
import { type Door, type Failure, HonestClient } from './support/honest-clients.ts';
import { type HonestServer, startHttp1, startHttp2, startTcp, startTls } from './support/honest-servers.ts';
import type { MemorySample } from './support/memory.ts';
import { type HeldMemory, SoakedProxy, type StaticListenerText } from './support/proxy.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Hostile connections at a time. */
  readonly atOnce: number;
  /** Hostile connections begun, and requests of each honest client. */
  readonly clientsPerSecond: number;
  readonly requestsPerSecond: number;
  /** Only these hostile clients, one after another, to repeat what a run has shown. */
  readonly only?: readonly number[];
  /** Idle connections to instances, which the proxy keeps for half a minute, must go, too. */
  readonly isPatient: boolean;
  readonly say: (line: string) => void;
}

export interface FuzzReport {
  readonly seed: number;
  readonly seconds: number;
  readonly hostileClients: number;
  readonly byKind: Readonly<Record<string, number>>;
  readonly hostileUpstreamConnections: number;
  readonly answered: number;
  readonly failures: readonly Failure[];
  /** Of the proxy itself, with the numbers of the clients around it. */
  readonly faults: readonly string[];
  readonly isAlive: boolean;
  /** Of the proxy, when it was asked to stop at the end; undefined: it did not. */
  readonly exitCode: number | null | undefined;
  readonly internalFaults: number;
  /** What the proxy still held at the end, by metric; empty: nothing. */
  readonly held: Readonly<Record<string, number>>;
  readonly cpuSeconds: number;
  /** As it went, with its garbage. */
  readonly samples: readonly MemorySample[];
  /** After the first tenth, and at the end; undefined: it did not come to that. */
  readonly warm: HeldMemory | undefined;
  readonly end: HeldMemory | undefined;
}

const SAMPLES = 60;
/** The longest of the proxy's limits that end what is left, `streamIdleTimeoutMs`, and some time. */
const RELEASE_DEADLINE_MS = 330_000;
const HELD = ['heddle_active_requests', 'heddle_downstream_connections', 'heddle_upstream_pending_requests', 'heddle_tcp_streams'];
const HELD_FOR_A_WHILE = ['heddle_upstream_connections'];
const TLS = { cert: 'server.pem', key: 'server.key' };
/** Each service with the listeners that lead to it. */
const LISTENERS: readonly (StaticListenerText & { readonly isHonest: boolean })[] = [
  { service: 'web1', isHonest: true },
  { service: 'web1', tls: TLS, isHonest: true },
  { service: 'web2', isHonest: true },
  { service: 'web2', tls: TLS, isHonest: true },
  { service: 'raw', protocol: 'tcp', isHonest: true },
  { service: 'raw', protocol: 'tcp', tls: TLS, isHonest: true },
  { service: 'any', protocol: 'auto', isHonest: true },
  { service: 'mixed', protocol: 'auto', isHonest: true },
  { service: 'through', protocol: 'tls', sni: { [SERVER_NAME]: 'through' }, isHonest: true },
  { service: 'evil1', isHonest: false },
  { service: 'evil1', tls: TLS, isHonest: false },
  { service: 'evil2', isHonest: false },
  { service: 'evil2', tls: TLS, isHonest: false },
  { service: 'evilraw', protocol: 'tcp', isHonest: false },
  { service: 'evilany', protocol: 'auto', isHonest: false },
];

interface Field {
  readonly proxy: SoakedProxy;
  readonly targets: readonly Target[];
  readonly doors: readonly Door[];
  readonly upstreams: readonly HostileUpstream[];
  close(): Promise<void>;
}

async function startField(seed: number): Promise<Field> {
  const authority = new TestAuthority();
  const { certificatePem, keyPem } = authority.leaf({ uris: [], dns: [SERVER_NAME] });
  const [web1, web2, raw, through] = await Promise.all([
    startHttp1(),
    startHttp2(),
    startTcp(),
    startTls({ cert: certificatePem, key: keyPem }),
  ]);
  const upstreams = await Promise.all([hostileHttp1(seed), hostileHttp2(seed), hostileRaw(seed)]);
  const [evil1, evil2, evilRaw] = upstreams;
  const at = ({ port }: { port: number }, more: object = {}): object => ({ endpoints: [`127.0.0.1:${port}`], ...more });
  // An instance that never answers must not hold its clients for longer than these stay.
  const evil = { timeout: '2s' };
  const services = {
    web1: at(web1),
    web2: at(web2, { protocol: 'http2' }),
    raw: at(raw, { protocol: 'tcp' }),
    any: at(web1, { protocol: 'auto' }),
    mixed: at(raw, { protocol: 'auto' }),
    through: at(through, { protocol: 'tls' }),
    evil1: at(evil1, evil),
    evil2: at(evil2, { protocol: 'http2', ...evil }),
    evilraw: at(evilRaw, { protocol: 'tcp' }),
    evilany: at(evil1, { protocol: 'auto', ...evil }),
  };
  const servers: readonly HonestServer[] = [web1, web2, raw, through];
  const close = async (proxy?: SoakedProxy): Promise<void> => {
    await proxy?.stop();
    for (const server of [...servers, ...upstreams]) server.close();
  };
  try {
    const texts = LISTENERS.map(({ isHonest: _, ...text }) => text);
    const proxy = await SoakedProxy.start(texts, services, { 'server.pem': certificatePem, 'server.key': keyPem });
    const ports = await proxy.ports(texts);
    const targets = LISTENERS.map(({ service, tls, isHonest }, index) => ({
      name: `${service}${tls === undefined ? '' : ' by TLS'}`,
      port: ports[index]!,
      tls: tls !== undefined,
      isHonestDoor: isHonest,
    }));
    return { proxy, targets, doors: doorsOf(targets, authority.rootsPem), upstreams, close: () => close(proxy) };
  } catch (error) {
    await close();
    throw error;
  }
}

function doorsOf(targets: readonly Target[], ca: string): Door[] {
  const door = (service: string, how: Door['how'], secured?: 'ca'): Door => {
    const { port, name } = targets.find((target) => target.name === service)!;
    return { name: `${how} to ${name}`, port, how, ...(secured === undefined ? {} : { ca }) };
  };
  return [
    door('web1', 'http1'),
    door('web1', 'http2'),
    door('web1 by TLS', 'http1', 'ca'),
    door('web1 by TLS', 'http2', 'ca'),
    door('web2', 'http1'),
    door('web2', 'http2'),
    door('web2 by TLS', 'http2', 'ca'),
    door('any', 'http1'),
    door('any', 'http2'),
    door('raw', 'tcp'),
    door('raw by TLS', 'tcp', 'ca'),
    door('mixed', 'tcp'),
    door('through', 'tcp', 'ca'),
  ];
}

/** The clients that the dice send, at a steady rate. */
class Attack {
  readonly byKind: Record<string, number> = {};
  started = 0;
  private readonly running = new Set<Promise<void>>();
  private readonly options: FuzzOptions;
  private readonly targets: readonly Target[];

  constructor(options: FuzzOptions, targets: readonly Target[]) {
    this.options = options;
    this.targets = targets;
  }

  async run(endMs: number, goesOn: () => boolean): Promise<void> {
    const { clientsPerSecond, atOnce } = this.options;
    const startMs = performance.now();
    while (performance.now() < endMs && goesOn()) {
      const due = ((performance.now() - startMs) / 1_000) * clientsPerSecond;
      while (this.started < due && this.running.size < atOnce) this.begin(this.started);
      await delay(10);
    }
    await Promise.all(this.running);
  }

  async runOnly(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) {
      const plan = planClient(new Dice(this.options.seed, 1, number), this.targets);
      const { kind, target, alpn, chunks, ending } = plan;
      const bytes = Buffer.concat(chunks);
      const { say } = this.options;
      say(
        `client ${number}: ${kind} to ${target.name}, alpn ${alpn?.join() ?? '-'}, ${bytes.length} bytes in ${chunks.length}, then ${ending}`,
      );
      say(bytes.toString('latin1', 0, 400).replace(/[^\x20-\x7e\n]/g, '.'));
      this.begin(number);
      await Promise.all(this.running);
    }
  }

  private begin(number: number): void {
    const plan = planClient(new Dice(this.options.seed, 1, number), this.targets);
    this.started += 1;
    this.byKind[plan.kind] = (this.byKind[plan.kind] ?? 0) + 1;
    const one: Promise<void> = runClient(plan).finally(() => this.running.delete(one));
    this.running.add(one);
  }
}

export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, seconds, requestsPerSecond, isPatient, say } = options;
  const field = await startField(seed);
  const { proxy, upstreams } = field;
  const honest = field.doors.map((door, index) => new HonestClient(door, seed, index));
  const attack = new Attack(options, field.targets);
  const faults: string[] = [];
  const failures: Failure[] = [];
  const answered = (): number => honest.reduce((sum, client) => sum + client.answered, 0);
  const upstreamConnections = (): number => upstreams.reduce((sum, upstream) => sum + upstream.accepted(), 0);
  const samples: MemorySample[] = [];
  const startMs = performance.now();
  let [seenFaults, clientsBefore] = [0, 0];
  const watch = (): void => {
    for (const failure of honest.flatMap((client) => client.failures.splice(0))) {
      failures.push(failure);
      say(`FAILED at ${(failure.atMs / 1_000).toFixed(1)} s, ${failure.door}: ${failure.reason}`);
    }
    for (const line of proxy.faults.slice(seenFaults)) {
      const around = `clients ${Math.max(0, clientsBefore - options.atOnce)} to ${attack.started}, upstreams ${upstreams.map((u) => u.accepted()).join('/')}`;
      faults.push(`${around}: ${line}`);
      say(`FAULT near ${around}: ${line}`);
    }
    seenFaults = proxy.faults.length;
    clientsBefore = attack.started;
  };
  const sample = (): void => {
    if (!proxy.isAlive) return;
    const note = { clients: attack.started, upstreams: upstreamConnections(), answered: answered(), failed: failures.length };
    samples.push({ at: (performance.now() - startMs) / 1_000, residentMb: proxy.residentMb(), note });
  };
  const watching = setInterval(watch, 200);
  const sampling = setInterval(sample, (seconds * 1_000) / SAMPLES);
  let warm: HeldMemory | undefined;
  const warming = setTimeout(
    () =>
      void proxy.heldMemory().then(
        (held) => (warm = held),
        () => {},
      ),
    seconds * 100,
  );
  try {
    for (const client of honest) client.start(requestsPerSecond, startMs);
    if (options.only === undefined) await attack.run(startMs + seconds * 1_000, () => proxy.isAlive);
    else await attack.runOnly(options.only);
    clearInterval(sampling);
    await Promise.all(honest.map((client) => client.stop()));
    sample();
    watch();
    const counts = {
      seed,
      seconds: (performance.now() - startMs) / 1_000,
      hostileClients: attack.started,
      byKind: attack.byKind,
      hostileUpstreamConnections: upstreamConnections(),
      answered: answered(),
      failures,
      faults,
      samples,
    };
    if (!proxy.isAlive) {
      say(`the proxy has ended: ${proxy.said}`);
      return { ...counts, isAlive: false, exitCode: null, internalFaults: NaN, held: {}, cpuSeconds: NaN, warm, end: undefined };
    }
    const cpuSeconds = proxy.cpuSeconds();
    const held = await heldAtEnd(proxy, isPatient ? [...HELD, ...HELD_FOR_A_WHILE] : HELD);
    watch();
    const internalFaults = (await proxy.metrics()).sum('heddle_internal_faults_total');
    const { isAlive } = proxy;
    const end = await proxy.heldMemory();
    return { ...counts, isAlive, exitCode: await proxy.stop(), internalFaults, held, cpuSeconds, warm, end };
  } finally {
    clearTimeout(warming);
    clearInterval(watching);
    clearInterval(sampling);
    await field.close();
  }
}

/** Waits until the proxy holds nothing, or long enough. By series of its metrics. */
async function heldAtEnd(proxy: SoakedProxy, names: readonly string[]): Promise<Record<string, number>> {
  const endMs = performance.now() + RELEASE_DEADLINE_MS;
  for (;;) {
    const metrics = await proxy.metrics();
    const held = names.flatMap((name) => metrics.series(name)).filter(([, value]) => value !== 0);
    if (held.length === 0 || performance.now() > endMs) return Object.fromEntries(held);
    // Seldom: what asking costs is garbage of the process whose memory is watched.
    await delay(1_000);
  }
}
