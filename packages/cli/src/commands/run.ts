// `heddle run`: one process of a service, joined to a mesh that may run elsewhere. Its data plane is inside it where that can be, else beside it.
import { isatty } from 'node:tty';
import { DEFAULT_NAMESPACE, parseJoinToken } from '@heddle/core';
import { openControl, type ControlClient } from '../control-client.ts';
import { CliError, splitMend, type ExitCode } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { FdStream } from '../output/fd-stream.ts';
import { paletteFor } from '../output/palette.ts';
import { onStopSignal } from '../signals.ts';
import { connectableAddress, prepareStateDirectory, readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { Guard } from '../supervisor/guard.ts';
import { Output } from '../supervisor/output.ts';
import { localityOfMachine } from '../up/locality.ts';
import { type Placement, placementOf } from '../up/placement.ts';
import { PortAllocator, requireFreePorts } from '../up/ports.ts';
import { instanceName, LOOPBACK, type RunDeps, type RunningInstance, type RunOptions, type UsedService } from './run-instance.ts';

export async function run(command: readonly string[], options: RunOptions): Promise<ExitCode> {
  // Wrong usage is told before anything is made.
  localityOfMachine();
  const placement = choosePlacement(command, options);
  const given = givenToken(options);
  const directory = given === undefined ? requireStateDirectory(options.stateDir) : prepareStateDirectory(options.stateDir);
  const operator = given === undefined ? openControl(directory) : undefined;
  const output = new Output(new FdStream(1), paletteFor({ isTTY: isatty(1) }, process.env));
  const guard = new Guard();
  try {
    const uses = await usedServices(options, operator);
    const token = given ?? (await operator?.createToken(options.namespace, options.service))?.token;
    const allocator = new PortAllocator(LOOPBACK, Math.random);
    if (options.inboundPort !== 0)
      await requireFreePorts(options.inboundAddress, [
        { what: 'calls from other instances', flag: '--inbound-port', port: options.inboundPort },
      ]);
    const control = options.control ?? controlOf(directory);
    const instance = options.instance ?? instanceName(options.service);
    const deps = { ...options, instance, command, directory, control, token, operator, uses, allocator, output, guard };
    output.expect(instance);
    return await supervise(await begin(placement, deps), output);
  } finally {
    operator?.close();
    await guard.close();
  }
}

/** Throws CliError where what is asked for cannot be. */
function choosePlacement(command: readonly string[], { inProcess, sidecar, ...options }: RunOptions): Placement {
  const needs = proxyOption(options);
  if (inProcess === true) {
    if (needs !== undefined)
      throw new CliError(`${needs} is of a proxy, and with --in-process there is none`, 'leave one of the two out', { exitCode: 2 });
    const placement = placementOf(command, process.env['PATH'] ?? '', process.cwd());
    if (placement.kind === 'in-process') return placement;
    throw new CliError(
      `the data plane cannot be inside the process: ${placement.reason}`,
      'leave --in-process out: then it is a proxy beside the process',
      { exitCode: 2 },
    );
  }
  if (sidecar === true) return { kind: 'sidecar', reason: '' };
  if (needs !== undefined) return { kind: 'sidecar', reason: `${needs} asks for a proxy` };
  return placementOf(command, process.env['PATH'] ?? '', process.cwd());
}

function proxyOption({ outboundPort, dnsPort, proxyWorkers }: RunOptions): string | undefined {
  if (outboundPort !== 0) return '--outbound-port';
  if (dnsPort !== 'off') return '--dns-port';
  return proxyWorkers > 1 ? '--proxy-workers' : undefined;
}

async function begin(placement: Placement, deps: RunDeps): Promise<RunningInstance> {
  if (placement.kind === 'in-process') return (await import('./run-inside.ts')).runInside(deps);
  if (placement.reason !== '') deps.output.line('heddle', `${deps.instance} gets a proxy beside it: ${placement.reason}`);
  return (await import('./run-sidecar.ts')).runSidecar(deps);
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
async function usedServices({ uses, service, namespace }: RunOptions, operator: ControlClient | undefined): Promise<UsedService[]> {
  if (operator === undefined) return (uses ?? []).map((name) => ({ service: { namespace, name } }));
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
  const used = known.filter(({ name }) => uses?.includes(name) ?? name !== service);
  return used.map(({ name, port }) => ({ service: { namespace, name }, port }));
}

/** Runs to the end: by signal, or because the data plane cannot start or the workload cannot join. Throws CliError then. */
async function supervise(instance: RunningInstance, output: Output): Promise<ExitCode> {
  const ended = Promise.withResolvers<void>();
  const abort = new AbortController();
  let asked = 0;
  const stop = (): void => {
    asked++;
    if (asked > 2) return;
    abort.abort();
    output.line('heddle', asked === 1 ? 'stopping; Ctrl-C again stops everything at once' : 'stopping at once');
    const stopped = asked === 1 ? instance.stop() : instance.kill();
    stopped.then(() => ended.resolve(), ended.reject);
  };
  const forget = onStopSignal(stop);
  try {
    instance.bring(abort.signal).catch((error: unknown) => {
      // What fails because everything is being stopped is no failure.
      if (asked > 0) return;
      asked++;
      abort.abort();
      instance.end().then(() => ended.reject(error), ended.reject);
    });
    await ended.promise;
    return 0;
  } finally {
    forget();
  }
}
