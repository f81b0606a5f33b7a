// `heddle drain`: takes an instance out of rotation and waits until every data plane has acknowledged that, or puts it back. Progress goes to
// standard error, the result to standard output; the exit code says whether it may be stopped now.
import type { Instance } from '@heddle/core';
import { serviceKey } from '@heddle/core';
import { type ControlClient, type DrainReport, openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import { dataPlanesText as all, namesOf, progressTo } from '../output/progress.ts';
import type { OutputFormat } from '../output/formats.ts';
import { unknownName } from '../output/unknown.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface DrainOptions {
  /** Milliseconds. */
  readonly timeout: number;
  readonly reason: string;
  readonly undo: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function drain(name: string, options: DrainOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(options.stateDir));
  try {
    const instance = await instanceNamed(name, control);
    return options.undo ? await putBack(instance, options, control) : await takeOut(instance, options, control);
  } finally {
    control.close();
  }
}

async function takeOut(instance: Instance, { timeout, reason, output }: DrainOptions, control: ControlClient): Promise<ExitCode> {
  const startMs = performance.now();
  const workload = workloadOf(instance);
  const report = await control.drain(instance, { timeoutMs: timeout, reason }, progressTo(process.stderr, workload));
  const seconds = (performance.now() - startMs) / 1_000;
  if (output !== 'table')
    process.stdout.write(formatData({ instance: workload, ...report, seconds: Math.round(seconds * 1_000) / 1_000 }, output));
  else process.stdout.write(`${workload} ${outcomeText(report, seconds)}\n`);
  return report.outcome === 'complete' ? 0 : 1;
}

async function putBack(instance: Instance, { output }: DrainOptions, control: ControlClient): Promise<ExitCode> {
  const workload = workloadOf(instance);
  const { health, healthReason } = (await control.undrain(instance)) ?? instance;
  if (output !== 'table') process.stdout.write(formatData({ instance: workload, health, healthReason }, output));
  else if (health === 'draining') process.stdout.write(`${workload} is still draining: it is stopping by itself\n`);
  else process.stdout.write(`${workload} is back in rotation; it is ${health}\n`);
  return health === 'draining' ? 1 : 0;
}

function outcomeText({ outcome, dataPlanes, gone, stragglers }: DrainReport, seconds: number): string {
  const after = `${seconds.toFixed(1)} s`;
  if (outcome === 'complete') {
    const who = dataPlanes === 0 ? 'no data plane knew it as one to be chosen' : `${all(dataPlanes - gone)} acknowledged in ${after}`;
    const missing = gone === 0 ? '' : `, ${gone} ${gone === 1 ? 'is' : 'are'} gone`;
    return `is drained: ${who}${missing}; it gets no new calls until \`heddle drain --undo\``;
  }
  if (outcome === 'returned') return 'was put back into rotation by somebody else';
  return `is out of rotation, but after ${after} ${stragglers.length} of ${all(dataPlanes)} may still choose it: ${namesOf(stragglers)}`;
}

function workloadOf({ service, id }: Instance): string {
  return `${serviceKey(service)}/${id}`;
}

/** By its id, where that is unique, or with service and namespace before it. Throws CliError. */
export async function instanceNamed(name: string, control: Pick<ControlClient, 'instances'>): Promise<Instance> {
  const instances = await control.instances();
  const found = instances.filter((instance) => workloadOf(instance) === name || workloadOf(instance).endsWith(`/${name}`));
  const [first, second] = found;
  if (first !== undefined && second === undefined) return first;
  if (first !== undefined)
    throw new CliError(`there are several instances named ${name}`, `name one of ${found.map(workloadOf).join(', ')}`, { exitCode: 2 });
  throw await unknownName(
    'instance',
    name,
    instances.map(({ id }) => id),
    '`heddle get instances`',
  );
}
