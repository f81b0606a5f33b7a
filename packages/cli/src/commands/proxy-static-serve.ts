// What `heddle proxy --static` runs once it has its configuration. SIGHUP makes it read the file again, and the certificates, keys and roots
// that it names.
import { randomBytes } from 'node:crypto';
import type { StaticConfig } from '@heddle/core';
import { type RunningStaticProxy, startStaticProxy } from '@heddle/proxy/static';
import { type Logger, NetworkError } from '@heddle/runtime';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { CliError, type ExitCode } from '../errors.ts';
import { machineName } from '../machine.ts';
import { Reloads } from '../reloads.ts';
import { listenForStop } from '../signals.ts';
import type { ProxyCommandOptions } from './proxy.ts';
import { ADMIN_TOKEN_BYTES, adminToken, LOOPBACK } from './proxy-admin-token.ts';
import { processOptions, serve } from './proxy-process.ts';
import { readStaticFile } from './proxy-static-file.ts';

export async function serveStatic(file: string, config: StaticConfig, options: ProxyCommandOptions): Promise<ExitCode> {
  const { logLevel, logFormat, adminTokenFile } = options;
  const logger = createLogger({ level: logLevel, name: 'proxy', ...(logFormat === undefined ? {} : { format: logFormat }) });
  const reloads = new Reloads();
  using stop = listenForStop(reloads.ask);
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
    processes: await processOptions(options),
  }).catch(explain);
  logger.info({ admin: running.admin, listeners: listenersOf(running) }, 'the proxy is up');
  reloads.begin(() => reload(file, running, logger));
  await serve(running, stop, options, logger);
  await reloads.done;
  return 0;
}

/** Takes the file in, or says what is wrong and leaves everything as it is. Never rejects. */
async function reload(file: string, running: RunningStaticProxy, logger: Logger): Promise<void> {
  try {
    await running.reload(await readStaticFile(file, (text) => logger.warn({ file }, text)));
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
        : error.kind === 'tls'
          ? 'give the listeners and services certificates with keys that TLS 1.3 takes: ECDSA, Ed25519, or RSA of 2048 bits or more'
          : 'listen on an address that this machine has';
  throw new CliError(error.message, mend, { cause: error });
}
