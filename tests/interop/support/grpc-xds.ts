// gRPC libraries in the mesh without a proxy: programs of three languages that take the same commands (go/client.go, python/xds_client.py,
// grpc-xds-client.ts), so that one suite is for all.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { type admin, controlTarget, discovery } from '@heddle/api';
import { AdminClient, controlChannelCredentials, controlChannelOptions, DiscoveryClient, operatorMetadata } from '@heddle/api/grpc-js';
import type { RunningControl } from '@heddle/control';
import { controlPlaneId, formatSpiffeId } from '@heddle/core';
import { heddleArguments } from '../../../packages/cli/src/testing/command.ts';
import { type Certificate, type Cleanup, temporaryDirectory } from '../../support/planes.ts';
import { waitFor } from '../../support/wait.ts';
import { pathOf, run, start } from './programs.ts';
import { madeOnce, pythonPackage, testCache } from './python-packages.ts';

/** Has what this suite needs: TLS towards the control plane out of the bootstrap file. */
const GRPCIO = 'grpcio==1.85.1';
const GO_FOLDER = join(import.meta.dirname, '../go');
const GO_BUILD_TIMEOUT_MS = 300_000;

/** What a client is asked for. `start`: calls without end, until `stop`. `seen`: which servers have answered since it was asked last. */
export interface Asked {
  readonly do: 'call' | 'calls' | 'kinds' | 'start' | 'seen' | 'stop';
  /** For which name calls are made. Default: that of the command line. */
  readonly target?: string;
  readonly count?: number;
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface OneCall {
  readonly code: string;
  readonly details: string;
  readonly server: string;
  /** Whom the instance says it was called by. */
  readonly peer: string;
}

export interface ManyCalls {
  /** Answered calls by server. */
  readonly servers: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

export type Kinds =
  | { readonly unary: string; readonly collect: readonly string[]; readonly count: readonly string[]; readonly chat: readonly string[] }
  | { readonly error: string };

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Or why there is none. */
export type Found = Program | { readonly reason: string };

/** Which of a library's two programs: `client TARGET` or `server NAME ADDRESS`. */
export type Role = 'client' | 'server';

/** Go's client and server, built once for each state of their source. */
export async function goProgram(role: Role): Promise<Found> {
  const hash = createHash('sha256');
  for (const name of readdirSync(GO_FOLDER).sort()) hash.update(name).update(readFileSync(join(GO_FOLDER, name)));
  const path = testCache(`grpc-go-${hash.digest('hex').slice(0, 16)}`);
  const program = { command: path, args: [role], env: {} };
  if (existsSync(path)) return program;
  const go = [pathOf('go'), '/usr/local/go/bin/go'].find(existsSync);
  if (go === undefined) return { reason: 'go (https://go.dev/dl; what Debian has is older than grpc-go takes)' };
  if (process.env['HEDDLE_REQUIRE_INTEROP'] !== '1')
    return { reason: 'a client with grpc-go, which is built only when HEDDLE_REQUIRE_INTEROP=1 is set' };
  const failed = await madeOnce(path, async (target) => {
    // It is compiled more often than it is run: what makes it fast is left away, and no compiler for C is needed.
    const args = ['build', '-gcflags=all=-N -l', '-ldflags=-s -w', '-o', target, '.'];
    const env = { GOFLAGS: '-mod=readonly', CGO_ENABLED: '0' };
    const { code, stderr } = await run(go, args, { cwd: GO_FOLDER, timeoutMs: GO_BUILD_TIMEOUT_MS, env });
    return code === 0 ? undefined : `a client with grpc-go, which could not be built: ${stderr.trim().split('\n').at(-1)}`;
  });
  if (failed !== undefined) return { reason: failed };
  return program;
}

export async function pythonProgram(role: Role): Promise<Found> {
  const found = await pythonPackage(GRPCIO);
  if ('reason' in found) return found;
  return { command: found.python, args: [join(import.meta.dirname, `../python/xds_${role}.py`)], env: { PYTHONPATH: found.folder } };
}

export function nodeProgram(role: Role): Program {
  const script = join(import.meta.dirname, `grpc-xds-${role}.ts`);
  return { command: process.execPath, args: ['--conditions=heddle-source', script], env: {} };
}

/** Runs `heddle` to its end; returns what it wrote to standard output. */
export async function heddle(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(process.execPath, heddleArguments(...args));
  if (code !== 0) throw new Error(`heddle ${args.join(' ')} failed:\n${stderr}`);
  return String(stdout);
}

/** Keeps the identity of a service in a new directory, and a socket to the control plane there. */
export async function watchIdentity(
  cleanup: Cleanup,
  stateDir: string,
  service: string,
): Promise<{ readonly dir: string; readonly socket: string }> {
  const dir = await temporaryDirectory(cleanup);
  const socket = join(dir, 'xds.sock');
  const where = ['--out', dir, '--xds-socket', socket, '--state-dir', stateDir];
  const watch = start(cleanup, process.execPath, heddleArguments('identity', 'watch', '--service', service, ...where));
  await watch.until(/files written/);
  return { dir, socket };
}

function credentialsFor({ rootsPem, trustDomain }: RunningControl, certificate?: Certificate): ChannelCredentials {
  return controlChannelCredentials({ rootsPem, ...certificate, expectedSpiffeId: formatSpiffeId(controlPlaneId(trustDomain)) });
}

/** An outside detector's verdict about an instance, shown by the certificate of its own service. */
export async function reportHealth(plane: RunningControl, certificate: Certificate, instance: string, isHealthy: boolean): Promise<void> {
  const target = controlTarget(plane.address, plane.port);
  const client = new DiscoveryClient(target, credentialsFor(plane, certificate), controlChannelOptions());
  const health = isHealthy ? discovery.Health.HEALTH_HEALTHY : discovery.Health.HEALTH_UNHEALTHY;
  const named = { namespace: 'default', service: instance.replace(/-\d+$/, ''), instance };
  const request = { ...named, health, reason: 'a test says so', expected: undefined, dataPlaneGone: false };
  try {
    await new Promise<void>((resolve, reject) => {
      client.reportHealth(request, (error) => (error === null ? resolve() : reject(error)));
    });
  } finally {
    client.close();
  }
}

/** The load that a data plane reports. */
export async function loadsOf(plane: RunningControl, node: string): Promise<readonly admin.LoadMessage[]> {
  const client = new AdminClient(controlTarget(plane.address, plane.port), credentialsFor(plane), controlChannelOptions());
  try {
    return await new Promise((resolve, reject) => {
      client.listLoad({ node }, operatorMetadata(plane.operatorToken), (error, response) =>
        error === null ? resolve(response.loads) : reject(error),
      );
    });
  } finally {
    client.close();
  }
}

export class XdsClient {
  readonly #ask: (asked: Asked) => Promise<unknown>;
  /** What the library has written. */
  readonly output: () => string;

