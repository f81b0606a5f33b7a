// A newcomer's path: the tutorial of a fresh clone, carried out in it as it says, from `npm start` on; every step shows what the page says.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { readPage } from '../../tools/docs/pages.ts';
import { runProgram } from '../../tools/run.ts';
import { reason } from '../interop/support/programs.ts';
import { runPage } from './support/run-page.ts';
import { Sandbox } from './support/sandbox.ts';
import { notRunHere } from './support/when.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGE = 'docs/tutorial.md';

const skip = notRunHere() || (!existsSync(join(ROOT, '.git')) && reason('a git repository'));

describe('the tutorial', { skip }, () => {
  it('works in a fresh clone', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-tutorial-'));
    const clone = join(folder, 'heddle');
    try {
      // Also where the checkout is somebody else's, as in containers.
      const trusting = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' };
      await succeeds(folder, 'git', ['clone', '--quiet', ROOT, clone], trusting);
      // What `npm start` does first. Here, because there is no network in the sandbox.
      await succeeds(clone, process.execPath, ['tools/bootstrap.mjs', 'prepare']);
      const page = readPage(PAGE, readFileSync(join(clone, PAGE), 'utf8'));
      assert.deepEqual(page.problems, []);
      assert.equal(page.place, 'clone');
      const sandbox = new Sandbox(clone, { HOME: folder, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` });
      try {
        const { commands, excused } = await runPage(page, sandbox);
        assert.deepEqual(excused, [], 'a newcomer skips nothing');
        context.diagnostic(`${commands} commands`);
      } finally {
        await sandbox.close();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

async function succeeds(folder: string, program: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const { code, output } = await runProgram(folder, program, args, environment);
  assert.equal(code, 0, output);
}
