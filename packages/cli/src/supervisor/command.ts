// From the command of a mesh file to what is executed: a list is taken as it is, a text goes to the shell.
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** A single command of plain words: `exec` in front makes the shell become it instead of waiting beside it. */
const PLAIN_FIRST_WORD = /^\s*([A-Za-z0-9_./~+@%-]+)(?=\s|$)/;
const COMPOUND = /[;&|()\n`]|\$\(/;
/** What only the shell itself can do: no program has these names. */
const SHELL_WORDS = new Set(
  '. alias bg break case cd command continue eval exec exit export fg for getopts hash if jobs read readonly return set shift times trap ulimit umask unalias unset until wait while'.split(
    ' ',
  ),
);

export function commandLine(command: string | readonly string[]): string[] {
  if (typeof command !== 'string') return [...command];
  return ['/bin/sh', '-c', isPlain(command) ? `exec ${command}` : command];
}

function isPlain(command: string): boolean {
  const word = PLAIN_FIRST_WORD.exec(command)?.[1];
  return word !== undefined && !SHELL_WORDS.has(word) && !COMPOUND.test(command);
}

/** The program that a command begins with; undefined where only the shell can know. */
export function programOf(command: string | readonly string[]): string | undefined {
  if (typeof command !== 'string') return command[0];
  const word = isPlain(command) ? PLAIN_FIRST_WORD.exec(command)?.[1] : undefined;
  return word?.startsWith('~') === true ? undefined : word;
}

/** Where a program is found; undefined when it is not there or cannot be executed. */
export function findProgram(program: string, path: string, directory: string): string | undefined {
  const candidates = program.includes('/')
    ? [isAbsolute(program) ? program : resolve(directory, program)]
    : path.split(delimiter).map((entry) => join(entry === '' ? directory : resolve(directory, entry), program));
  return candidates.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Why the command cannot be started, in words; undefined when nothing speaks against it. */
export function commandProblem(command: string | readonly string[], path: string, directory: string): string | undefined {
  if (!isDirectory(directory)) return `the directory ${directory} does not exist`;
  const program = programOf(command);
  if (program === undefined || findProgram(program, path, directory) !== undefined) return undefined;
  return program.includes('/')
    ? `there is no executable file ${isAbsolute(program) ? program : resolve(directory, program)}`
    : `the command "${program}" is not on PATH`;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
