// `heddle run`: one process of a service with a proxy of its own (sidecar), joined to a mesh that may run elsewhere.
import { randomBytes } from 'node:crypto';
import { isatty } from 'node:tty';
import { DEFAULT_NAMESPACE, type Locality, type NamedPorts, parseJoinToken, type ServiceRef } from '@heddle/core';
import { openControl, type ControlClient } from '../control-client.ts';
import { CliError, splitMend, type ExitCode } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { FdStream } from '../output/fd-stream.ts';
import { paletteFor } from '../output/palette.ts';
import { onStopSignal } from '../signals.ts';
import { connectableAddress, prepareStateDirectory, readControlInfo, readStateFile, requireStateDirectory } from '../state-directory.ts';
import { Guard } from '../supervisor/guard.ts';
import { Output } from '../supervisor/output.ts';
import { HostedProcess } from '../up/hosted-process.ts';
import { followJoining } from '../up/joining.ts';
import { TELL_MS } from '../up/leaving.ts';
import { poll } from '../up/poll.ts';
import { localityOfMachine } from '../up/locality.ts';
import { PortAllocator, requireFreePorts } from '../up/ports.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { ProxyHost } from '../up/proxy-host.ts';

export interface RunOptions {
  readonly service: string;
  readonly namespace: string;
  readonly port?: number;
  readonly instance?: string;
  readonly uses?: readonly string[];
  readonly instanceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly ports?: NamedPorts;
  readonly locality?: Locality;
  readonly weight: number;
  readonly control?: HostPort;
  readonly inboundAddress: string;
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly dnsPort: number | 'off';
  readonly adminPort: number;
  readonly proxyWorkers: number;
  readonly stateDir?: string;
}

const LOOPBACK = '127.0.0.1';
/** What running requests have when the instance stops, first at the proxy and then at the process. */
const STOP_SECONDS = 10;

export async function run(command: readonly string[], options: RunOptions): Promise<ExitCode> {
  // Wrong usage is told before anything is made.
  localityOfMachine();
  const given = givenToken(options);
  const directory = given === undefined ? requireStateDirectory(options.stateDir) : prepareStateDirectory(options.stateDir);
  const operator = given === undefined ? openControl(directory) : undefined;
  const output = new Output(new FdStream(1), paletteFor({ isTTY: isatty(1) }, process.env));
  const guard = new Guard();
  try {
    const uses = await usedServices(options, operator);
    const token = given ?? (await operator?.createToken(options.namespace, options.service))?.token;
    const allocator = new PortAllocator(LOOPBACK, Math.random);
    const outboundPort = options.outboundPort === 0 ? await allocator.take() : options.outboundPort;
    const adminPort = options.adminPort === 0 ? await allocator.take() : options.adminPort;
    await requireFreePorts(LOOPBACK, [
      { what: 'the HTTP proxy', flag: '--outbound-port', port: outboundPort },
      { what: "the proxy's admin API", flag: '--admin-port', port: adminPort },
      ...(options.dnsPort === 'off' ? [] : [{ what: 'names by DNS', flag: '--dns-port', port: options.dnsPort, udp: true }]),
    ]);
    if (options.inboundPort !== 0)
      await requireFreePorts(options.inboundAddress, [
        { what: 'calls from other instances', flag: '--inbound-port', port: options.inboundPort },
      ]);
    const control = options.control ?? controlOf(directory);
    const sidecar = makeSidecar({
      ...options,
      command,
      directory,
      control,
      token,
      operator,
      uses,
      outboundPort,
      adminPort,
      allocator,
      output,
      guard,
    });
    return await supervise(sidecar, output);
  } finally {
    operator?.close();
    await guard.close();
  }
}

