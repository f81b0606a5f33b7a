// `heddle diff`: what a mesh file would change in the mesh that runs. Exit codes as those of diff: 0 the same, 1 it differs, 2 it could not be told.
import { formatProblems, type Problem } from '@heddle/core/config';
import type { admin } from '@heddle/api';
import { type ControlClient, openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { loadMeshFile, type ReadMeshFile } from '../mesh-file.ts';
import { countText, differenceData, differencesText } from '../output/differences.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface DiffOptions {
  readonly file: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function diff({ file, output, stateDir }: DiffOptions): Promise<ExitCode> {
  try {
    const sent = await loadMeshFile(file, (text) => process.stderr.write(`${text}\n`));
    const control = openControl(requireStateDirectory(stateDir));
    try {
      const change = await dryRun(sent, control);
      if (output !== 'table') process.stdout.write(formatData(changeData(change), output));
      else process.stdout.write(changeText(change, file));
      return change.changes.length === 0 ? 0 : 1;
    } finally {
      control.close();
    }
  } catch (error) {
    // 1 would mean that it differs.
    if (error instanceof CliError) throw new CliError(error.message, error.mend, { exitCode: 2, cause: error.cause });
    throw error;
  }
}

/** What the file would change. Throws CliError, also when the control plane finds a fault that this command does not. */
export async function dryRun(sent: ReadMeshFile, control: ControlClient): Promise<admin.ApplyMeshFileResponse> {
  return accepted(await control.applyMeshFile(sent, { dryRun: true }), sent);
}

/** Throws CliError with what the control plane does not like about the file. */
export function accepted(answer: admin.ApplyMeshFileResponse, { path, text }: ReadMeshFile): admin.ApplyMeshFileResponse {
  if (answer.isValid) return answer;
  const problems = answer.problems.map(
    (problem): Problem => ({ ...problem, severity: problem.severity === 'error' ? 'error' : 'warning', path }),
  );
  throw new CliError(
    `the control plane does not take ${path}\n${formatProblems(problems, text)}`,
    'it may be of another version than this command: see `heddle check`',
  );
}

export function changeData({ changes, notes }: admin.ApplyMeshFileResponse): {
  readonly changes: readonly object[];
  readonly notes: readonly string[];
} {
  return { changes: changes.map(differenceData), notes };
}

export function changeText({ changes, notes }: admin.ApplyMeshFileResponse, file: string): string {
  const palette = paletteFor(process.stdout, process.env);
  const what = changes.length === 0 ? `the mesh is as ${file} says\n` : `${differencesText(changes, palette)}\n${countText(changes)}\n`;
  return `${what}${notes.map((note) => `${palette.dim('note:')} ${note}\n`).join('')}`;
}
