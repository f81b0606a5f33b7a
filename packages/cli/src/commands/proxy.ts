// `heddle proxy`: a data plane in this process, until it is told to stop. Its admin API says which workloads it hosts.
import { join } from 'node:path';
import { ProxyOptionsError, startProxy } from '@heddle/proxy';
import { NetworkError } from '@heddle/runtime';
import {
  createLogger,
  createMetrics,
  followTextFile,
  nodeClock,
  nodeDatagrams,
  nodeGrpc,
  nodeNetwork,
  nodeRandom,
} from '@heddle/runtime/node';
import { CliError, type ExitCode } from '../errors.ts';
import { machineName } from '../machine.ts';
import type { HostPort } from '../options.ts';
import { listenForStop } from '../signals.ts';
import { connectableAddress, prepareStateDirectory, readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { dnsChoice, type DnsOptions } from './dns-options.ts';
import { adminToken, LOOPBACK, readToken } from './proxy-admin-token.ts';
import { processOptions, type ProxyProcessOptions, serve } from './proxy-process.ts';

export interface ProxyCommandOptions extends ProxyProcessOptions, DnsOptions {
  /** File of a proxy without a control plane: then `commands/proxy-static.ts` runs. */
  readonly static?: string;
  readonly node?: string;
  readonly control?: HostPort;
  readonly outboundPort: number;
  readonly dnsPort: number | 'off';
  readonly adminPort: number;
  readonly adminTokenFile?: string;
  readonly joinTokenFile?: string;
  readonly anonymousCalls: boolean;
  /** Milliseconds. */
  readonly drain: number;
  /** Milliseconds. */
  readonly drainWait: number;
  readonly stateDir?: string;
}

export async function proxy(options: ProxyCommandOptions): Promise<ExitCode> {
  // Without an address, a mesh of this machine is needed, and no directory is made for one that is not there.
  const directory = options.control === undefined ? requireStateDirectory(options.stateDir) : prepareStateDirectory(options.stateDir);
  const node = options.node ?? machineName();
  // An empty variable is how an environment says that there is none.
  const joinToken = options.joinTokenFile === undefined ? process.env['HEDDLE_JOIN_TOKEN'] || undefined : readToken(options.joinTokenFile);
  if (options.anonymousCalls && joinToken === undefined) {
    throw new CliError(
      '--anonymous-calls needs an identity of the proxy itself, and there is no join token',
      'set HEDDLE_JOIN_TOKEN, or name a file with --join-token-file',
      { exitCode: 2 },
    );
  }
  const { logLevel, logFormat } = options;
  const logger = createLogger({ level: logLevel, name: 'proxy', ...(logFormat === undefined ? {} : { format: logFormat }) });
  using stop = listenForStop(() => logger.info({}, 'there is no file to read again: the configuration comes from the control plane'));
  const running = await startProxy({
    node,
    control: options.control === undefined ? controlOf(directory) : { address: options.control.host, port: options.control.port },
    admin: { address: LOOPBACK, port: options.adminPort },
    adminToken: adminToken(options.adminTokenFile ?? adminTokenPath(directory, node)),
    outboundProxy: { address: LOOPBACK, port: options.outboundPort },
    ...(options.dnsPort === 'off' ? {} : { dns: { ...dnsChoice(options, LOOPBACK, options.dnsPort), ...DNS_DRIVERS } }),
    ...(joinToken === undefined ? {} : { joinToken }),
    anonymousCalls: options.anonymousCalls,
    identityDirectory: join(directory, 'identities', node),
    drainMs: options.drain,
    drainTellMs: options.drainWait,
    network: nodeNetwork,
    grpc: nodeGrpc,
    clock: nodeClock,
    random: nodeRandom,
    logger,
    metrics: createMetrics(),
    processes: await processOptions(options),
  }).catch(explain);
  await serve(running, stop, options, logger);
  return 0;
}

const DNS_DRIVERS = { datagrams: nodeDatagrams, resolvConf: followTextFile('/etc/resolv.conf') };

export function adminTokenPath(directory: string, node: string): string {
  return join(directory, `proxy-${node}.token`);
}

function controlOf(directory: string): { address: string; port: number } {
  const info = readControlInfo(directory);
  if (info === undefined)
    throw new CliError(`no control plane runs with ${directory}`, 'start one with `heddle control`, or name one with --control HOST:PORT');
  return { address: connectableAddress(info.address), port: info.port };
}

function explain(error: unknown): never {
  if (error instanceof NetworkError && error.kind === 'address-in-use') {
    throw new CliError(
      error.message,
      'stop the process that holds the port, or choose another with --outbound-port, --admin-port or --dns-port',
      {
        cause: error,
      },
    );
  }
  if (error instanceof NetworkError || error instanceof ProxyOptionsError) throw new CliError(error.message, undefined, { cause: error });
  throw error;
}