/** The token of the environment, if it is one for this service. */
function givenToken({ service, namespace, control }: RunOptions): string | undefined {
  const text = process.env['HEDDLE_JOIN_TOKEN'];
  const create = `\`heddle token create --service ${service}${namespace === DEFAULT_NAMESPACE ? '' : ` --namespace ${namespace}`}\``;
  if (text === undefined || text === '') {
    if (control === undefined) return undefined;
    throw new CliError('HEDDLE_JOIN_TOKEN is not set', `make a token where the control plane runs, with ${create}, and set it here`, {
      exitCode: 2,
    });
  }
  const parsed = parseJoinToken(text);
  if (!parsed.ok) {
    const { message } = splitMend(parsed.reason);
    throw new CliError(
      `HEDDLE_JOIN_TOKEN: ${message}`,
      `copy the token whole, or make a new one where the control plane runs, with ${create}`,
    );
  }
  if (parsed.token.service !== service || parsed.token.namespace !== namespace) {
    throw new CliError(
      `the token in HEDDLE_JOIN_TOKEN is for ${parsed.token.namespace}/${parsed.token.service}, not for ${namespace}/${service}`,
      `make one with ${create}`,
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

/**
 * Those that were named; else all that the registry knows. Without an operator's token it cannot be asked: then HTTP_PROXY leads to
 * all. Throws CliError when the mesh has no such service.
 */
async function usedServices({ uses, service, namespace }: RunOptions, operator: ControlClient | undefined): Promise<ServiceRef[]> {
  const named = uses?.map((name) => ({ namespace, name }));
  if (operator === undefined) return named ?? [];
  const known = (await operator.services()).filter((other) => other.namespace === namespace);
  for (const name of [service, ...(uses ?? [])]) {
    if (known.some((other) => other.name === name)) continue;
    const names = known.map((other) => other.name).join(', ');
    throw new CliError(
      `the mesh ${operator.info.mesh} has no service ${namespace}/${name}`,
      names === ''
        ? 'add it to the mesh file of the control plane'
        : `it has ${names}; others must be in the mesh file of the control plane`,
    );
  }
  return named ?? known.filter(({ name }) => name !== service).map(({ name }) => ({ namespace, name }));
}

interface Sidecar {
  readonly workload: string;
  readonly admin: ProxyAdmin;
  readonly host: ProxyHost;
  readonly hosted: HostedProcess;
  readonly tell: (text: string) => void;
}

interface SidecarOptions extends Omit<RunOptions, 'uses' | 'control'> {
  readonly command: readonly string[];
  readonly directory: string;
  readonly control: HostPort;
  /** The first one that is shown; an operator makes further ones for proxies that come after a crash. */
  readonly token: string | undefined;
  readonly operator: ControlClient | undefined;
  readonly uses: readonly ServiceRef[];
  readonly allocator: PortAllocator;
  readonly output: Output;
  readonly guard: Guard;
}

function makeSidecar(options: SidecarOptions): Sidecar {
  const { service, namespace, command, directory, operator, uses, outboundPort, adminPort, allocator, output, guard } = options;
  const instance = options.instance ?? `${service}-${randomBytes(3).toString('hex')}`;
  const tell = (name: string) => (_level: string, message: string) => output.line('heddle', `${name} ${message}`);
  const tokenFile = `proxy-${instance}.token`;
  const admin = new ProxyAdmin(adminPort, () => readStateFile(directory, tokenFile));
  let { token } = options;
  const host: ProxyHost = new ProxyHost({
    admin,
    args: proxyArguments(options, instance),
    // A sidecar speaks to the control plane as its only workload.
    joinToken: () => Promise.resolve(undefined),
    drainSeconds: STOP_SECONDS,
    drainWaitSeconds: TELL_MS / 1_000,
    workers: options.proxyWorkers,
    guard,
    onOutput: (stream) => output.attach(stream, 'proxy'),
    onTell: tell('proxy'),
    onChange: () => {},
    onUp: () => void hosted.proxyChanged(),
  });
  const hosted: HostedProcess = new HostedProcess({
    service: { namespace, name: service },
    instance,
    run: {
      command,
      directory: process.cwd(),
      environment: {},
      stopTimeoutMs: STOP_SECONDS * 1_000,
      version: options.instanceVersion ?? '',
    },
    said: saidOf(options),
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
    joinToken: async () => {
      const shown = token ?? (await operator?.createToken(namespace, service).catch(() => undefined))?.token;
      if (operator !== undefined) token = undefined;
      return shown;
    },
    guard,
    onOutput: (stream) => output.attach(stream, instance),
    onTell: tell(instance),
    onChange: ({ pid }) => {
      const inbound = hosted.binding?.inbound;
      if (pid !== undefined && inbound !== undefined)
        output.line('heddle', `${instance} runs (process ${pid}), inbound ${hostPortText(inbound.address, inbound.port)}`);
    },
  });
  output.expect(instance);
  const tellOfInstance = (text: string): void => tell(instance)('info', text);
  return { workload: `${namespace}/${service}/${instance}`, admin, host, hosted, tell: tellOfInstance };
}

function saidOf({ labels = {}, metadata = {}, ports = {}, weight, locality = localityOfMachine() }: SidecarOptions) {
  return { labels, metadata, ports, weight, ...(locality === undefined ? {} : { locality }) };
}

function proxyArguments({ control, outboundPort, dnsPort, adminPort, directory }: SidecarOptions, instance: string): string[] {
  const ports = ['--outbound-port', String(outboundPort), '--admin-port', String(adminPort), '--dns-port', String(dnsPort)];
  // Its warnings about the control plane come with every try; `followJoining` tells them once.
  const log = ['--log-level', 'error', '--log-format', 'pretty'];
  return ['--node', instance, '--control', hostPortText(control.host, control.port), ...ports, '--state-dir', directory, ...log];
}

function hostPortText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Runs to the end: by signal, or because the proxy cannot start or the workload cannot join. Throws CliError then. */
async function supervise(sidecar: Sidecar, output: Output): Promise<ExitCode> {
  const { host, hosted } = sidecar;
  const ended = Promise.withResolvers<void>();
  const abort = new AbortController();
  let asked = 0;
  const stop = (): void => {
    asked++;
    if (asked > 2) return;
    abort.abort();
    output.line('heddle', asked === 1 ? 'stopping; Ctrl-C again stops everything at once' : 'stopping at once');
    const stopped = asked === 1 ? stopGracefully(sidecar) : Promise.all([hosted.kill(), host.kill()]);
    stopped.then(() => ended.resolve(), ended.reject);
  };
  const forget = onStopSignal(stop);
  try {
    bring(sidecar, abort.signal).catch((error: unknown) => {
      // What fails because everything is being stopped is no failure.
      if (asked > 0) return;
      asked++;
      abort.abort();
      Promise.all([hosted.end(), host.stop()]).then(() => ended.reject(error), ended.reject);
    });
    await ended.promise;
    return 0;
  } finally {
    forget();
  }
}

async function bring({ host, hosted, admin, workload, tell }: Sidecar, aborted: AbortSignal): Promise<void> {
  host.start();
  await host.up(aborted);
  hosted.start();
  await followJoining(admin, workload, aborted, tell);
}

/**
 * The instance leaves rotation; then the proxy lets requests in flight end, while calls of the process still find their way. The process is
 * told to end as soon as nothing can come in any more.
 */
async function stopGracefully({ admin, host, hosted }: Sidecar): Promise<void> {
  await hosted.leaveToStop();
  const proxyStopped = host.stop();
  const gone = new AbortController();
  void proxyStopped.then(() => gone.abort());
  await poll(STOP_SECONDS * 1_000, gone.signal, async () => !(await admin.takesCalls().catch(() => false)));
  await hosted.end();
  await proxyStopped;
}
