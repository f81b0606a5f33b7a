// `heddle up`: everything is checked before anything is started; then the mesh runs until somebody stops it.
import { resolve } from 'node:path';
import { isatty } from 'node:tty';
import type { Locality } from '@heddle/core';
import { openControl } from '../control-client.ts';
import { CliError, formatError, type ExitCode } from '../errors.ts';
import { machineName } from '../machine.ts';
import { loadMesh } from '../mesh-file.ts';
import { FdStream } from '../output/fd-stream.ts';
import { paletteFor } from '../output/palette.ts';
import { heddleCommand } from '../self.ts';
import { onStopSignal } from '../signals.ts';
import { findStateDirectory, prepareStateDirectory, readControlInfo, readStateFile } from '../state-directory.ts';
import { findProgram } from '../supervisor/command.ts';
import { endLeftovers } from '../supervisor/leftovers.ts';
import { Output } from '../supervisor/output.ts';
import { UpDoor } from '../up/door.ts';
import { localityOfMachine } from '../up/locality.ts';
import { UpLock } from '../up/lock.ts';
import { MeshRun } from '../up/mesh-run.ts';
import { planMesh, type Plan } from '../up/plan.ts';
import { type NeededPort, requireFreePorts } from '../up/ports.ts';
import { readyBlock } from '../up/ready.ts';
import { loginLink } from './dashboard.ts';
import type { DnsForward } from './dns-options.ts';

export interface UpOptions {
  readonly file: string;
  readonly stateDir?: string;
  readonly controlPort: number;
  /** 0: the system chooses. */
  readonly dnsPort: number | 'off';
  readonly proxyDnsPort: number | 'off';
  readonly dnsForward: DnsForward;
  readonly proxyPort: number;
  readonly adminPort: number;
  /** 0: the system chooses. */
  readonly restPort: number | 'off';
  readonly proxyWorkers: number;
  readonly locality?: Locality;
  readonly quiet: boolean;
}

const LOOPBACK = '127.0.0.1';
/** A reader that takes nothing any more cannot hold up the end. */
const FLUSH_TIMEOUT_MS = 500;

export async function up(options: UpOptions): Promise<ExitCode> {
  if (process.platform === 'win32') throw new CliError('`heddle up` runs on Linux and macOS', 'use WSL 2 on Windows');
  const stream = new FdStream(1);
  const palette = paletteFor({ isTTY: isatty(1) }, process.env);
  const output = new Output(stream, palette);
  const say = (text: string): void => output.line('heddle', text);

  const locality = options.locality ?? localityOfMachine();
  const mesh = await loadMesh(options.file, say);
  const plan = planMesh(mesh, (program, { run }) => findProgram(program, process.env['PATH'] ?? '', run?.directory ?? '.') !== undefined);
  if (plan.instances.length === 0)
    throw new CliError(`${options.file} has no service to run here${leftOutWords(plan)}`, 'give a service a `run:` command');
  for (const { id } of plan.instances) output.expect(id);
  const stateDirectory = prepareStateDirectory(options.stateDir);
  const { controlPort, dnsPort, proxyDnsPort, proxyPort, adminPort, restPort } = options;
  const info = { pid: process.pid, proxyPort, adminPort };
  const lock = UpLock.take(stateDirectory, info);
  let door: UpDoor | undefined;
  try {
    for (const { name, pid } of await endLeftovers(stateDirectory))
      say(palette.warn(`ended ${name} (process ${pid}), left behind by an earlier run`));
    await requireFreePorts(LOOPBACK, [
      { what: 'the control plane', flag: '--control-port', port: controlPort },
      { what: 'the HTTP proxy', flag: '--proxy-port', port: proxyPort },
      ...dnsPorts(dnsPort, '--dns-port'),
      ...dnsPorts(proxyDnsPort, '--proxy-dns-port'),
      { what: "the proxy's admin API", flag: '--admin-port', port: adminPort },
      ...(typeof restPort === 'number' && restPort > 0 ? [{ what: 'the REST API', flag: '--rest-port', port: restPort }] : []),
    ]);
    say(`mesh ${mesh.name} from ${options.file}`);
    for (const { config, missing } of plan.leftOut) {
      say(
        palette.warn(
          `${config.service.name} is left out: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not on PATH; calls to it are answered with 503`,
        ),
      );
    }
    const run = new MeshRun({
      mesh,
      plan,
      meshFile: resolve(options.file),
      stateDirectory,
      controlPort,
      dnsPort,
      proxyDnsPort,
      dnsForward: options.dnsForward,
      proxyPort,
      proxyWorkers: options.proxyWorkers,
      adminPort,
      restPort,
      node: machineName(),
      locality,
      quiet: options.quiet,
      output,
      palette,
    });
    door = await UpDoor.open({
      token: () => readStateFile(stateDirectory, 'operator.token'),
      restart: (wish, onStep) => run.restart(wish, onStep),
    });
    lock.tell({ ...info, doorPort: door.port });
    return await supervise(run, stream, say, async () => {
      const isDefault = findStateDirectory(undefined) === stateDirectory;
      output.raw(
        readyBlock(
          {
            mesh,
            instances: run.instances,
            leftOut: new Map(plan.leftOut.map(({ config, missing }) => [config.service.name, missing])),
            stateDirectory,
            controlPort,
            dnsPort: readControlInfo(stateDirectory)?.dns?.port,
            proxyPort,
            adminPort,
            restPort: readControlInfo(stateDirectory)?.rest?.port,
            dashboardLink: isatty(1) ? await firstLogin(stateDirectory) : '',
            command: heddleCommand(),
            commandOptions: isDefault ? '' : ` --state-dir ${stateDirectory}`,
          },
          palette,
        ),
      );
    });
  } finally {
    door?.close();
    lock.release();
    await flush(stream);
  }
}

