// `heddle control`: a control plane in this process, until it is told to stop. SIGHUP makes it read its mesh file again.
import { resolve } from 'node:path';
import { PASSPHRASE_VARIABLE, type RunningControl, StoreError, startControl } from '@heddle/control';
import type { Logger } from '@heddle/runtime';
import { createLogger, nodeClock, nodeRandom, type LogLevel } from '@heddle/runtime/node';
import { CliError, splitMend, type ExitCode } from '../errors.ts';
import { loadMeshFile } from '../mesh-file.ts';
import type { HostPort } from '../options.ts';
import { Reloads } from '../reloads.ts';
import { listenForStop } from '../signals.ts';
import { prepareStateDirectory } from '../state-directory.ts';
import { caSource, type CaOptions } from './ca-options.ts';
import { dnsChoice, type DnsOptions } from './dns-options.ts';
import { loginOf, type LoginCommandOptions } from './login-options.ts';

export interface ControlCommandOptions extends DnsOptions, CaOptions, LoginCommandOptions {
  readonly file: string;
  readonly stateDir?: string;
  readonly listen: HostPort;
  readonly dnsListen: HostPort | 'off';
  readonly restListen: HostPort | 'off';
  /** Milliseconds. */
  readonly certificateLife: number;
  /** Milliseconds after its end in which a certificate can be renewed. */
  readonly lateRenewal: number;
  readonly logLevel: LogLevel;
  readonly logFormat?: 'json' | 'pretty';
}

export async function control(options: ControlCommandOptions): Promise<ExitCode> {
  const { file, stateDir, listen, dnsListen, restListen, certificateLife, lateRenewal, logLevel, logFormat } = options;
  const { mesh, text } = await loadMeshFile(file, (warning) => process.stderr.write(`${warning}\n`));
  const ca = await caSource(options, process.env);
  const login = loginOf(options);
  // From here on it is in the authority's memory alone.
  delete process.env[PASSPHRASE_VARIABLE];
  const directory = prepareStateDirectory(stateDir);
  const logger = createLogger({ level: logLevel, name: 'control', ...(logFormat === undefined ? {} : { format: logFormat }) });
  const reloads = new Reloads();
  using stop = listenForStop(reloads.ask);
  const running = await startControl({
    mesh,
    meshFile: { path: resolve(file), text },
    stateDir: directory,
    listen: { address: listen.host, port: listen.port },
    ...(dnsListen === 'off' ? {} : { dns: dnsChoice(options, dnsListen.host, dnsListen.port) }),
    ...(restListen === 'off' ? {} : { rest: { address: restListen.host, port: restListen.port } }),
    ca,
    ...(login !== undefined && { login }),
    certificateTtlMs: certificateLife,
    lateRenewalMs: lateRenewal,
    logger,
    clock: nodeClock,
    random: nodeRandom,
  }).catch(explain);
  reloads.begin(() => reload(file, running, logger));
  await stop.asked;
  await reloads.done;
  await running.close();
  return 0;
}

/** Takes the file in, unless it is unchanged and something was applied since, or says what is wrong with the file and leaves everything as it is. Never rejects. */
async function reload(file: string, running: RunningControl, logger: Logger): Promise<void> {
  try {
    const { mesh, text } = await loadMeshFile(file, (warning) => logger.warn({ file }, warning));
    await running.setMesh(mesh, { path: resolve(file), text });
    logger.info({ file, services: mesh.services.length }, 'the mesh file was read again');
  } catch (error) {
    logger.error({ file, error: (error as Error).message }, 'the mesh file was not taken in; the mesh stays as it is');
  }
}

/** The messages of a control plane that cannot start already say what to do. */
function explain(error: unknown): never {
  const text = (error as Error).message;
  const { message, mend } = splitMend(
    error instanceof StoreError ? text.replace(/; ([a-z])/, (_, first: string) => `. ${first.toUpperCase()}`) : text,
  );
  throw new CliError(message, mend, { cause: error });
}
