// The REST API, put together: door, application, watches. It needs nothing of the gRPC server.
import { getRequestListener } from '@hono/node-server';
import type { Clock } from '@heddle/runtime';
import type { Authenticator } from '../server/authenticator.ts';
import type { ServerIdentity } from '../server/tls-door.ts';
import { createApp } from './app.ts';
import { openRestDoor } from './door.ts';
import type { RestDoorLimits } from './door.ts';
import type { RestContext } from './handler.ts';
import { openApiDocument } from './openapi.ts';
import { Pages } from './pages/serve.ts';
import { Watches } from './watch/open.ts';

export interface RestServerOptions
  extends Pick<
    RestContext,
    | 'mesh'
    | 'version'
    | 'startedMs'
    | 'registry'
    | 'meshFile'
    | 'authority'
    | 'tokens'
    | 'denials'
    | 'rotation'
    | 'adminTokens'
    | 'logins'
    | 'audit'
    | 'proxies'
    | 'metrics'
    | 'traffic'
    | 'events'
    | 'logger'
  > {
  readonly listen: { readonly address: string; readonly port: number };
  readonly identity: ServerIdentity;
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  readonly limits?: RestDoorLimits;
}

export interface RestServer {
  readonly address: string;
  readonly port: number;
  /** Whether it speaks TLS: everywhere but on loopback. */
  readonly tls: boolean;
  setIdentity(identity: ServerIdentity): void;
  /** Ends watches, lets calls finish for up to `graceMs`, then drops connections. */
  close(graceMs: number): Promise<void>;
}

/** Rejects with ListenError when the port cannot be taken. */
export async function openRestServer(options: RestServerOptions): Promise<RestServer> {
  const { registry, proxies, traffic, events, clock, logger, mesh, authenticator } = options;
  const epoch = options.startedMs.toString(36);
  const watches = new Watches({ registry, proxies, traffic, events, epoch, clock });
  let isStopping = false;
  let document: string | undefined;
  const app = createApp({
    logger,
    authenticator,
    pages: new Pages(),
    rules: () => ({ address: door.address, tls: door.tls }),
    context: {
      mesh,
      version: options.version,
      startedMs: options.startedMs,
      registry,
      meshFile: options.meshFile,
      authority: options.authority,
      tokens: options.tokens,
      denials: options.denials,
      rotation: options.rotation,
      adminTokens: options.adminTokens,
      logins: options.logins,
      audit: options.audit,
      proxies,
      metrics: options.metrics,
      traffic,
      events,
      watches,
      logger,
      epoch,
      document: () => (document ??= JSON.stringify(openApiDocument(options.version))),
      isStopping: () => isStopping,
    },
  });
  const listener = getRequestListener(app.fetch, {
    // Other code in this process keeps the Request and Response that it knows.
    overrideGlobalObjects: false,
    // Bodies are read here, and read to their end.
    autoCleanupIncoming: false,
  });
  const door = await openRestDoor({
    ...options.listen,
    identity: options.identity,
    onRequest: (request, response) => void listener(request, response),
    clock,
    logger,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  }).catch((error: unknown) => {
    watches.close();
    throw error;
  });
  return {
    address: door.address,
    port: door.port,
    tls: door.tls,
    setIdentity: (identity) => door.setIdentity(identity),
    close: async (graceMs) => {
      isStopping = true;
      const closed = door.close(graceMs);
      watches.close();
      await closed;
    },
  };
}
