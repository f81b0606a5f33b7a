// What the pages name exists, also where it is not run: npm scripts, subcommands and their options; and the mesh files of some are valid.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import { parseMeshFile } from '@heddle/core/config';
import { CHECKS } from '../../tools/check.ts';
import { documentedPages } from '../../tools/checks/docs.ts';
import { allCommands } from '../../tools/docs/commands.ts';
import { readPage } from '../../tools/docs/pages.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGES = ['README.md', 'CONTRIBUTING.md', 'docs/guides/getting-started.md'];

/** The command lines of the fenced `sh` blocks of a page. */
function commands(page: string): string[] {
  return fences(page, 'sh').flatMap((block) => block.split('\n').filter((line) => line.trim() !== ''));
}

function fences(page: string, language: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, block = '']) => block);
}

describe('commands in the pages', () => {
  let known: Map<string, string>;
  before(async () => {
    known = new Map((await allCommands(ROOT)).map(({ words, help }) => [words.join(' '), help]));
  });

  // Those in fences that are run are tried by tests/pages.
  for (const page of [...documentedPages(ROOT), 'CONTRIBUTING.md', 'SECURITY.md']) {
    it(`of ${page} that are not run exist, with their options`, () => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      const inline = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
      for (const line of [...notRun(page, text), ...inline]) checkCommand(line, known);
    });
  }

  it('of CONTRIBUTING.md, and the first ones of README.md, exist', () => {
    assert.deepEqual(commands('README.md').slice(0, 2), ['npm start', 'npm test']);
    for (const line of commands('CONTRIBUTING.md')) checkCommand(line, known);
  });

  it('that are invented are found', () => {
    for (const line of [
      './heddle fly',
      './heddle get --fast',
      'heddle get cakes',
      'heddle drain orders-1 --quickly',
      'npm run fly',
      'npm run check -- --only fly',
      'npm test -- packages/fly',
    ]) {
      assert.throws(() => checkCommand(line, known), line);
    }
  });
});

/** Lines of the commands that a page excuses. */
function notRun(page: string, text: string): string[] {
  const steps = readPage(page, text).steps.flatMap((step) => (step.kind === 'commands' ? step.commands : []));
  return steps.filter(({ excuse }) => excuse !== undefined).map(({ text: command }) => command);
}

/** Commands of `heddle` and npm; of all others nothing is known. */
function checkCommand(line: string, known: ReadonlyMap<string, string>): void {
  const words = line
    .replace(/\s+#.*$/, '')
    .split(/\s+/)
    .filter((word) => !/^[A-Z_]+=/.test(word));
  const [program = '', ...args] = words;
  if (/^(\.{0,2}\/)?heddle$/.test(program)) checkHeddle(line, args, known);
  else if (program === 'npm' && /^(start|test|run)$/.test(args[0] ?? '')) checkNpm(args);
}

function checkHeddle(line: string, args: readonly string[], known: ReadonlyMap<string, string>): void {
  if (args[0] === undefined || args[0] === '…') return;
  const name =
    [args.slice(0, 2).join(' '), args[0]].find((candidate) => known.has(candidate)) ?? (args[0].startsWith('-') ? '' : undefined);
  const isGroup = [...known.keys()].some((command) => command.startsWith(`${args[0]} `));
  assert.ok(name !== undefined || (isGroup && args.length === 1), `${line}: there is no such command`);
  const help = known.get(name ?? '') ?? '';
  const own = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).slice(name === '' ? 0 : name?.split(' ').length);
  for (const [index, arg] of own.entries()) {
    const option = /^-[\w-]+/.exec(arg)?.[0];
    if (option !== undefined)
      assert.match(help, new RegExp(`^ +(-\\w, )?${option}\\b`, 'm'), `${line}: heddle ${name} has no option ${option}`);
    if (index === 0 && name === 'get' && /^[a-z]+$/.test(arg))
      assert.match(help, new RegExp(`"${arg}"`), `heddle get does not list ${arg}`);
  }
}

function checkNpm([command = '', ...rest]: readonly string[]): void {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const script = command === 'run' ? (rest[0] ?? '') : command;
  assert.ok(scripts[script] !== undefined, `there is no script ${script}`);
  const args = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
  if (args[0] === '--only')
    for (const name of (args[1] ?? '').split(','))
      assert.ok(script !== 'check' || CHECKS.some((check) => check.name === name), `there is no check ${name}`);
  if (script === 'test')
    for (const path of args.filter((arg) => /^[a-z]/.test(arg)))
      assert.ok(
        [path, `${path}.test.ts`].some((one) => existsSync(join(ROOT, one))),
        `${path} does not exist`,
      );
}

describe('mesh files', () => {
  for (const page of PAGES) {
    for (const [index, text] of fences(page, 'yaml').entries()) {
      it(`in ${page}, number ${index + 1}, are valid`, () => {
        assert.deepEqual(parseMeshFile(text, { path: '/heddle.yaml' }).problems, []);
      });
    }
  }

  it('of the example is valid', () => {
    const path = join(ROOT, 'examples/shop/heddle.yaml');
    assert.deepEqual(parseMeshFile(readFileSync(path, 'utf8'), { path }).problems, []);
    assert.ok(existsSync(dirname(path)));
  });
});

describe('the table of packages in README.md', () => {
  it('has every package', () => {
    const packages = readdirSync(join(ROOT, 'packages'));
    const rows = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^\| \[`@heddle\/([a-z]+)`\]/gm)].map(([, name]) => name);
    assert.deepEqual(new Set(rows), new Set(packages));
  });
});
