// The command as tests start it: from its sources, or, in a run of all tests, the bundle that `tools/test.ts` has just made of them, which starts
// several times as fast.
import { fileURLToPath } from 'node:url';

/** The program. */
export const HEDDLE: string = process.env['HEDDLE_TEST_COMMAND'] ?? fileURLToPath(new URL('../main.ts', import.meta.url));

/** What Node is called with for a Heddle command. */
export function heddleArguments(...args: readonly string[]): string[] {
  return ['--conditions=heddle-source', HEDDLE, ...args];
}
