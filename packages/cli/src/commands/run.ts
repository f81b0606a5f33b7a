// `heddle run`: one process of a service with a proxy of its own (sidecar), joined to a mesh that may run elsewhere.
import { randomBytes } from 'node:crypto';
import { isatty } from 'node:tty';
import { parseJoinToken, type ServiceRef } from '@heddle/core';
import { openControl, type ControlClient } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { FdStream } from '../output/fd-stream.ts';
import { paletteFor } from '../output/palette.ts';
import { onStopSignal } from '../signals.ts';
import { connectableAddress, prepareStateDirectory, readControlInfo, readStateFile, requireStateDirectory } from '../state-directory.ts';
import { Guard } from '../supervisor/guard.ts';
import { Output } from '../supervisor/output.ts';
import { HostedProcess } from '../up/hosted-process.ts';
import { PortAllocator, requireFreePorts } from '../up/ports.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { ProxyHost } from '../up/proxy-host.ts';

export interface RunOptions {
  readonly service: string;
  readonly namespace: string;
  readonly port?: number;
  readonly instance?: string;
  readonly uses?: readonly string[];
  readonly control?: HostPort;
  readonly inboundAddress: string;
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly adminPort: number;
  readonly stateDir?: string;
}

const LOOPBACK = '127.0.0.1';
const STOP_TIMEOUT_MS = 10_000;

export async function run(command: readonly string[], options: RunOptions): Promise<ExitCode> {
  // Wrong usage is told before anything is made.
  const given = givenToken(options);
  const directory = given === undefined ? requireStateDirectory(options.stateDir) : prepareStateDirectory(options.stateDir);
  const operator = given === undefined ? openControl(directory) : undefined;
  const output = new Output(new FdStream(1), paletteFor({ isTTY: isatty(1) }, process.env));
  const guard = new Guard();
  try {
    const allocator = new PortAllocator(LOOPBACK, Math.random);
    const outboundPort = options.outboundPort === 0 ? await allocator.take() : options.outboundPort;
    const adminPort = options.adminPort === 0 ? await allocator.take() : options.adminPort;
    await requireFreePorts(LOOPBACK, [
      { what: 'the HTTP proxy', flag: '--outbound-port', port: outboundPort },
      { what: "the proxy's admin API", flag: '--admin-port', port: adminPort },
    ]);
    if (options.inboundPort !== 0)
      await requireFreePorts(options.inboundAddress, [
        { what: 'calls from other instances', flag: '--inbound-port', port: options.inboundPort },
      ]);
    const uses = await usedServices(options, operator);
    const control = options.control ?? controlOf(directory);
    const sidecar = startSidecar({
      ...options,
      command,
      directory,
      control,
      given,
      operator,
      uses,
      outboundPort,
      adminPort,
      allocator,
      output,
      guard,
    });
    return await untilStopped(sidecar, output);
  } finally {
    operator?.close();
    await guard.close();
  }
}

/** The token of the environment, if it is one for this service. */
function givenToken({ service, namespace, control }: RunOptions): string | undefined {
  const text = process.env['HEDDLE_JOIN_TOKEN'];
  if (text === undefined || text === '') {
    if (control === undefined) return undefined;
    throw new CliError(
      'HEDDLE_JOIN_TOKEN is not set',
      `make a token where the control plane runs, with \`heddle token create --service ${service}\`, and set it here`,
      { exitCode: 2 },
    );
  }
  const parsed = parseJoinToken(text);
  if (!parsed.ok) throw new CliError(parsed.reason, undefined, { exitCode: 2 });
  if (parsed.token.service !== service || parsed.token.namespace !== namespace) {
    throw new CliError(
      `the token in HEDDLE_JOIN_TOKEN is for ${parsed.token.namespace}/${parsed.token.service}, not for ${namespace}/${service}`,
      `make one with \`heddle token create --service ${service}\``,
      { exitCode: 2 },
    );
  }
  return text.trim();
}

function controlOf(directory: string): HostPort {
  const info = readControlInfo(directory);
  if (info === undefined)
    throw new CliError(`no control plane runs with ${directory}`, 'start one with `heddle up`, or name one with --control HOST:PORT');
  return { host: connectableAddress(info.address), port: info.port };
}

