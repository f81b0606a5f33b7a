// An application with the data plane inside, calling and being called in the same process, while the endpoints of what it calls change all the time.
// Run with --expose-gc; arguments: calls, changes. Prints a line of JSON now and then, and one at the end.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import grpc from '@grpc/grpc-js';
import { joinFetch } from '@heddle/client/fetch';
import { joinGrpc } from '@heddle/client/grpc';
import { joinHttp } from '@heddle/client/http';
import { nodeNetwork } from '@heddle/runtime/node';
import { clusterOf, TwoPlanes } from '../../../packages/client/src/testing/two-planes.ts';
import { endpoint, mustApply } from '../../../packages/dataplane/src/testing/mesh.ts';
import { ECHO, echoClient } from '../../support/grpc-echo.ts';

const [, , callsText = '', changesText = ''] = process.argv;
const [calls, changes] = [Number(callsText), Number(changesText)];
const INSTANCES = 4;
const AT_ONCE = 16;
const REPORTS = 10;
const QUIET = { debug() {}, info() {}, warn() {}, error: console.error, child: () => QUIET };
const LOOPBACK = '127.0.0.1';

const collect = (globalThis as unknown as { gc?: () => void }).gc;
if (collect === undefined) throw new Error('run with --expose-gc');

const planes = new TwoPlanes(nodeNetwork, QUIET);
const { mesh: test, servers } = planes;

/** An instance: its server is reached inside the process. Returns its mTLS port. */
async function startInstance(service: string, instance: string, listen: () => Promise<{ port: number }>, isGrpc: boolean): Promise<number> {
  const { port } = await listen();
  return test.inbound(planes.plane(instance), service, instance, port, isGrpc ? { local: { http: 'http2' } } : {});
}

async function httpServer(): Promise<{ port: number }> {
  const server = http.createServer((_request, response) => response.end('hello'));
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  servers.add(port, server);
  test.onClose(() => void server.close());
  return { port };
}

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

const ports: Record<'orders' | 'greeter', number[]> = { orders: [], greeter: [] };
for (let at = 1; at <= INSTANCES; at++) {
  ports.orders.push(await startInstance('orders', `orders-${at}`, httpServer, false));
  ports.greeter.push(await startInstance('greeter', `greeter-${at}`, grpcServer, true));
}

const endpointsOf = (service: keyof typeof ports, without: number) =>
  ports[service].map((port, at) => endpoint(port, `${service}-${at + 1}`)).filter((_, at) => at !== without);
const SERVICES = ['orders', 'greeter'] as const;
const mesh = await planes.caller(SERVICES.map((service) => ({ service, endpoints: endpointsOf(service, -1) })));
joinFetch(mesh);
joinHttp(mesh);
joinGrpc(mesh, grpc);

const client = echoClient('greeter.mesh.internal');
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
  () => client.echo(message),
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
  for (const service of SERVICES)
    await mustApply(mesh.plane, {
      kind: 'endpoints',
      upserts: [{ cluster: clusterOf(service), endpoints: endpointsOf(service, at % (INSTANCES + 1)) }],
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
await planes.close();
process.exit(0);
