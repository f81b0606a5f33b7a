// Reading a mesh file: a complete configuration, or every problem at once with its place.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { MeshConfig } from '@heddle/core';
import { formatProblems, mayHaveConditions, parseMeshFile, type Problem } from '@heddle/core/config';
import { readPlainText } from './commands/proxy-static-file.ts';
import { CliError } from './errors.ts';

export interface ReadMeshFile {
  /** As it was named. */
  readonly path: string;
  readonly text: string;
  /** Absent when there is an error among the problems. */
  readonly mesh: MeshConfig | undefined;
  readonly problems: readonly Problem[];
  /** What is in the files that it names, by name; without secrets. */
  readonly files: ReadonlyMap<string, string>;
}

/** Throws CliError when the file cannot be read at all. */
export async function readMeshFile(path: string): Promise<ReadMeshFile> {
  const text = readText(path, 'mesh file', 'name the file with -f FILE');
  const directory = resolve(path, '..');
  const files = { read: (name: string) => readPlainText(resolve(directory, name)), nowMs: Date.now() };
  const { compileCondition } = mayHaveConditions(text) ? await import('@heddle/core/cel') : {};
  const {
    mesh,
    problems,
    files: named,
  } = parseMeshFile(text, { path, directory, files, ...(compileCondition && { conditions: compileCondition }) });
  return { path, text, mesh, problems, files: named };
}

/** Throws CliError with all problems; hands warnings to `warn`. */
export async function loadMesh(path: string, warn: (text: string) => void): Promise<MeshConfig> {
  return (await loadMeshFile(path, warn)).mesh;
}

/** The same, with what was read. */
export async function loadMeshFile(path: string, warn: (text: string) => void): Promise<ReadMeshFile & { readonly mesh: MeshConfig }> {
  const read = await readMeshFile(path);
  return { ...read, mesh: accept(path, read.text, read.mesh, read.problems, warn) };
}

function readText(path: string, what: string, mend: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a directory' : (error as Error).message;
    throw new CliError(`the ${what} ${path} cannot be read: ${reason}`, mend, { cause: error });
  }
}

/** What was read, or CliError with all problems. */
export function accept<T>(
  path: string,
  text: string,
  config: T | undefined,
  problems: readonly Problem[],
  warn: (text: string) => void,
): T {
  if (config === undefined) {
    const errors = problems.filter(({ severity }) => severity === 'error').length;
    throw new CliError(`${path} has ${errors} ${errors === 1 ? 'problem' : 'problems'}\n${formatProblems(problems, text)}`);
  }
  if (problems.length > 0) warn(formatProblems(problems, text));
  return config;
}
