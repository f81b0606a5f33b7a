// What the pages tell their readers to type works, and writes what they show: those that share one running mesh of the example. Each leaves it as it
// found it. HEDDLE_PAGES=draining,explain chooses some.
import { after, before, describe, it } from 'node:test';
import { dispose, pagesOf, sandboxed } from './support/page-places.ts';
import { runPage } from './support/run-page.ts';
import type { Sandbox } from './support/sandbox.ts';
import { lacksProgram, notRunHere } from './support/when.ts';

describe('pages with the mesh of the example', { skip: notRunHere() }, () => {
  let sandbox: Sandbox | undefined;
  const pages = pagesOf('shop');
  before(async () => {
    if (pages.length === 0) return;
    sandbox = await sandboxed();
    await sandbox.beside('heddle up -f examples/shop/heddle.yaml', '\nready:');
  });
  after(async () => {
    if (sandbox !== undefined) await dispose(sandbox);
  });
  for (const page of pages)
    it(page.path, { skip: lacksProgram(page) }, async (context) => {
      if (sandbox === undefined) throw new Error('there is no mesh');
      sandbox.begin();
      try {
        const { commands, excused } = await runPage(page, sandbox);
        context.diagnostic([`${commands} commands`, ...excused].join('\n'));
      } finally {
        await sandbox.end();
      }
    });
});
