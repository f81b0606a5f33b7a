// What the pages tell their readers to type works, and writes what they show: those that begin in an empty folder. Pages say by comments what a run
// needs (tools/docs/pages.ts). HEDDLE_PAGES=routing,access chooses some.
import { describe, it } from 'node:test';
import { dispose, pagesOf, sandboxed } from './support/page-places.ts';
import { runPage } from './support/run-page.ts';
import { lacksProgram, notRunHere } from './support/when.ts';

describe('pages that begin in an empty folder', { skip: notRunHere() }, () => {
  for (const page of pagesOf('empty'))
    it(page.path, { skip: lacksProgram(page) }, async (context) => {
      const sandbox = await sandboxed();
      try {
        const { commands, excused } = await runPage(page, sandbox);
        context.diagnostic([`${commands} commands`, ...excused].join('\n'));
      } finally {
        await dispose(sandbox);
      }
    });
});
