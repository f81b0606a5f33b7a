// Carries out what a page says, in a sandbox, and compares what is seen with what it shows.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { differences } from '../../../tools/docs/looks-like.ts';
import type { Page, PageCommand, Step } from '../../../tools/docs/pages.ts';
import { waitFor } from '../../support/wait.ts';
import type { Sandbox } from './sandbox.ts';

/** Commands that are repeated until they write something. */
const AGAIN_TIMEOUT_MS = 60_000;

export interface PageRun {
  readonly commands: number;
  /** What was not run, with the reason. */
  readonly excused: readonly string[];
}

/** Throws at the first thing that is not as the page says, with its line. */
export async function runPage(page: Page, sandbox: Sandbox): Promise<PageRun> {
  const excused: string[] = [];
  let commands = 0;
  for (const step of page.steps) {
    if (step.kind === 'file') {
      const path = join(sandbox.folder, step.path);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, step.text, { flag: step.isAdded ? 'a' : 'w' });
    } else if (step.kind === 'written') {
      await at(page, step.line, `what ${step.holds} writes`, () => untilWritten(step.lines, () => sandbox.written(step.holds)));
    } else if (step.kind === 'stop') {
      await at(page, step.line, `Ctrl-C for ${step.holds}`, () => sandbox.stop(step.holds));
    } else {
      for (const { excuse, line, text } of step.commands)
        if (excuse !== undefined) excused.push(`${page.path}:${line}: ${text}\n    not run: ${excuse}`);
      commands += step.commands.filter(({ excuse }) => excuse === undefined).length;
      await runCommands(page, step, sandbox);
    }
  }
  await sandbox.stopAll();
  return { commands, excused };
}

async function runCommands(page: Page, step: Step & { kind: 'commands' }, sandbox: Sandbox): Promise<void> {
  let seen = '';
  for (const command of step.commands) {
    if (command.excuse !== undefined) continue;
    await at(page, command.line, command.text, async () => {
      const output = await runCommand(command, sandbox);
      seen += output;
      assert.deepEqual(differences(command.shown, output), [], `shown in the page and not seen in:\n${output}`);
    });
  }
  if (step.commands.every(({ excuse }) => excuse !== undefined)) return;
  await at(page, step.line, 'what these commands write', () => {
    const { lines, language } = step.shown ?? { lines: [], language: '' };
    assert.deepEqual(differences(lines, seen, language), [], `shown in the page and not seen in:\n${seen}`);
    for (const pattern of step.sees) assert.match(seen, pattern);
  });
}

function untilWritten(lines: readonly string[], written: () => string): Promise<true> {
  return waitFor('what the page shows', () => {
    const missing = differences(lines, written());
    if (missing.length > 0) throw new Error(`shown in the page and not seen: ${missing.join('\n')}; in:\n${written()}`);
    return true as const;
  });
}

async function runCommand(command: PageCommand, sandbox: Sandbox): Promise<string> {
  const { text, mode, until, exit } = command;
  if (mode === 'beside') return sandbox.output((await sandbox.beside(text, until)).number);
  if (mode === 'interrupt') {
    await sandbox.beside(text, until);
    return (await sandbox.stop(text)).output;
  }
  if (mode === 'again') {
    const ended = await waitFor(
      `"${until}"`,
      async () => {
        const once = await sandbox.run(text);
        if (once.code === exit && once.output.includes(until)) return once;
        throw new Error(`it ended with ${once.code} and wrote:\n${once.output}`);
      },
      AGAIN_TIMEOUT_MS,
    );
    return ended.output;
  }
  const { code, output } = await sandbox.run(text);
  assert.equal(code, exit, `exit code ${code}, and it wrote:\n${output}`);
  return output;
}

async function at(page: Page, line: number, text: string, run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    throw new Error(`${page.path}:${line}: ${text}\n${(error as Error).message}`);
  }
}
