// Where the commands of the pages are run: where a sandbox can be made, and not in every `npm test`, because they take minutes.
import { noSandbox } from './sandbox.ts';

/** The `skip` of these tests. */
export function notRunHere(): string | false {
  if (process.env['HEDDLE_REQUIRE_INTEROP'] === '1') return false;
  if (process.env['HEDDLE_TEST_COMMAND'] !== undefined) return 'takes minutes: run by .ci/run, and by `npm test -- tests/pages`';
  return noSandbox() ?? false;
}
