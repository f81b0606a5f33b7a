// `heddle apply`: puts a mesh file in place of the one that holds, after showing what that changes, and waits until the data planes have it.
import { createInterface } from 'node:readline/promises';
import { type ControlClient, type DrainReport, openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { loadMeshFile } from '../mesh-file.ts';
import { countText } from '../output/differences.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { dataPlanesText, namesOf, progressTo } from '../output/progress.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { accepted, changeData, changeText, dryRun } from './diff.ts';

/** Of all that changes what data planes are told. */
export interface WaitOptions {
  /** Whether data planes are waited for. */
  readonly wait: boolean;
  /** Milliseconds. */
  readonly timeout: number;
}

export interface ApplyOptions extends WaitOptions {
  readonly file: string;
  readonly yes: boolean;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function apply(options: ApplyOptions): Promise<ExitCode> {
  const { file, output } = options;
  const sent = await loadMeshFile(file, (text) => process.stderr.write(`${text}\n`));
  const control = openControl(requireStateDirectory(options.stateDir));
  try {
    const planned = await dryRun(sent, control);
    // Programs get it once, at the end.
    (output === 'table' ? process.stdout : process.stderr).write(changeText(planned, file));
    if (planned.changes.length > 0 && !options.yes && !(await isAgreed(`${countText(planned.changes)}; apply them?`))) {
      process.stderr.write('nothing was changed\n');
      return 1;
    }
    // What was shown is what is done.
    const done = accepted(await control.applyMeshFile(sent, { dryRun: false, expectedRevision: planned.fileRevision }), sent);
    const sync = await synced(control, options);
    if (output !== 'table') process.stdout.write(formatData({ revision: done.revision, ...changeData(done), sync: sync ?? null }, output));
    else if (planned.changes.length > 0 || sync?.outcome !== 'complete') process.stdout.write(`applied${syncText(sync)}\n`);
    return exitCodeOf(sync);
  } finally {
    control.close();
  }
}

/** Undefined: nobody waits. Progress goes to standard error. */
export async function synced(control: ControlClient, { wait, timeout }: WaitOptions): Promise<DrainReport | undefined> {
  return wait ? await control.followSync(timeout, progressTo(process.stderr, 'configuration')) : undefined;
}

/** `; 3 data planes have it`, to be put after what was done. */
export function syncText(sync: DrainReport | undefined): string {
  if (sync === undefined) return '; data planes are being told';
  const { outcome, dataPlanes, acknowledged, stragglers } = sync;
  if (outcome === 'complete')
    return dataPlanes === 0
      ? '; no data plane is connected'
      : `; ${dataPlanesText(acknowledged)} ${acknowledged === 1 ? 'has' : 'have'} it`;
  return `; ${stragglers.length} of ${dataPlanesText(dataPlanes)} ${stragglers.length === 1 ? 'has' : 'have'} not acknowledged it: ${namesOf(stragglers)}; see \`heddle get proxies\``;
}

/** 1: some data plane goes by what it had. */
export function exitCodeOf(sync: DrainReport | undefined): ExitCode {
  return sync === undefined || sync.outcome === 'complete' ? 0 : 1;
}

/** A program that calls this has decided already. */
async function isAgreed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return true;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const abort = new AbortController();
  // Ctrl-C and the end of the input mean no.
  asking.once('SIGINT', () => abort.abort());
  asking.once('close', () => abort.abort());
  try {
    return /^y(es)?$/i.test((await asking.question(`${question} [y/N] `, { signal: abort.signal })).trim());
  } catch (error) {
    if (abort.signal.aborted) return false;
    throw new CliError(`the answer cannot be read: ${(error as Error).message}`, 'apply with --yes', { cause: error });
  } finally {
    asking.close();
  }
}
