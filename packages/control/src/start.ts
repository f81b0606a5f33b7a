// The control plane, put together: state directory, store, authority, registry, server. What can go wrong at the start is told
// with the reason and the mend, and leaves nothing half open.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshConfig } from '@heddle/core';
import { createMetrics, removeFile, writeFileAtomic } from '@heddle/runtime/node';
import { startControlDns } from './dns-server/server.ts';
import { Logins } from './login/logins.ts';
import type { MeshSource } from './mesh-file/read.ts';
import type { ControlOptions } from './options.ts';
import type { Registry } from './registry/registry.ts';
import type { RestServer, RestServerOptions } from './rest/server.ts';
import { Authenticator } from './server/authenticator.ts';
import { ServerCertificates } from './server/certificates.ts';
import { openGrpcServer } from './server/grpc.ts';
import { limitedLogger } from './server/limited-logger.ts';
import { addServices } from './services.ts';
import { watchControl } from './telemetry/control-metrics.ts';
import { openState } from './state.ts';
import type { ControlState } from './state.ts';

/** What others need in order to reach this control plane; also the content of `control.json`. */
export interface ControlAddress {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  readonly mesh: string;
  readonly trustDomain: string;
  /** Where names are served; absent: they are not. */
  readonly dns?: { readonly address: string; readonly port: number };
  /** Where the REST API is, if there is one. */
  readonly rest?: { readonly address: string; readonly port: number; readonly tls: boolean };
}

export interface RunningControl extends ControlAddress {
  readonly rootsPem: string;
  readonly operatorToken: string;
  /** Takes in the mesh file, unless it is unchanged and something came after it. The mesh's name and trust domain cannot change while it runs. */
  setMesh(mesh: MeshConfig, source?: MeshSource): Promise<void>;
  /** Stops serving, lets running calls finish for two seconds, closes the store. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 2_000;

/**
 * Starts the control plane; resolves when it serves. Rejects with StoreError (state directory in use, damaged, unwritable), AuthorityError
 * (root unusable), ListenError (port), or an Error that names the file at fault. Messages are for people and say what to do.
 */
export async function startControl(options: ControlOptions): Promise<RunningControl> {
  const undo: (() => Promise<void> | void)[] = [];
  try {
    return await start(options, undo);
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

async function start(options: ControlOptions, undo: (() => Promise<void> | void)[]): Promise<RunningControl> {
  const { mesh, stateDir, clock, random, logger } = options;
  const startedMs = Math.floor(clock.wallMs());
  const state = await openState(options, undo);
  const { authority, operatorToken, events, audit, registry, meshFile, tokens, adminTokens, logins, denials } = state;
  const { rootsPem } = authority;
  const certificates = new ServerCertificates(authority, [options.listen.address, options.rest?.address], clock, logger);
  const metrics = createMetrics();
  const identity = await certificates.issue();
  undo.push(() => certificates.close());
  let served: ReturnType<typeof addServices> | undefined;
  const authenticator = authenticatorOf(options, state);
  // Callers can be wrong as often as they like.
  const callLogger = limitedLogger(logger, clock);
  const facts = {
    ...{ mesh, version: packageVersion(), startedMs, registry, meshFile, tokens, adminTokens, logins, events, audit, clock },
    logger: callLogger,
  };
  const server = await openGrpcServer({
    ...options.listen,
    identity,
    rootsPem,
    trustDomain: mesh.trustDomain,
    isDenied: (uri) => denials.isDenied(uri),
    authenticator,
    audit,
    clock,
    logger: callLogger,
    addServices: (grpc, streams) => {
      served = addServices(grpc, { ...facts, options, state, streams }, undo);
    },
  });
  undo.push(() => server.close(CLOSE_GRACE_MS));
  // Who was let in and is denied since, goes.
  const denied = [denials.onChange(() => server.dropDenied()), registry.onChange(({ security }) => security && server.dropDenied())];
  undo.push(() => denied.forEach((one) => one.close()));
  const rest =
    options.rest === undefined || served === undefined
      ? undefined
      : await startRest({ ...facts, ...served, metrics, authority, denials, listen: options.rest, identity, authenticator });
  undo.push(() => rest?.close(CLOSE_GRACE_MS));
  if (served !== undefined) undo.push(watchControl({ ...state, metrics, proxies: served.proxies, certificates, clock }));
  certificates.renewFor(rest === undefined ? [server] : [server, rest]);
  const dns = options.dns === undefined ? undefined : await startControlDns({ ...options.dns, registry, clock, random, logger, metrics });
  undo.push(() => dns?.close());

  const address: ControlAddress = {
    ...{ address: server.address, port: server.port, pid: process.pid, mesh: mesh.name, trustDomain: mesh.trustDomain },
    ...(dns === undefined ? {} : { dns: dns.address }),
    ...(rest === undefined ? {} : { rest: { address: rest.address, port: rest.port, tls: rest.tls } }),
  };
  const addressFile = join(stateDir, 'control.json');
  undo.push(() => removeFile(addressFile));
  await writeFileAtomic(addressFile, `${JSON.stringify(address)}\n`);
  logger.info(
    { address: server.address, port: server.port, mesh: mesh.name, services: mesh.services.length, instances: instanceCount(registry) },
    'control plane is up',
  );
  return {
    ...address,
    rootsPem,
    operatorToken,
    setMesh: (next, source) => state.meshFile.read(next, source),
    close: once(async () => {
      for (const step of undo.reverse()) await step();
      logger.info({}, 'control plane has stopped');
    }),
  };
}

function authenticatorOf(
  { mesh, login, clock, logger }: ControlOptions,
  { operatorToken, adminTokens, denials }: ControlState,
): Authenticator {
  return new Authenticator({
    ...{ trustDomain: mesh.trustDomain, operatorToken, clock, named: adminTokens },
    ...(login !== undefined && { logins: new Logins(login, clock, logger) }),
    isDenied: (uri) => denials.isDenied(uri),
  });
}

/** Loaded only where it is served. */
async function startRest(options: RestServerOptions): Promise<RestServer> {
  const { openRestServer } = await import('./rest/server.ts');
  return await openRestServer(options);
}

function instanceCount(registry: Registry): number {
  let count = 0;
  for (const key of registry.snapshot().services.keys()) count += registry.service(key)?.instances.length ?? 0;
  return count;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
