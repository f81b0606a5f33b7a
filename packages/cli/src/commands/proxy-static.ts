// `heddle proxy --static`: a data plane that a file configures, without a control plane. SIGHUP makes it read the file again, and the
// certificates, keys and roots that it names.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { StaticConfig } from '@heddle/core';
import { parseStaticFile } from '@heddle/core/config';
import { type RunningStaticProxy, startStaticProxy } from '@heddle/proxy';
import { type Logger, NetworkError } from '@heddle/runtime';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { CliError, type ExitCode } from '../errors.ts';
import { machineName } from '../machine.ts';
import { accept } from '../mesh-file.ts';
import { listenForStop } from '../signals.ts';
import { ADMIN_TOKEN_BYTES, adminToken, LOOPBACK, type ProxyCommandOptions } from './proxy.ts';
import { processOptions, serve } from './proxy-process.ts';

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
    processes: await processOptions(options),
  }).catch(explain);
  logger.info({ admin: running.admin, listeners: listenersOf(running) }, 'the proxy is up');
  // Each waits for the one before it.
  let reloads: Promise<void> = Promise.resolve();
  onHangup = () => {
    reloads = reloads.then(() => reload(file, running, logger));
  };
  await serve(running, stop, options, logger);
  await reloads;
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

/** Throws CliError with all problems; hands warnings to `warn`. */
function loadStatic(path: string, warn: (text: string) => void): StaticConfig {
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    throw new CliError(`the file ${path} cannot be read: ${(error as Error).message}`, 'name the file with --static FILE', {
      cause: error,
    });
  }
  const files = { read: (name: string) => readText(resolve(dirname(path), name)), nowMs: Date.now() };
  const { config, problems } = parseStaticFile(text, path, files);
  return accept(path, text, config, problems, warn);
}

/** Throws Error with a message that completes "cannot be read: …". */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a directory',
      EACCES: 'this user may not read it',
    };
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(reasons[code ?? ''] ?? message, { cause: error });
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
