// What `serve` takes, as what takes connections: a server of Node.
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import { createServer as createDoorway, Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { MeshError } from '../errors.ts';
import { type FetchApp, listenerOf } from './fetch-handler.ts';

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Of fastify, as far as it is needed. */
export interface FastifyLike {
  ready(): PromiseLike<unknown>;
  readonly server: NetServer;
}

/** Of koa, as far as it is needed. */
export interface KoaLike {
  callback(): Listener;
}

/** A `Server` of grpc-js, as far as it is needed. */
export interface GrpcServerLike<Credentials = unknown> {
  createConnectionInjector(credentials: Credentials): { injectConnection(connection: Duplex): void; destroy(): void };
}

/** A server of node:http, node:http2 (without TLS) or node:net; what listens to the requests of one (express, `koa.callback()`); an app. */
export type Application = NetServer | Listener | FetchApp | FastifyLike | KoaLike | GrpcServerLike;

export interface TakenApplication {
  /** It need not listen. */
  readonly server: NetServer;
  /** Undoes what was done for it. */
  close(): void;
}

/**
 * @param credentials for a server of grpc-js
 * @throws MeshError `BAD_OPTIONS`
 */
export async function takeApplication(application: Application, credentials: unknown): Promise<TakenApplication> {
  if (application instanceof NetServer) return { server: plain(application), close: nothing };
  if (typeof application === 'function') return own(createServer(application as Listener));
  if (isGrpc(application)) return injected(application, credentials);
  if (isFastify(application)) {
    await application.ready();
    return { server: plain(application.server), close: nothing };
  }
  if (isKoa(application)) return own(createServer(application.callback()));
  if (isFetchApp(application)) return own(createServer(listenerOf(application)));
  throw new MeshError(
    'BAD_OPTIONS',
    'serve was given something that takes no requests; give it a server of node:http or node:http2, a request listener, an app of express, fastify, hono ' +
      'or koa, an object with a `fetch` method, or a Server of grpc-js',
  );
}

const nothing = (): void => {};

function own(server: HttpServer): TakenApplication {
  return { server, close: () => server.closeAllConnections() };
}

function plain(server: NetServer): NetServer {
  if (typeof (server as { readonly setSecureContext?: unknown }).setSecureContext !== 'function') return server;
  throw new MeshError(
    'BAD_OPTIONS',
    'serve was given a server that speaks TLS; give it one without: the data plane ends the TLS of the mesh before it',
  );
}

function injected(grpc: GrpcServerLike, credentials: unknown): TakenApplication {
  if (credentials === undefined)
    throw new MeshError(
      'BAD_OPTIONS',
      'a Server of grpc-js also needs `credentials: grpc.ServerCredentials.createInsecure()`: the data plane ends the TLS',
    );
  const injector = grpc.createConnectionInjector(credentials);
  const server = createDoorway({ allowHalfOpen: true }, (connection) => injector.injectConnection(connection));
  return { server, close: () => injector.destroy() };
}

function isGrpc(application: object): application is GrpcServerLike {
  return 'createConnectionInjector' in application;
}

function isFastify(application: object): application is FastifyLike {
  return 'ready' in application && (application as Partial<FastifyLike>).server instanceof NetServer;
}

function isKoa(application: object): application is KoaLike {
  return typeof (application as Partial<KoaLike>).callback === 'function';
}

function isFetchApp(application: object): application is FetchApp {
  return typeof (application as Partial<FetchApp>).fetch === 'function';
}