/** Those that were named; else all that the registry knows. Without an operator's token it cannot be asked: then HTTP_PROXY leads to all. */
async function usedServices({ uses, service, namespace }: RunOptions, operator: ControlClient | undefined): Promise<ServiceRef[]> {
  if (uses !== undefined) return uses.map((name) => ({ namespace, name }));
  const services = (await operator?.services()) ?? [];
  return services.filter((known) => known.namespace === namespace && known.name !== service).map(({ name }) => ({ namespace, name }));
}

interface Sidecar {
  readonly host: ProxyHost;
  readonly hosted: HostedProcess;
}

interface SidecarOptions extends Omit<RunOptions, 'uses' | 'control'> {
  readonly command: readonly string[];
  readonly directory: string;
  readonly control: HostPort;
  readonly given: string | undefined;
  readonly operator: ControlClient | undefined;
  readonly uses: readonly ServiceRef[];
  readonly allocator: PortAllocator;
  readonly output: Output;
  readonly guard: Guard;
}

function startSidecar(options: SidecarOptions): Sidecar {
  const { service, namespace, command, directory, control, given, operator, uses, outboundPort, adminPort, allocator, output, guard } =
    options;
  const instance = options.instance ?? `${service}-${randomBytes(3).toString('hex')}`;
  const tell = (name: string) => (_level: string, message: string) => output.line('heddle', `${name} ${message}`);
  const tokenFile = `proxy-${instance}.token`;
  const admin = new ProxyAdmin(adminPort, () => readStateFile(directory, tokenFile));
  const controlText = control.host.includes(':') ? `[${control.host}]:${control.port}` : `${control.host}:${control.port}`;
  const host: ProxyHost = new ProxyHost({
    admin,
    args: [
      '--node',
      instance,
      '--control',
      controlText,
      '--outbound-port',
      String(outboundPort),
      '--admin-port',
      String(adminPort),
      '--state-dir',
      directory,
      '--log-level',
      'warn',
      '--log-format',
      'pretty',
    ],
    // A sidecar speaks to the control plane as its only workload.
    joinToken: () => Promise.resolve(undefined),
    guard,
    onOutput: (stream) => output.attach(stream, 'proxy'),
    onTell: tell('proxy'),
    onChange: () => {},
    onUp: () => void hosted.proxyChanged(),
  });
  const hosted: HostedProcess = new HostedProcess({
    service: { namespace, name: service },
    instance,
    run: { command, directory: process.cwd(), environment: {}, stopTimeoutMs: STOP_TIMEOUT_MS, version: '' },
    uses,
    // Nobody asks the registry here: the proxy's verdict takes a hanging process out of rotation; only a crash restarts it.
    livenessAfterMs: Infinity,
    host,
    admin,
    ports: allocator,
    loopback: LOOPBACK,
    ...(options.port === undefined ? {} : { port: options.port }),
    inbound: { address: options.inboundAddress, ...(options.inboundPort === 0 ? {} : { port: options.inboundPort }) },
    proxyUrl: (credential) => `http://${credential}@${LOOPBACK}:${outboundPort}`,
    joinToken: async () => given ?? (await operator?.createToken(namespace, service).catch(() => undefined))?.token,
    guard,
    onOutput: (stream) => output.attach(stream, instance),
    onTell: tell(instance),
    onChange: ({ pid }) => {
      if (pid !== undefined)
        output.line(
          'heddle',
          `${instance} runs (process ${pid}), inbound ${hosted.binding?.inbound.address}:${hosted.binding?.inbound.port}`,
        );
    },
  });
  output.expect(instance);
  host.start();
  hosted.start();
  return { host, hosted };
}

/** The process first, so that its last calls still find their way; then its proxy. */
async function untilStopped({ host, hosted }: Sidecar, output: Output): Promise<ExitCode> {
  const ended = Promise.withResolvers<void>();
  let asked = 0;
  const stop = async (): Promise<void> => {
    asked++;
    if (asked === 1) {
      output.line('heddle', 'stopping; Ctrl-C again stops everything at once');
      await hosted.stop();
      await host.stop();
    } else {
      await Promise.all([hosted.kill(), host.kill()]);
    }
    ended.resolve();
  };
  const forget = onStopSignal(() => void stop());
  await ended.promise;
  forget();
  return 0;
}
