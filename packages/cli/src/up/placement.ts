// Where the data plane of one process can be: inside it, where it is a Node program of a Node that is new enough; else beside it. What is started by
// a script is judged by what the script is run with: npm, npx, yarn, pnpm and tsx are Node programs that start others of the same Node.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { findProgram } from '../supervisor/command.ts';

export type Placement =
  | { readonly kind: 'in-process' }
  | { readonly kind: 'sidecar' /** As the rest of a sentence: `it is …`. */; readonly reason: string };

const NODE_MAJOR_MIN = 24;
const NODE_NAMES = /^node(?:js)?(?:\.exe)?$/;
/** Of a script, to see what runs it. */
const HEAD_BYTES = 4_096;
/** `#!/usr/bin/env -S node --flag`, `#!/opt/node/bin/node`. */
const SHEBANG = /^#!\s*(\S+)(?:[ \t]+(?:-S[ \t]*)?(\S+))?/;
/** As pnpm writes programs of packages. */
const SHELL_STUB = /^\s*exec\s+(?:"[^"]*\/node"|node)\s/m;
const VARIABLE = /^[A-Za-z_]\w*=/;
const VERSION_TIMEOUT_MS = 5_000;

/** @param path of the process: where programs are looked for */
export function placementOf(command: readonly string[], path: string, directory: string): Placement {
  const program = firstProgram(command);
  const found = program === undefined ? undefined : findProgram(program, path, directory);
  if (program === undefined || found === undefined) return beside('it cannot be seen what it is');
  const node = nodeOf(found, path, directory);
  if (node === undefined) return beside(`${program} is not a Node program`);
  const version = versionOf(node);
  if (version === undefined) return beside(`${node} does not tell its version`);
  if (Number.parseInt(version, 10) >= NODE_MAJOR_MIN) return { kind: 'in-process' };
  return beside(`Node ${version} is too old for a data plane inside it (${NODE_MAJOR_MIN} or newer)`);
}

function beside(reason: string): Placement {
  return { kind: 'sidecar', reason };
}

/** Past `env A=1 B=2`. */
function firstProgram([first, ...rest]: readonly string[]): string | undefined {
  if (first === undefined || basename(first) !== 'env') return first;
  return rest.find((word) => !VARIABLE.test(word));
}

/** The Node that runs the program; undefined when it is none. */
function nodeOf(found: string, path: string, directory: string): string | undefined {
  if (NODE_NAMES.test(basename(found))) return found;
  const file = real(found);
  if (NODE_NAMES.test(basename(file))) return file;
  const head = headOf(file);
  const [, interpreter, argument] = SHEBANG.exec(head) ?? [];
  if (interpreter === undefined) return undefined;
  if (NODE_NAMES.test(basename(interpreter))) return findProgram(interpreter, path, directory);
  if (basename(interpreter) === 'env' && argument !== undefined && NODE_NAMES.test(basename(argument)))
    return findProgram(argument, path, directory);
  if (/^(?:ba|da)?sh$/.test(basename(interpreter)) && SHELL_STUB.test(head)) return findProgram('node', path, directory);
  return undefined;
}

function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function headOf(file: string): string {
  try {
    const opened = openSync(file, 'r');
    try {
      const bytes = Buffer.alloc(HEAD_BYTES);
      return bytes.toString('latin1', 0, readSync(opened, bytes));
    } finally {
      closeSync(opened);
    }
  } catch {
    return '';
  }
}

function versionOf(node: string): string | undefined {
  if (real(node) === real(process.execPath)) return process.versions.node;
  const { stdout } = spawnSync(node, ['-p', 'process.versions.node'], {
    encoding: 'utf8',
    timeout: VERSION_TIMEOUT_MS,
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return /^\d+\.\d+\.\d+/.exec(stdout ?? '')?.[0];
}
