// Where pages are run: which there are, and the folder in which they find the command and the example.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { heddleArguments } from '../../../packages/cli/src/testing/command.ts';
import { documentedPages } from '../../../tools/checks/docs.ts';
import { type Page, type Place, readPage } from '../../../tools/docs/pages.ts';
import { testedCommand } from '../../../tools/testing/command.ts';
import { Sandbox } from './sandbox.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PAGES = documentedPages(ROOT).map((path) => readPage(path, readFileSync(join(ROOT, path), 'utf8')));
const asked = process.env['HEDDLE_PAGES']?.split(',');
/** The pages of a place, or those of them that HEDDLE_PAGES names. */
export const pagesOf = (place: Place): Page[] =>
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

/** In a new folder, which `dispose` removes. */
export async function sandboxed(): Promise<Sandbox> {
  const folder = await workFolder();
  return new Sandbox(folder, { PATH: `${folder}:${process.env['PATH']}`, HOME: join(folder, '..') });
}

export async function dispose(sandbox: Sandbox): Promise<void> {
  await sandbox.close();
  rmSync(join(sandbox.folder, '..'), { recursive: true, force: true });
}