/** Runs the mesh to its end: by signal, by the end of whoever reads the output, by a failed start, or by a fault of ours. */
async function supervise(run: MeshRun, stream: FdStream, say: (text: string) => void, onReady: () => Promise<void>): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  let asked = 0;
  const ended = Promise.withResolvers<void>();
  const stop = (): void => {
    asked++;
    if (asked > 2) return;
    // After an error that is told at length, this would only bury it.
    if (exitCode === 0) say(asked === 1 ? 'stopping; Ctrl-C again stops everything at once' : 'stopping at once');
    const stopped = asked === 1 ? run.stop() : run.kill();
    stopped.then(ended.resolve, ended.reject);
  };
  const forget = onStopSignal(stop);
  stream.on('error', () => {
    if (asked === 0) stop();
  });
  const fault = (error: unknown): void => {
    exitCode = 1;
    process.stderr.write(formatError(error, process.env));
    asked = 1;
    stop();
  };
  process.on('uncaughtException', fault);
  process.on('unhandledRejection', fault);
  try {
    run
      .start()
      .then(() => (asked === 0 ? onReady() : undefined))
      .catch((error: unknown) => {
        exitCode = 1;
        process.stderr.write(formatError(error, process.env));
        stop();
      });
    await ended.promise;
    return exitCode;
  } finally {
    forget();
    process.off('uncaughtException', fault);
    process.off('unhandledRejection', fault);
  }
}

/** For the person at this terminal; what is written to files and pipes is read by others, too. Empty: there is none. */
async function firstLogin(stateDirectory: string): Promise<string> {
  const control = openControl(stateDirectory, 'operator');
  try {
    return control.info.rest === undefined ? '' : (await loginLink(control, 'editor')).url;
  } catch {
    // `heddle dashboard` makes one, and says what is wrong.
    return '';
  } finally {
    control.close();
  }
}

function dnsPorts(port: number | 'off', flag: string): NeededPort[] {
  return port === 'off' || port === 0 ? [] : [{ what: 'names by DNS', flag, port, udp: true }];
}

function leftOutWords({ leftOut }: Plan): string {
  return leftOut.length === 0
    ? ''
    : ` (left out: ${leftOut.map(({ config, missing }) => `${config.service.name}, which needs ${missing.join(', ')}`).join('; ')})`;
}

function flush(stream: FdStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) return resolve();
    const timer = setTimeout(resolve, FLUSH_TIMEOUT_MS);
    stream.on('error', () => {});
    stream.end(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
