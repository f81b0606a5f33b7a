// Every file in `golden/` gives exactly the configuration (`.json`) or the problems (`.txt`) beside it, or both.
// UPDATE_GOLDEN=1 writes what the code gives; review the difference.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseMeshFile } from './parse.ts';
import { formatProblems } from './problem.ts';

const FOLDER = new URL('./golden/', import.meta.url);
const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

function compare(name: string, actual: string | undefined): void {
  const file = new URL(name, FOLDER);
  if (UPDATE) {
    if (actual === undefined) rmSync(file, { force: true });
    else writeFileSync(file, actual);
  }
  assert.equal(actual, existsSync(file) ? readFileSync(file, 'utf8') : undefined, name);
}

describe('golden mesh files', () => {
  const inputs = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));
  for (const input of inputs) {
    it(input, () => {
      const text = readFileSync(new URL(input, FOLDER), 'utf8');
      const { mesh, problems } = parseMeshFile(text, { path: input, directory: '/srv/shop' });
      const stem = input.slice(0, -'.yaml'.length);
      compare(`${stem}.json`, mesh && `${JSON.stringify(mesh, null, 2)}\n`);
      compare(`${stem}.txt`, problems.length > 0 ? `${formatProblems(problems, text)}\n` : undefined);
      assert.equal(
        mesh === undefined,
        problems.some((problem) => problem.severity === 'error'),
      );
    });
  }

  it('have an input for every expected result', () => {
    for (const name of readdirSync(FOLDER)) assert.ok(inputs.includes(name.replace(/\.\w+$/, '.yaml')), name);
    assert.ok(inputs.length >= 20);
  });
});
