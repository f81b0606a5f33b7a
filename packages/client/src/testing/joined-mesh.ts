// A process in a mesh as a client of it: `orders` speaks HTTP, `cache` takes connections, both in data planes of their own behind mTLS, without a control
// plane. Tests only.
import type http from 'node:http';
import net from 'node:net';
import { after } from 'node:test';
import type { InsideDataPlane } from '@heddle/dataplane/direct';
import { backgroundNetwork } from '@heddle/runtime/node';
import type { TestAuthority } from '../../../dataplane/src/testing/certificates.ts';
import { endpoint, type RouteOptions } from '../../../dataplane/src/testing/mesh.ts';
import { KeepAlive } from '@heddle/runtime/process';
import { type CallerMesh, TwoPlanes } from './two-planes.ts';

const LOOPBACK = '127.0.0.1';

export interface JoinedMesh {
  readonly mesh: CallerMesh;
  /** The application of `orders`, whose handler may be changed. */
  readonly orders: http.Server;
  readonly ordersPort: number;
  /** Echoes. */
  readonly cache: net.Server;
  readonly cachePort: number;
  readonly authority: TestAuthority;
  /** The calling plane. */
  readonly web: InsideDataPlane;
  /** Behind `orders`. */
  readonly inbound: InsideDataPlane;
}

/** Closed after the tests of the file. */
export function joinedMesh(handler: http.RequestListener, route: RouteOptions = {}): Promise<JoinedMesh> {
  const planes = new TwoPlanes();
  after(() => planes.close());
  return meshOf(planes, handler, route);
}

/** Nothing of it keeps the process alive but what is held. */
export async function backgroundMesh(handler: http.RequestListener): Promise<JoinedMesh> {
  const planes = new TwoPlanes(backgroundNetwork);
  const made = await meshOf(planes, handler, {});
  const { mesh, orders, ordersPort, cache } = made;
  planes.servers.add(ordersPort, orders.unref());
  cache.unref().on('connection', (socket) => void socket.unref());
  const keepAlive = new KeepAlive();
  mesh.hold = () => keepAlive.hold();
  mesh.release = () => keepAlive.release();
  return made;
}

async function meshOf(planes: TwoPlanes, handler: http.RequestListener, route: RouteOptions): Promise<JoinedMesh> {
  const { mesh: test } = planes;
  const { server: orders, port: ordersPort } = await test.application(handler);
  const cache = net.createServer((socket) => void socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((resolve) => cache.listen(0, LOOPBACK, resolve));
  test.onClose(() => void cache.close());
  const inbound = planes.plane('orders');
  const ordersIn = await test.inbound(inbound, 'orders', 'orders-1', ordersPort);
  const { port: cachePort } = cache.address() as net.AddressInfo;
  const cacheIn = await test.inbound(planes.plane('cache'), 'cache', 'cache-1', cachePort, { tcp: true });

  const mesh = await planes.caller([
    { service: 'orders', endpoints: [endpoint(ordersIn, 'orders-1')], route },
    { service: 'cache', endpoints: [endpoint(cacheIn, 'cache-1')], domain: 'cache.mesh.internal:6379', route: { connect: 'forward' } },
  ]);
  return { mesh, orders, ordersPort, cache, cachePort, web: mesh.plane, inbound, authority: test.authority };
}
