// The ground on which contestants meet: processors, folder, certificates, and everything that has been started and is to be stopped.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TestAuthority } from '../../packages/dataplane/src/testing/certificates.ts';
import { type Certificates, type Contestant, hopsOf, type Scenario, type Setting } from '../contestants/contestant.ts';
import { freePorts } from '../../tests/support/ports.ts';
import { output, Process } from '../support/processes.ts';
import { prove } from '../support/prove.ts';
import type { Standing } from '../support/result.ts';

export interface Running {
  readonly name: string;
  readonly port: number;
  readonly processes: readonly Process[];
}

export interface FieldOptions {
  readonly folder: string;
  readonly contestants: readonly Contestant[];
  readonly heddleRoot: string;
  readonly built: boolean;
  /** Processors; undefined: nothing is pinned. */
  readonly cores: { readonly load: number; readonly proxies: number } | undefined;
}

const PROGRAMS = join(import.meta.dirname, '../programs');

export class Field {
  readonly contestants: readonly Contestant[];
  private readonly options: FieldOptions;
  private readonly certificates: Certificates;
  private readonly started: Process[] = [];
  private folders = 0;

  constructor(options: FieldOptions) {
    this.options = options;
    this.contestants = options.contestants;
    this.certificates = makeCertificates(options.folder);
  }

  /** The application; all paths of a scenario lead to it. Returns its port. */
  async startBackend({ http, grpc, bodyBytes }: Scenario): Promise<number> {
    const [port = 0] = await freePorts(1);
    const protocol = grpc ? 'grpc' : http;
    const backend = this.spawnProgram('backend', [String(port), protocol, String(bodyBytes)]);
    await backend.listensOn(port);
    return port;
  }

  /** Starts every contestant and proves that it works. Those that cannot take part stand in `absent` with the reason. */
  async startAll(scenario: Scenario, backendPort: number): Promise<{ running: Running[]; absent: Standing[] }> {
    const running: Running[] = [];
    const absent: Standing[] = [];
    for (const contestant of this.contestants) {
      try {
        const reason = this.whyNot(contestant, scenario);
        if (reason !== undefined) absent.push({ name: contestant.name, rounds: [], absent: reason });
        else running.push(await this.start(contestant, scenario, backendPort));
      } catch (error) {
        absent.push({ name: contestant.name, rounds: [], absent: reasonOf(error) });
      }
    }
    return { running, absent };
  }

  whyNot(contestant: Contestant, scenario: Scenario): string | undefined {
    const hops = hopsOf(scenario, [], 0);
    return contestant.missing(this.setting('')) ?? hops.map((hop) => contestant.cannot?.(hop)).find((reason) => reason !== undefined);
  }

  async start(contestant: Contestant, scenario: Scenario, backendPort: number): Promise<Running> {
    const running = await this.launch(contestant, scenario, backendPort);
    try {
      for (const [index, process] of running.processes.entries()) await process.listensOn(running.ports[index]!);
      await prove(scenario, running.port);
      return running;
    } catch (error) {
      await Promise.all(running.processes.map((process) => process.stop()));
      throw error;
    }
  }

  /** As `start`, without waiting for anything. */
  async launch(contestant: Contestant, scenario: Scenario, backendPort: number): Promise<Running & { ports: readonly number[] }> {
    const ports = await freePorts(2);
    const hops = hopsOf(scenario, ports, backendPort);
    const commands = hops.map((hop) => {
      return contestant.command(hop, this.setting(this.folder(contestant.name.replace(':', '-'))));
    });
    const processes = commands.map((command) => this.track(new Process(contestant.name, this.options.cores?.proxies, command)));
    return { name: contestant.name, port: ports[0]!, processes, ports: hops.map((hop) => hop.listen.port) };
  }

  /** Runs a load generator to its end; resolves to what it printed. */
  load(command: readonly string[]): Promise<string> {
    return output(this.options.cores?.load, command);
  }

  spawnProgram(name: string, args: readonly string[]): Process {
    return this.track(new Process(name, this.options.cores?.load, programCommand(name, args)));
  }

  /** A program that has packages of ours in it, from their sources, on the proxies' processor. */
  runProgram(name: string, args: readonly string[]): Process {
    const command = [process.execPath, '--conditions=heddle-source', join(PROGRAMS, `${name}.ts`), ...args];
    return this.track(new Process(name, this.options.cores?.proxies, command));
  }

  loadProgram(name: string, args: readonly string[]): Promise<string> {
    return this.load(programCommand(name, args));
  }

  /** A new one for files. */
  folder(name: string): string {
    const folder = join(this.options.folder, `${name}-${++this.folders}`);
    mkdirSync(folder);
    return folder;
  }

  file(name: string, content: string | Uint8Array): string {
    const path = join(this.options.folder, name);
    writeFileSync(path, content);
    return path;
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.started.splice(0).map((process) => process.stop()));
  }

  setting(folder: string): Setting {
    const { heddleRoot, built } = this.options;
    return { folder, certificates: this.certificates, heddleRoot, built };
  }

  private track(process: Process): Process {
    this.started.push(process);
    return process;
  }
}

const REASON_LINES_MAX = 4;

/** On one line. */
export function reasonOf(error: unknown): string {
  const lines = (error as Error).message.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(0, REASON_LINES_MAX)
    .join(' ');
}

/** Semi-space: so that the client's and the application's garbage is seldom collected within a measurement. */
function programCommand(name: string, args: readonly string[]): string[] {
  return [process.execPath, '--max-semi-space-size=64', join(PROGRAMS, `${name}.ts`), ...args];
}

function makeCertificates(folder: string): Certificates {
  const authority = new TestAuthority();
  const made = { folder, rootsPem: authority.rootsPem, web: authority.service('web'), orders: authority.service('orders') };
  writeFileSync(join(folder, 'roots.pem'), made.rootsPem);
  for (const role of ['web', 'orders'] as const) {
    const { certificatePem, keyPem } = made[role];
    writeFileSync(join(folder, `${role}.crt`), certificatePem);
    writeFileSync(join(folder, `${role}.key`), keyPem, { mode: 0o600 });
    writeFileSync(join(folder, `${role}.pem`), certificatePem + keyPem, { mode: 0o600 });
  }
  return made;
}
