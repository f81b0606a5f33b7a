// Where the commands of the pages are run: where a sandbox can be made, and not in every `npm test`, because they take minutes.
import type { Page } from '../../../tools/docs/pages.ts';
import { pathOf, reason } from '../../interop/support/programs.ts';
import { noSandbox } from './sandbox.ts';

/** The `skip` of these tests. */
export function notRunHere(): string | false {
  const missing = noSandbox();
  if (missing !== undefined) return reason(missing);
  const isWhole = process.env['HEDDLE_TEST_COMMAND'] !== undefined && process.env['HEDDLE_REQUIRE_INTEROP'] !== '1';
  return isWhole && 'takes minutes: run by .ci/run, and by `npm test -- tests/pages`';
}

/** The `skip` of a single page. */
export function lacksProgram({ needs }: Page): string | false {
  const missing = needs.find((program) => pathOf(program) === program);
  return missing !== undefined && reason(missing);
}
