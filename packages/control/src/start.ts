// The control plane, put together: state directory, store, authority, registry, server. What can go wrong at the start is told
// with the reason and the mend, and leaves nothing half open.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshConfig } from '@heddle/core';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import type { Clock, Logger, Random, Timer } from '@heddle/runtime';
import { privateDirectory, removeFile, writeFileAtomic } from '@heddle/runtime/node';
import { addAdminService } from './admin-server/server.ts';
import { JoinTokens, openAuthority } from './ca/index.ts';
import type { Authority, ControlCertificate } from './ca/index.ts';
import { addDiscoveryServices } from './discovery-server/server.ts';
import { addIdentityService } from './identity-server/server.ts';
import { openEmbeddedStore } from './registry/embedded/store.ts';
import { openRegistry } from './registry/registry.ts';
import type { Registry } from './registry/registry.ts';
import type { Store } from './registry/store.ts';
import { openGrpcServer } from './server/grpc.ts';
import type { GrpcServer } from './server/grpc.ts';
import { openOperatorToken } from './server/operator-token.ts';
import { AdsServer } from './xds-server/server.ts';

export interface ControlOptions {
  readonly mesh: MeshConfig;
  /** Created, readable by its owner only, when it is not there. */
  readonly stateDir: string;
  /** Port 0: the system chooses. Default of the CLI: 127.0.0.1:15010. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** `memory`: nothing of the registry outlives the process. Default: `registry.sqlite` in the state directory. */
  readonly store?: 'memory';
}

/** What others need in order to reach this control plane; also the content of `control.json`. */
export interface ControlAddress {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  readonly mesh: string;
  readonly trustDomain: string;
}

export interface RunningControl extends ControlAddress {
  readonly rootsPem: string;
  readonly operatorToken: string;
  /** Takes in a changed mesh file. The mesh's name and trust domain cannot change while it runs. */
  setMesh(mesh: MeshConfig): Promise<void>;
  /** Stops serving, lets running calls finish for two seconds, closes the store. */
  close(): Promise<void>;
}

const CLOSE_GRACE_MS = 2_000;
/** A server certificate that could not be renewed is tried again after this. */
const RENEWAL_RETRY_MS = 30_000;

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
  const { trustDomain } = mesh;
  const startedMs = Math.floor(clock.wallMs());
  await privateDirectory(stateDir);
  // First, because its lock keeps a second control plane away from everything else in the directory.
  const lock = openEmbeddedStore({ path: join(stateDir, 'registry.sqlite'), clock });
  undo.push(() => lock.close());
  const store = options.store === 'memory' ? openMemory(clock, undo) : lock;
  const authority = await openAuthority({ stateDir, trustDomain, clock, random, logger });
  const operatorToken = await openOperatorToken(stateDir, random, logger);
  const registry = await openRegistry({ store, logger });
  undo.push(() => registry.close());
  await registry.declareServices(mesh.services.map((declared) => declared.service));
  const tokens = new JoinTokens({ store, trustDomain, pin: authority.pin, clock, random });

  const certificates = new ServerCertificates(authority, options.listen.address, clock, logger);
  const identity = await certificates.issue();
  undo.push(() => certificates.close());
  const { rootsPem } = authority;
  let ads: AdsServer | undefined;
  const server = await openGrpcServer({
    ...options.listen,
    identity,
    rootsPem,
    trustDomain,
    operatorToken,
    clock,
    logger,
    addServices: (grpc, streams) => {
      ads = new AdsServer({ registry, trustDomain, rootsPem, streams, clock, logger });
      undo.push(() => ads?.close());
      ads.addTo(grpc);
      addDiscoveryServices(grpc, { registry, streams, logger });
      addIdentityService(grpc, { authority, tokens, logger });
      addAdminService(grpc, { mesh, version: packageVersion(), startedMs, registry, tokens, ads, streams, clock, logger });
    },
  });
  undo.push(() => server.close(CLOSE_GRACE_MS));
  certificates.renewFor(server);

  const address: ControlAddress = { address: server.address, port: server.port, pid: process.pid, mesh: mesh.name, trustDomain };
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
    setMesh: (next) => setMesh(mesh, next, registry),
    close: once(async () => {
      for (const step of undo.reverse()) await step();
      logger.info({}, 'control plane has stopped');
    }),
  };
}

function openMemory(clock: Clock, undo: (() => Promise<void> | void)[]): Store {
  const store = openEmbeddedStore({ path: undefined, clock });
  undo.push(() => store.close());
  return store;
}

async function setMesh(running: MeshConfig, next: MeshConfig, registry: Registry): Promise<void> {
  if (next.name !== running.name || next.trustDomain !== running.trustDomain) {
    throw new Error(
      `the mesh's name and trust domain cannot change while it runs (${running.name}, ${running.trustDomain}); stop it, choose another state directory, and start again`,
    );
  }
  await registry.declareServices(next.services.map((declared) => declared.service));
}

function instanceCount(registry: Registry): number {
  let count = 0;
  for (const key of registry.snapshot().services.keys()) count += registry.service(key)?.instances.length ?? 0;
  return count;
}

/** The server's own certificate, replaced at half of its life. */
class ServerCertificates {
  readonly #authority: Authority;
  readonly #address: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Timer | undefined;
  #renewAtMs = 0;
  #closed = false;

  constructor(authority: Authority, address: string, clock: Clock, logger: Logger) {
    this.#authority = authority;
    this.#address = address;
    this.#clock = clock;
    this.#logger = logger;
  }

  async issue(): Promise<{ chainPem: string; keyPem: string }> {
    const wildcard = this.#address === '0.0.0.0' || this.#address === '::';
    const ips = new Set(['127.0.0.1', '::1', ...(wildcard ? [] : [this.#address])]);
    const issued: ControlCertificate = await this.#authority.issueControlCertificate({
      dns: ['localhost', CONTROL_SERVER_NAME],
      ips: [...ips],
    });
    this.#renewAtMs = issued.renewAtMs;
    return { chainPem: issued.chainPem, keyPem: issued.key.keyPem };
  }

  renewFor(server: GrpcServer): void {
    this.#plan(server, this.#renewAtMs - this.#clock.wallMs());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #plan(server: GrpcServer, delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#clock.after(Math.max(0, delayMs), () => {
      this.issue().then(
        (identity) => {
          server.setIdentity(identity);
          this.#plan(server, this.#renewAtMs - this.#clock.wallMs());
        },
        (error: unknown) => {
          this.#logger.error({ error: (error as Error).message }, 'the certificate of the control plane cannot be renewed; trying again');
          this.#plan(server, RENEWAL_RETRY_MS);
        },
      );
    });
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
