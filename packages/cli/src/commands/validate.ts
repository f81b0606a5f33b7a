// `heddle validate`: is the mesh file right? All problems at once, for people with the line they are on.
import { formatProblems, type Problem } from '@heddle/core/config';
import { CliError, type ExitCode } from '../errors.ts';
import { readMeshFile } from '../mesh-file.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';

export interface ValidateOptions {
  readonly file: string;
  readonly output: OutputFormat;
  /** Warnings count as errors. */
  readonly strict?: boolean;
}

export async function validate({ file, output, strict = false }: ValidateOptions): Promise<ExitCode> {
  const { mesh, text, problems } = await readMeshFile(file);
  const refused = mesh === undefined || (strict && problems.length > 0);
  if (output !== 'table') {
    process.stdout.write(formatData({ valid: !refused, problems }, output));
    return refused ? 1 : 0;
  }
  if (problems.length > 0) process.stderr.write(`${formatProblems(problems, text)}\n`);
  if (refused) throw new CliError(`${file} has ${counted(problems, strict)}`);
  const instances = mesh.services.reduce((sum, { run }) => sum + (run?.replicas ?? 0), 0);
  process.stdout.write(`${file} is valid: mesh ${mesh.name}, ${mesh.services.length} services, ${instances} instances to run\n`);
  return 0;
}

/** `2 errors`, `1 error and 3 warnings`. Warnings are counted where they are a reason. */
function counted(problems: readonly Problem[], strict: boolean): string {
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const warnings = strict ? problems.length - errors : 0;
  const words = [
    ...(errors > 0 ? [`${errors} ${errors === 1 ? 'error' : 'errors'}`] : []),
    ...(warnings > 0 ? [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`] : []),
  ];
  return words.join(' and ');
}
