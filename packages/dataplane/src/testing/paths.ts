// The ways through data planes that every behaviour is tested on: client of either version, application of either version, one data plane in
// between or a pair with mutual TLS. Tests only.
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Cluster, Limits } from '@heddle/core';
import { createClient } from './clients.ts';
import type { Client, Version } from './clients.ts';
import { endpoint } from './mesh.ts';
import type { Plane, RouteOptions, TestMesh } from './mesh.ts';

export interface PathOptions {
  readonly limits?: Partial<Limits>;
  readonly route?: RouteOptions;
  /** Of the cluster that the client's requests go to. */
  readonly cluster?: Partial<Cluster>;
  /** Of the clusters that lead to the applications behind the second data plane. */
  readonly local?: Partial<Cluster>;
}

/** Requests of either version look the same in node's compatibility interface. */
export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export interface Application {
  readonly port: number;
  readonly server: http.Server | http2.Http2Server;
  readonly sockets: Set<Socket>;
}

/** On node:http or node:http2, kept apart from the codec under test; closed with the mesh. Without a handler: the caller adds its own. */
export async function startApplication(
  mesh: TestMesh,
  version: Version,
  handler: Handler | undefined,
  settings: http2.ServerOptions = {},
): Promise<Application> {
  const server = version === 'http1' ? http.createServer() : http2.createServer(settings);
  if (handler !== undefined) server.on('request', handler);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.on('sessionError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mesh.onClose(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  );
  return { port: (server.address() as AddressInfo).port, server, sockets };
}

export interface Way {
  /** Port that clients of either version call. */
  readonly port: number;
  /** In the order that a request meets them. */
  readonly planes: readonly Plane[];
  client(version: Version): Client;
}

function wayOf(mesh: TestMesh, port: number, planes: readonly Plane[]): Way {
  return {
    port,
    planes,
    client: (version) => {
      const client = createClient(version, port);
      mesh.onClose(() => client.close());
      return client;
    },
  };
}

/** One data plane; its upstream is the application. */
export async function single(mesh: TestMesh, http: Version, applicationPorts: readonly number[], options: PathOptions = {}): Promise<Way> {
  const web = mesh.plane('web', options.limits);
  const cluster: Partial<Cluster> = { http, tls: undefined, ...options.cluster };
  const endpoints = applicationPorts.map((port, index) => endpoint(port, `orders-${index + 1}`));
  const port = await mesh.outbound(web.plane, 'orders', endpoints, { route: options.route, cluster });
  return wayOf(mesh, port, [web]);
}

/** Two data planes, HTTP/2 with mutual TLS between them; the second hosts all instances. */
export async function pair(
  mesh: TestMesh,
  http: Version,
  applicationPorts: number | readonly number[],
  options: PathOptions = {},
): Promise<Way> {
  const web = mesh.plane('web', options.limits);
  const orders = mesh.plane('orders', options.limits);
  const endpoints = [];
  for (const [index, applicationPort] of [applicationPorts].flat().entries()) {
    const instance = `orders-${index + 1}`;
    endpoints.push(
      endpoint(await mesh.inbound(orders.plane, 'orders', instance, applicationPort, { local: { http, ...options.local } }), instance),
    );
  }
  const port = await mesh.outbound(web.plane, 'orders', endpoints, { route: options.route, cluster: options.cluster });
  return wayOf(mesh, port, [web, orders]);
}

export const VERSIONS: readonly Version[] = ['http1', 'http2'];
export const HOPS = ['single', 'pair'] as const;

export function startWay(
  mesh: TestMesh,
  hops: (typeof HOPS)[number],
  version: Version,
  applicationPorts: number | readonly number[],
  options?: PathOptions,
): Promise<Way> {
  return hops === 'single' ? single(mesh, version, [applicationPorts].flat(), options) : pair(mesh, version, applicationPorts, options);
}

/** Nothing is under way any more, on any of the data planes. */
export function isQuiet(planes: readonly Plane[]): boolean {
  return planes.every(({ plane }) => plane.status().activeRequests === 0);
}
