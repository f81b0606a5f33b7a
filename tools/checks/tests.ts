// All tests, as a check: quiet when they pass; the failing ones and the runner's summary when they do not.
import { isTestFile, listFiles } from '../files.ts';
import { runProgram } from '../run.ts';
import { planTests, prepareTests } from '../test.ts';
import type { CheckResult } from './check.ts';

export async function checkTests(root: string): Promise<CheckResult> {
  const files = listFiles(root, /\.test\.ts$/).filter(isTestFile);
  // Without any file the runner would look for tests by itself, or pass with nothing run.
  if (files.length === 0) return { ok: false, detail: 'no test file was found', output: '' };
  const { args, environment, dispose } = await prepareTests(root, planTests(files, []));
  const { code, output } = await runProgram(root, process.execPath, args, {
    // Set when this check is itself run by a test; the runner would then print for its parent instead of for us.
    NODE_TEST_CONTEXT: undefined,
    ...environment,
  }).finally(dispose);
  const count = (name: string): number => Number(new RegExp(`^. ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? Number.NaN);
  const [passed, failed, skipped, all] = [count('pass'), count('fail'), count('skipped'), count('tests')];
  const ok = code === 0 && failed === 0 && all > 0;
  const detail = `${passed} of ${all} passed${skipped > 0 ? `, ${skipped} skipped` : ''}, in ${files.length} files`;
  return { ok, detail, output: ok ? skippedTests(output) : failures(output) };
}

/** The spec reporter repeats the failing tests after its summary. */
function failures(output: string): string {
  const start = output.search(/^. tests \d+$/m);
  return (start === -1 ? output : output.slice(start)).trim();
}

function skippedTests(output: string): string {
  return output
    .split('\n')
    .filter((line) => /# SKIP|^\s*﹣/.test(line))
    .map((line) => `skipped: ${line.trim()}`)
    .join('\n');
}
