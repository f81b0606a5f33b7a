// `heddle proxy --static`: a data plane that a file configures, without a control plane. SIGHUP makes it read the file again.
import { randomBytes } from 'node:crypto';
import { type RunningStaticProxy, startStaticProxy } from '@heddle/proxy';
import { type Logger, NetworkError } from '@heddle/runtime';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { CliError, type ExitCode } from '../errors.ts';
import { machineName } from '../machine.ts';
import { listenForStop } from '../signals.ts';
import { loadStatic } from '../mesh-file.ts';
import { ADMIN_TOKEN_BYTES, adminToken, LOOPBACK, type ProxyCommandOptions } from './proxy.ts';

export async function proxyStatic(file: string, options: ProxyCommandOptions): Promise<ExitCode> {
  const config = loadStatic(file, (text) => process.stderr.write(`${text}\n`));
  const { logLevel, logFormat, adminTokenFile } = options;
  const logger = createLogger({ level: logLevel, name: 'proxy', ...(logFormat === undefined ? {} : { format: logFormat }) });
  // Until the proxy runs there is nothing to reload.
  let onHangup = (): void => {};
  using stop = listenForStop(() => onHangup());
  const running = await startStaticProxy({
    config,
    node: machineName(),
    admin: { address: LOOPBACK, port: options.adminPort },
    // Without a file nobody knows the token, so the pages that need it stay closed.
    adminToken: adminTokenFile === undefined ? randomBytes(ADMIN_TOKEN_BYTES).toString('base64url') : adminToken(adminTokenFile),
    drainMs: options.drain,
    network: nodeNetwork,
    clock: nodeClock,
    random: nodeRandom,
    logger,
    metrics: createMetrics(),
  }).catch(explain);
  logger.info({ admin: running.admin, listeners: listenersOf(running) }, 'the proxy is up');
  // Each waits for the one before it.
  let reloads: Promise<void> = Promise.resolve();
  onHangup = () => {
    reloads = reloads.then(() => reload(file, running, logger));
  };
  await Promise.race([stop.asked, running.drainRequested]);
  await reloads;
  await running.stop();
  return 0;
}

/** Takes the file in, or says what is wrong and leaves everything as it is. Never rejects. */
async function reload(file: string, running: RunningStaticProxy, logger: Logger): Promise<void> {
  try {
    await running.reload(loadStatic(file, (text) => logger.warn({ file }, text)));
    logger.info({ file, listeners: listenersOf(running) }, 'the file was read again');
  } catch (error) {
    logger.error({ file, error: (error as Error).message }, 'the file was not taken in; the configuration stays as it is');
  }
}

function listenersOf(running: RunningStaticProxy): object[] {
  return running.listeners().map(({ name, address, port }) => ({ name, address, port }));
}

function explain(error: unknown): never {
  if (!(error instanceof NetworkError)) throw error;
  const mend =
    error.kind === 'address-in-use'
      ? 'stop the process that holds the port, or choose another in the file or with --admin-port'
      : error.kind === 'not-permitted'
        ? 'choose a port from 1024 on, or 0'
        : 'listen on an address that this machine has';
  throw new CliError(error.message, mend, { cause: error });
}