  /** @param bootstrap path of the file that the library finds the mesh by. */
  constructor(cleanup: Cleanup, program: Program, target: string, bootstrap: string) {
    const env = { ...program.env, GRPC_XDS_BOOTSTRAP: bootstrap };
    const { child, output } = start(cleanup, program.command, [...program.args, target], { env });
    const waiting: PromiseWithResolvers<string>[] = [];
    let ended = false;
    createInterface(child.stdout!).on('line', (line) => waiting.shift()?.resolve(line));
    child.once('close', () => {
      ended = true;
      for (const { reject } of waiting) reject(new Error(`the client has ended:\n${output()}`));
    });
    this.output = output;
    this.#ask = async (asked) => {
      if (ended) throw new Error(`the client has ended:\n${output()}`);
      const answer = Promise.withResolvers<string>();
      waiting.push(answer);
      child.stdin?.write(`${JSON.stringify(asked)}\n`);
      return JSON.parse(await answer.promise);
    };
  }

  async call(options: Omit<Asked, 'do' | 'count'> = {}): Promise<OneCall> {
    const reply = (await this.#ask({ do: 'call', ...options })) as OneCall;
    return { ...reply, code: statusName(reply.code) };
  }

  calls(count: number, options: Omit<Asked, 'do' | 'count'> = {}): Promise<ManyCalls> {
    return this.#ask({ do: 'calls', count, ...options }) as Promise<ManyCalls>;
  }

  kinds(): Promise<Kinds> {
    return this.#ask({ do: 'kinds' }) as Promise<Kinds>;
  }

  /** Calls without end, several at a time. */
  async start(options: Pick<Asked, 'target'> = {}): Promise<void> {
    await this.#ask({ do: 'start', ...options });
  }

  /** Waits until exactly these servers answer. */
  async until(...servers: readonly string[]): Promise<void> {
    const wanted = [...servers].sort().join();
    await waitFor(`answers of ${wanted} alone`, async () => {
      const seen = Object.keys((await this.#ask({ do: 'seen' })) as object)
        .sort()
        .join();
      if (seen !== wanted) throw new Error(`answers of ${seen}`);
      return true;
    });
  }

  /** Waits until so many more calls were answered. */
  async answered(count: number): Promise<void> {
    let answered = 0;
    await waitFor(`${count} answered calls`, async () => {
      for (const seen of Object.values((await this.#ask({ do: 'seen' })) as Record<string, number>)) answered += seen;
      return answered >= count;
    });
  }

  /** The failures of all calls since `start`. */
  async stop(): Promise<readonly string[]> {
    return ((await this.#ask({ do: 'stop' })) as ManyCalls).failures;
  }
}

/** Go says `DeadlineExceeded`, the others `DEADLINE_EXCEEDED`. */
function statusName(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase();
}
