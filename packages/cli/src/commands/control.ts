// `heddle control`: a control plane in this process, until it is told to stop.
import { StoreError, startControl } from '@heddle/control';
import { createLogger, nodeClock, nodeRandom, type LogLevel } from '@heddle/runtime/node';
import { CliError, type ExitCode } from '../errors.ts';
import { loadMesh } from '../mesh-file.ts';
import type { HostPort } from '../options.ts';
import { listenForStop } from '../signals.ts';
import { prepareStateDirectory } from '../state-directory.ts';

export interface ControlCommandOptions {
  readonly file: string;
  readonly stateDir?: string;
  readonly listen: HostPort;
  readonly logLevel: LogLevel;
  readonly logFormat?: 'json' | 'pretty';
}

export async function control({ file, stateDir, listen, logLevel, logFormat }: ControlCommandOptions): Promise<ExitCode> {
  const mesh = loadMesh(file, (text) => process.stderr.write(`${text}\n`));
  const directory = prepareStateDirectory(stateDir);
  const logger = createLogger({ level: logLevel, name: 'control', ...(logFormat === undefined ? {} : { format: logFormat }) });
  using stop = listenForStop();
  const running = await startControl({
    mesh,
    stateDir: directory,
    listen: { address: listen.host, port: listen.port },
    logger,
    clock: nodeClock,
    random: nodeRandom,
  }).catch(explain);
  await stop.asked;
  await running.close();
  return 0;
}

/** The messages of a control plane that cannot start already say what to do. */
function explain(error: unknown): never {
  const mend =
    error instanceof StoreError ? 'stop the control plane that uses the directory, or choose another one with --state-dir' : undefined;
  throw new CliError((error as Error).message, mend, { cause: error });
}
