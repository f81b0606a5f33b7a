// `heddle validate`: is the mesh file right? All problems at once, for people with the line they are on.
import { formatProblems } from '@heddle/core/config';
import { CliError, type ExitCode } from '../errors.ts';
import { readMeshFile } from '../mesh-file.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';

export interface ValidateOptions {
  readonly file: string;
  readonly output: OutputFormat;
}

export async function validate({ file, output }: ValidateOptions): Promise<ExitCode> {
  const { mesh, text, problems } = readMeshFile(file);
  if (output !== 'table') {
    process.stdout.write(formatData({ valid: mesh !== undefined, problems }, output));
    return mesh === undefined ? 1 : 0;
  }
  if (mesh === undefined) {
    const errors = problems.filter(({ severity }) => severity === 'error').length;
    process.stderr.write(`${formatProblems(problems, text)}\n`);
    throw new CliError(`${file} has ${errors} ${errors === 1 ? 'error' : 'errors'}`);
  }
  if (problems.length > 0) process.stderr.write(`${formatProblems(problems, text)}\n`);
  const instances = mesh.services.reduce((sum, { run }) => sum + (run?.replicas ?? 0), 0);
  process.stdout.write(`${file} is valid: mesh ${mesh.name}, ${mesh.services.length} services, ${instances} instances to run\n`);
  return 0;
}
