// A mesh with real Envoys in it: `heddle control` as a process, and beside each Envoy what `heddle identity watch` and `heddle export envoy`
// write.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommandLine } from '@heddle/cli';
import { heddleArguments } from '../../../packages/cli/src/testing/command.ts';
import { type Cleanup, type ControlRef, LOOPBACK, temporaryDirectory } from '../../support/planes.ts';
import { Hopeless, waitFor } from '../../support/wait.ts';
import { freePort } from '../../support/ports.ts';
import { type Running, start } from './programs.ts';

/** A control plane in a process of its own, which can be killed and comes back at the same address. */
export class ControlProcess {
  readonly directory: string;
  readonly #port: number;
  #process: ChildProcess | undefined;
  #output = '';

  private constructor(directory: string, port: number) {
    this.directory = directory;
    this.#port = port;
  }

  static async start(cleanup: Cleanup, mesh: string): Promise<ControlProcess> {
    const plane = new ControlProcess(await temporaryDirectory(cleanup), await freePort());
    await mkdir(plane.stateDir, { mode: 0o700 });
    await writeFile(plane.#file, mesh);
    cleanup.add(() => plane.kill());
    await plane.run();
    return plane;
  }

  get stateDir(): string {
    return join(this.directory, '.heddle');
  }

  get #file(): string {
    return join(this.directory, 'heddle.yaml');
  }

  /** For calls as its operator. */
  get ref(): ControlRef {
    const text = (...name: string[]): string => readFileSync(join(this.stateDir, ...name), 'utf8');
    const info = JSON.parse(text('control.json')) as Pick<ControlRef, 'address' | 'port' | 'trustDomain'>;
    return { ...info, rootsPem: text('ca', 'root.pem'), operatorToken: text('operator.token').trim() };
  }

  async run(): Promise<void> {
    const listen = ['--listen', `${LOOPBACK}:${this.#port}`, '--dns-listen', 'off', '--rest-listen', 'off'];
    const args = ['control', '-f', this.#file, '--state-dir', this.stateDir, '--log-format', 'json', ...listen];
    const child = spawn(process.execPath, heddleArguments(...args), { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    this.#output = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => void (this.#output += chunk));
    await waitFor('the control plane', () => {
      if (child.exitCode !== null) throw new Hopeless(this.#output);
      return this.#output.includes('control plane is up');
    });
  }

  /** Has it take in another mesh file. */
  async change(mesh: string): Promise<void> {
    await writeFile(this.#file, mesh);
    this.#process?.kill('SIGHUP');
  }

  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}

export interface EnvoySettings {
  readonly service: string;
  readonly instance: string;
  readonly applicationPort: number;
  readonly uses?: readonly string[];
  readonly outboundProxy?: boolean;
  /** Default: a free port. */
  readonly inbound?: number;
}

interface ConfigDump {
  readonly configs: readonly Readonly<Record<string, unknown>>[];
}

export interface Envoy {
  readonly inbound: number;
  /** Of its HTTP proxy for all services. */
  readonly outbound: number;
  readonly identityDir: string;
  readonly process: Running;
  /** Local port of a service that it uses. */
  port(service: string): number;
  url(service: string, path?: string): string;
  /** Everything that it has refused, and what it has taken, by name. */
  config(): Promise<{ readonly errors: readonly string[]; readonly names: readonly string[] }>;
  /** Puts a new certificate into its directory. */
  rotate(): Promise<void>;
}

/** Runs a command of the CLI in this process. */
export async function heddle(...args: readonly string[]): Promise<void> {
  const code = await runCommandLine(args);
  if (code !== 0) throw new Error(`heddle ${args.join(' ')} ended with ${code}`);
}

/** Starts an Envoy for an instance; resolves when it has its configuration. */
export async function startEnvoy(cleanup: Cleanup, program: string, plane: ControlProcess, settings: EnvoySettings): Promise<Envoy> {
  const { service, instance, applicationPort, uses = [] } = settings;
  const directory = await temporaryDirectory(cleanup);
  const [identityDir, file] = [join(directory, 'identity'), join(directory, 'envoy.yaml')];
  const identity = ['identity', 'watch', '--service', service, '--out', identityDir, '--state-dir', plane.stateDir, '--once'];
  await heddle(...identity);
  const [inbound, outbound, admin] = [settings.inbound ?? (await freePort()), await freePort(), await freePort()];
  const ports = new Map<string, number>();
  for (const used of uses) ports.set(used, await freePort());
  await heddle(
    ...['export', 'envoy', '--service', service, '--instance', instance, '--port', String(applicationPort)],
    ...['--inbound', `${LOOPBACK}:${inbound}`, '--identity-dir', identityDir, '--admin-port', String(admin)],
    ...(uses.length === 0 ? [] : ['--uses', [...ports].map(([name, port]) => `${name}=${port}`).join()]),
    ...(settings.outboundProxy === true ? ['--outbound-port', String(outbound)] : []),
    ...['--state-dir', plane.stateDir, '-o', file],
  );
  const running = start(cleanup, program, ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning']);
  const ask = async (path: string): Promise<Response> => fetch(`http://${LOOPBACK}:${admin}${path}`);
  await waitFor(`Envoy of ${instance}`, async () => {
    if (running.child.exitCode !== null) throw new Hopeless(running.output());
    return (await ask('/ready')).status === 200;
  });
  const port = (name: string): number => ports.get(name) ?? 0;
  return {
    inbound,
    outbound,
    identityDir,
    process: running,
    port,
    url: (name, path = '/') => `http://${LOOPBACK}:${port(name)}${path}`,
    async config() {
      return summarize((await (await ask('/config_dump?include_eds')).json()) as ConfigDump);
    },
    rotate: () => heddle(...identity, '--renew'),
  };
}

/** Each resource stands in a list of its section; what was refused has an `error_state` beside what is in use. */
function summarize({ configs }: ConfigDump): { errors: string[]; names: string[] } {
  const errors: string[] = [];
  const names: string[] = [];
  for (const section of configs) {
    for (const [key, entries] of Object.entries(section)) {
      if (!Array.isArray(entries)) continue;
      for (const entry of entries as Readonly<Record<string, unknown>>[]) {
        const text = JSON.stringify(entry);
        const name = String(entry['name'] ?? /"(?:cluster_)?name":"([^"]+)"/.exec(text)?.[1] ?? '');
        names.push(`${key} ${name}`);
        if (text.includes('"error_state"')) errors.push(`${key} ${name}: ${JSON.stringify(entry['error_state'])}`);
      }
    }
  }
  return { errors, names };
}
