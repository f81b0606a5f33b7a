// What the pages tell their readers to type works, and writes what they show. Pages say by comments what a run needs (tools/docs/pages.ts); those
// `in shop` share one running mesh of the example, the others begin in an empty folder. The tutorial is in tutorial.test.ts.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { documentedPages } from '../../tools/checks/docs.ts';
import { type Page, type Place, readPage } from '../../tools/docs/pages.ts';
import { testedCommand } from '../../tools/testing/command.ts';
import { runPage } from './support/run-page.ts';
import { notRunHere } from './support/when.ts';
import { Sandbox } from './support/sandbox.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGES = documentedPages(ROOT).map((path) => readPage(path, readFileSync(join(ROOT, path), 'utf8')));
const asked = process.env['HEDDLE_PAGES']?.split(',');
const chosen = (place: Place): Page[] =>
  PAGES.filter((page) => page.place === place && (asked === undefined || asked.some((one) => page.path.includes(one))));

/** A folder in which `heddle`, `./heddle` and `../heddle` are the command that is tested. */
async function workFolder(): Promise<string> {
  const folder = join(mkdtempSync(join(tmpdir(), 'heddle-pages-')), 'clone');
  mkdirSync(folder);
  process.env['HEDDLE_TEST_COMMAND'] ??= await testedCommand(ROOT, () => {});
  const command = [process.execPath, ...heddleArguments().with(1, process.env['HEDDLE_TEST_COMMAND'] ?? heddleArguments()[1] ?? '')];
  writeFileSync(join(folder, 'heddle'), `#!/bin/sh\nexec ${command.map((word) => `'${word}'`).join(' ')} "$@"\n`, { mode: 0o755 });
  cpSync(join(ROOT, 'examples'), join(folder, 'examples'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  symlinkSync(join(ROOT, 'packages'), join(folder, 'packages'));
  return folder;
}

async function sandboxed(): Promise<Sandbox> {
  const folder = await workFolder();
  return new Sandbox(folder, { PATH: `${folder}:${process.env['PATH']}`, HOME: join(folder, '..') });
}

async function dispose(sandbox: Sandbox): Promise<void> {
  await sandbox.close();
  rmSync(join(sandbox.folder, '..'), { recursive: true, force: true });
}

const skip = notRunHere();

describe('pages that begin in an empty folder', { skip }, () => {
  for (const page of chosen('empty'))
    it(page.path, async (context) => {
      const sandbox = await sandboxed();
      try {
        const { commands, excused } = await runPage(page, sandbox);
        context.diagnostic([`${commands} commands`, ...excused].join('\n'));
      } finally {
        await dispose(sandbox);
      }
    });
});

describe('pages with the mesh of the example', { skip }, () => {
  let sandbox: Sandbox | undefined;
  const pages = chosen('shop');
  before(async () => {
    if (pages.length === 0) return;
    sandbox = await sandboxed();
    await sandbox.beside('heddle up -f examples/shop/heddle.yaml', '\nready:');
  });
  after(async () => {
    if (sandbox !== undefined) await dispose(sandbox);
  });
  for (const page of pages)
    it(page.path, async (context) => {
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
