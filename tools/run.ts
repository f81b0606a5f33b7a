// Runs a tool of node_modules with the Node that runs us, and gives back what it said.
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export interface RunResult {
  readonly code: number;
  /** Stdout and stderr, in the order they came. */
  readonly output: string;
}

/** `script` is a path below node_modules, or absolute. */
export function run(root: string, script: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<RunResult> {
  const path = script.startsWith('/') ? script : join(root, 'node_modules', script);
  return runProgram(root, process.execPath, [path, ...args], environment);
}

export function runProgram(
  folder: string,
  program: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: folder, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
