// An application with the data plane inside, calling and being called in the same process, while the endpoints of what it calls change all the time.
// Run with --expose-gc; arguments: calls, changes. Prints a line of JSON now and then, and one at the end.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import type { Mesh } from '@heddle/client';
import { joinFetch } from '@heddle/client/fetch';
import { joinGrpc } from '@heddle/client/grpc';
import { joinHttp } from '@heddle/client/http';
import { createInsideDataPlane, type InsideDataPlane } from '@heddle/dataplane/direct';
import { InsideServers, insideNetwork, memoryLink } from '@heddle/runtime/inside';
import { createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { endpoint, mustApply, TestMesh } from '../../../packages/dataplane/src/testing/mesh.ts';

const [, , callsText = '', changesText = ''] = process.argv;
const [calls, changes] = [Number(callsText), Number(changesText)];
const INSTANCES = 4;
const AT_ONCE = 16;
const REPORTS = 10;
const QUIET = { debug() {}, info() {}, warn() {}, error: console.error, child: () => QUIET };
const LOOPBACK = '127.0.0.1';
const WEB = 'default/web/web-1';

const collect = (globalThis as unknown as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('run with --expose-gc');

const test = new TestMesh();
const servers = new InsideServers();

function plane(node: string): InsideDataPlane {
  const made = createInsideDataPlane({
    network: insideNetwork(nodeNetwork, servers),
    clock: nodeClock,
    random: nodeRandom,
    logger: QUIET,
    metrics: createMetrics(),
    node,
  });
  test.onClose(() => made.close());
  return made;
}

/** An instance: its server is reached inside the process. Returns its mTLS port. */
async function startInstance(service: string, instance: string, listen: () => Promise<{ port: number }>, isGrpc: boolean): Promise<number> {
  const { port } = await listen();
  return test.inbound(plane(instance), service, instance, port, isGrpc ? { local: { http: 'http2' } } : {});
}

async function httpServer(): Promise<{ port: number }> {
  const server = http.createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  servers.add(port, server);
  test.onClose(() => void server.close());
  return { port };
}

const asIs = (bytes: Buffer): Buffer => bytes;
const ECHO = {
  echo: {
    path: '/soak.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
} as const satisfies grpc.ServiceDefinition;

async function grpcServer(): Promise<{ port: number }> {
  const server = new grpc.Server();
  server.addService(ECHO, {
    echo: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done(null, call.request),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${LOOPBACK}:0`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  test.onClose(() => server.forceShutdown());
  return { port };
}

const web = plane('web');
const ports: Record<'orders' | 'greeter', number[]> = { orders: [], greeter: [] };
for (let at = 1; at <= INSTANCES; at++) {
  ports.orders.push(await startInstance('orders', `orders-${at}`, httpServer, false));
  ports.greeter.push(await startInstance('greeter', `greeter-${at}`, grpcServer, true));
}

type Service = keyof typeof ports;
const endpointsOf = (service: Service, without: number) =>
  ports[service].map((port, at) => endpoint(port, `${service}-${at + 1}`)).filter((_, at) => at !== without);
const ways = new Map<string, { readonly address: string; readonly port: number }>();
for (const service of ['orders', 'greeter'] as const)
  ways.set(`${service}.mesh.internal`, { address: LOOPBACK, port: await test.outbound(web, service, endpointsOf(service, -1)) });

function wayTo(authority: string): { readonly address: string; readonly port: number } {
  return ways.get(authority.replace(/:\d+$/, ''))!;
}
const callsTo = new Map([...ways].map(([authority, bind]) => [authority, web.callsThrough(bind, WEB)]));
/** Two listeners for calls out stand for the one that a control plane configures. */
const mesh: Mesh = {
  workload: WEB,
  serves: (authority) => ways.has(authority.replace(/:\d+$/, '')),
  isReady: true,
  ready: () => Promise.resolve(),
  calls: {
    begin: (request, isComplete, user, soon) => callsTo.get(request.authority.replace(/:\d+$/, ''))!.begin(request, isComplete, user, soon),
  },
  connect() {
    const bind = wayTo('orders.mesh.internal');
    const { connection, stream } = memoryLink({ remoteAddress: LOOPBACK, remotePort: bind.port, localAddress: LOOPBACK, localPort: 0 });
    web.enter(bind, connection, WEB);
    return stream;
  },
  servers,
  hold() {},
  release() {},
};
joinFetch(mesh);
joinHttp(mesh);
joinGrpc(mesh, grpc);

const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
const client = new Echo('greeter.mesh.internal', grpc.credentials.createInsecure()) as unknown as grpc.Client &
  Record<'echo', (request: Buffer, done: (error: Error | null) => void) => void>;
const message = Buffer.alloc(100, 'x');

const KINDS: readonly (() => Promise<void>)[] = [
  async () => {
    const response = await fetch('http://orders.mesh.internal/');
    if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
    await response.text();
  },
  () =>
    new Promise((resolve, reject) => {
      const call = http.get('http://orders.mesh.internal/', (response) => {
        response.on('data', () => {});
        response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(String(response.statusCode)))));
      });
      call.on('error', reject);
    }),
  () => new Promise((resolve, reject) => client.echo(message, (error) => (error === null ? resolve() : reject(error)))),
];

function held(): object {
  for (let again = 0; again < 3; again++) collect!();
  const { heapUsed, external, rss } = process.memoryUsage();
  const sockets = process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP') || name.startsWith('TLS')).length;
  return { heapMb: heapUsed / 1e6, outsideMb: external / 1e6, residentMb: rss / 1e6, sockets };
}

let begun = 0;
let changed = 0;
let failed = 0;
let lastFailure = '';
let told = 0;

async function change(): Promise<void> {
  const at = changed++;
  for (const service of ['orders', 'greeter'] as const)
    await mustApply(web, {
      kind: 'endpoints',
      upserts: [{ cluster: `outbound/default/${service}`, endpoints: endpointsOf(service, at % (INSTANCES + 1)) }],
      removed: [],
    });
}

async function caller(): Promise<void> {
  while (begun < calls) {
    const at = begun++;
    if (changed < (at / calls) * changes) await change();
    if (Math.floor((at / calls) * REPORTS) > told) {
      told += 1;
      console.log(JSON.stringify({ calls: at, changes: changed, failed, ...held() }));
    }
    try {
      await KINDS[at % KINDS.length]!();
    } catch (error) {
      failed += 1;
      lastFailure = String((error as Error).message);
    }
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, caller));
console.log(JSON.stringify({ calls: begun, changes: changed, failed, lastFailure, ...held() }));
client.close();
await test.close();
process.exit(0);
