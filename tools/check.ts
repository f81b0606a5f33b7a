// `npm run check`: every check in order, one line each, all of them even when one fails, and a summary at the end.
// `npm run check -- --only types,lint` runs some of them.
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Check, CheckResult } from './checks/check.ts';
import { checkDocs } from './checks/docs.ts';
import { checkLayers } from './checks/layers.ts';
import { checkCalls, checkSize } from './checks/source.ts';
import { checkTests } from './checks/tests.ts';
import { TOOL_CHECKS } from './checks/tools.ts';

export const CHECKS: readonly Check[] = [
  ...TOOL_CHECKS.filter(({ name }) => name !== 'dead'),
  { name: 'layers', what: 'layers and cycles (dependency-cruiser)', run: checkLayers },
  ...TOOL_CHECKS.filter(({ name }) => name === 'dead'),
  { name: 'calls', what: 'clocks, timers and dice only where allowed', run: async (root) => checkCalls(root) },
  { name: 'size', what: 'length of files and functions', run: async (root) => checkSize(root) },
  { name: 'docs', what: 'reference pages and links', run: checkDocs },
  { name: 'tests', what: 'tests', run: checkTests },
];

/** The checks that the arguments choose, or what is wrong with the arguments. */
export function chooseChecks(args: readonly string[], checks: readonly Check[] = CHECKS): readonly Check[] | string {
  let only: readonly string[] | undefined;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    const value = arg.startsWith('--only=') ? arg.slice('--only='.length) : arg === '--only' ? args[(index += 1)] : undefined;
    if (value === undefined) return arg === '--only' ? '--only needs names: --only types,lint' : `unknown argument ${arg}`;
    only = [...(only ?? []), ...value.split(',').filter((name) => name !== '')];
  }
  if (only === undefined) return checks;
  const unknown = only.filter((name) => !checks.some((check) => check.name === name));
  if (unknown.length > 0 || only.length === 0) {
    return `there is no check ${unknown.join(', ') || 'without a name'}; choose from ${checks.map(({ name }) => name).join(', ')}`;
  }
  return checks.filter(({ name }) => only.includes(name));
}

/** Runs the checks and writes about them; returns the names of those that failed. */
export async function runChecks(root: string, checks: readonly Check[], write: (text: string) => void): Promise<string[]> {
  const failed: string[] = [];
  const startMs = performance.now();
  for (const check of checks) {
    const checkStartMs = performance.now();
    let result: CheckResult;
    try {
      result = await check.run(root);
    } catch (error) {
      result = { ok: false, detail: 'could not run', output: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    if (!result.ok) failed.push(check.name);
    write(
      `${result.ok ? 'ok  ' : 'FAIL'}  ${check.name.padEnd(7)} ${seconds(checkStartMs).padStart(7)}  ${check.what}: ${result.detail}\n`,
    );
    if (result.output !== '') write(`${result.output.replace(/^(?=.)/gm, '      ')}\n`);
  }
  const verdict =
    failed.length === 0 ? `all ${checks.length} checks passed` : `${failed.length} of ${checks.length} checks failed: ${failed.join(', ')}`;
  write(`\n${verdict} in ${seconds(startMs)}\n`);
  return failed;
}

function seconds(startMs: number): string {
  return `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const chosen = chooseChecks(process.argv.slice(2));
  if (typeof chosen === 'string') {
    process.stderr.write(`check: ${chosen}\n`);
    process.exitCode = 2;
  } else {
    const failed = await runChecks(resolve(import.meta.dirname, '..'), chosen, (text) => process.stdout.write(text));
    process.exitCode = failed.length === 0 ? 0 : 1;
  }
}
