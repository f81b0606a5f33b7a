// All instances of the mesh, registered by their data planes' side of the contract: one Register stream each, held open. Changes are reports of
// health on these streams, sent at a fixed rate whether earlier ones have been answered or not.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import { controlChannelOptions, DiscoveryClient, operatorMetadata } from '@heddle/api/grpc-js';
import { calledServices, nodeName, serviceName, type Size } from '../size.ts';
import { type Access, inParallel, operatorChannel } from './access.ts';

/** Of one connection; the control plane allows 1,024. */
const STREAMS_PER_CONNECTION = 1_000;
/** The longest that the registry gives: no heartbeat is due while this program runs. */
const LEASE_TTL_MS = 300_000;

export interface InstancesSpec {
  readonly access: Access;
  readonly size: Size;
}

export interface Change {
  readonly service: number;
  /** The registry's, from the answer. */
  readonly revision: number;
  /** Milliseconds of the machine's monotonic clock. */
  readonly sentMs: number;
  readonly answeredMs: number;
}

class Registered {
  readonly #call: ClientDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>;
  readonly #waiting: ((response: discovery.RegisterResponse) => void)[] = [];
  #isHealthy = true;

  constructor(call: ClientDuplexStream<discovery.RegisterRequest, discovery.RegisterResponse>) {
    this.#call = call;
    call.on('data', (response: discovery.RegisterResponse) => this.#waiting.shift()?.(response));
    call.on('error', (error) => {
      process.stderr.write(`a Register stream ended: ${error.message}\n`);
      process.exit(1);
    });
  }

  send(request: Partial<discovery.RegisterRequest>): Promise<discovery.RegisterResponse> {
    const answer = new Promise<discovery.RegisterResponse>((resolve) => this.#waiting.push(resolve));
    this.#call.write(discovery.RegisterRequest.fromPartial(request));
    return answer;
  }

  async change(service: number): Promise<Change> {
    this.#isHealthy = !this.#isHealthy;
    const sentMs = nowMs();
    const health = discovery.Health[this.#isHealthy ? 'HEALTH_HEALTHY' : 'HEALTH_UNHEALTHY'];
    const { revision } = await this.send({ health, healthReason: 'bench' });
    return { service, revision, sentMs, answeredMs: nowMs() };
  }
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

async function register({ access, size }: InstancesSpec): Promise<Registered[][]> {
  const { target, credentials } = operatorChannel(access);
  const metadata = operatorMetadata(access.token);
  const total = size.services * size.instancesPerService;
  const clients = Array.from(
    { length: Math.ceil(total / STREAMS_PER_CONNECTION) },
    () => new DiscoveryClient(target, credentials, { ...controlChannelOptions(), 'grpc.use_local_subchannel_pool': 1 }),
  );
  const all = Array.from({ length: total }, (_, index) => index);
  const registered = await inParallel(all, 128, async (index) => {
    const stream = new Registered(clients[Math.floor(index / STREAMS_PER_CONNECTION)]!.register(metadata));
    const service = index % size.services;
    const instance = Math.floor(index / size.services);
    await stream.send({
      instance: instanceMessage(service, instance, size),
      health: discovery.Health.HEALTH_HEALTHY,
      leaseTtlMs: LEASE_TTL_MS,
    });
    return stream;
  });
  return Array.from({ length: size.services }, (_, service) => registered.filter((_one, index) => index % size.services === service));
}

function instanceMessage(service: number, instance: number, size: Size): discovery.InstanceMessage {
  const isConnected = instance === 0 && service < size.dataPlanes;
  const called = isConnected ? calledServices(service, size) : [];
  const host = `10.${(service >> 8) & 255}.${service & 255}.${instance + 1}`;
  return discovery.InstanceMessage.fromPartial({
    id: `${serviceName(service)}-${instance}`,
    namespace: 'default',
    service: serviceName(service),
    node: nodeName(service, instance),
    inbound: { address: host, port: 15_006 },
    application: { address: '127.0.0.1', port: 8_080 },
    outbounds: called.map((target, index) => ({
      namespace: 'default',
      service: serviceName(target),
      listen: { address: '127.0.0.1', port: 20_000 + index },
    })),
    version: 'v1',
    labels: { zone: 'a' },
    weight: 1,
  });
}

/** Evenly over time, and over the services given. */
async function change(
  streams: readonly Registered[][],
  services: readonly number[],
  perSecond: number,
  seconds: number,
): Promise<Change[]> {
  const startMs = nowMs();
  const changes: Promise<Change>[] = [];
  for (let count = 0; count < perSecond * seconds; count += 1) {
    const dueMs = startMs + (count * 1_000) / perSecond;
    if (dueMs > nowMs()) await delay(dueMs - nowMs());
    const service = services[count % services.length]!;
    const ofService = streams[service]!;
    changes.push(ofService[Math.floor(count / services.length) % ofService.length]!.change(service));
  }
  return Promise.all(changes);
}

const spec = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as InstancesSpec;
const startMs = nowMs();
const streams = await register(spec);
console.log(JSON.stringify({ seconds: (nowMs() - startMs) / 1_000 }));
for await (const line of createInterface({ input: process.stdin })) {
  const { services, perSecond, seconds } = JSON.parse(line) as { services: number[]; perSecond: number; seconds: number };
  console.log(JSON.stringify(await change(streams, services, perSecond, seconds)));
}
