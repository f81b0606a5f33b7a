// What the pages tell people to type exists: npm scripts, subcommands and their options, files; and the mesh files in them are valid.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { before, describe, it } from 'node:test';
import { parseMeshFile } from '@heddle/core/config';
import { CHECKS } from '../../tools/check.ts';
import { allCommands } from '../../tools/docs/commands.ts';

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

const files = (page: string): Set<string> =>
  new Set(['js', 'yaml'].flatMap((language) => fences(page, language)).map((block) => /^(?:\/\/|#) (\S+)\n/.exec(block)?.[1] ?? ''));

describe('commands in the pages', () => {
  let known: Map<string, string>;
  before(async () => {
    known = new Map((await allCommands(ROOT)).map(({ words, help }) => [words.join(' '), help]));
  });

  for (const page of PAGES) {
    for (const line of commands(page)) {
      it(`${page}: ${line}`, () => checkCommand(line, known, page));
    }
  }

  it('are there at all, and an invented one is found', () => {
    assert.deepEqual(commands('README.md').slice(0, 2), ['npm start', 'npm test']);
    for (const line of [
      './heddle fly',
      './heddle get --fast',
      './heddle validate -f nothing.yaml',
      './heddle get cakes',
      'npm run fly',
      'npm run check -- --only fly',
      'sudo x',
      'npm test -- packages/fly',
    ]) {
      assert.throws(() => checkCommand(line, known, 'README.md'), line);
    }
  });
});

function checkCommand(line: string, known: ReadonlyMap<string, string>, page: string): void {
  const words = line.split(/\s+/).filter((word) => !/^[A-Z_]+=/.test(word));
  const [program = '', ...args] = words;
  if (program === './heddle' || program === '../heddle') checkHeddle(args, known, page);
  else if (program === 'npm') checkNpm(args);
  else if (program === 'curl') assert.match(line, /^curl -x http:\/\/127\.0\.0\.1:15001 http:\/\/[a-z-]+\.mesh\.internal\/$/);
  else if (program === 'mkdir' || program === 'cd') assert.match(line, /^(mkdir -p -m 700 hello\/\.heddle|cd hello)$/);
  else if (program === 'pkill') checkFile(args.at(-1) ?? '', page);
  else assert.fail(`nothing is known about ${program}`);
}

function checkHeddle(args: readonly string[], known: ReadonlyMap<string, string>, page: string): void {
  const name =
    [args.slice(0, 2).join(' '), args[0] ?? ''].find((candidate) => known.has(candidate)) ??
    (args[0]?.startsWith('-') === true ? '' : undefined);
  assert.notEqual(name, undefined, `there is no command ${args.join(' ')}`);
  const help = known.get(name ?? '') ?? '';
  const own = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined).slice(name === '' ? 0 : name?.split(' ').length);
  for (const [index, arg] of own.entries()) {
    if (arg.startsWith('-')) assert.match(help, new RegExp(`^ +(-\\w, )?${arg}\\b`, 'm'), `heddle ${name} has no option ${arg}`);
    if (arg === '-f') checkFile(own[index + 1] ?? '', page);
    if (index === 0 && name === 'get') assert.match(help, new RegExp(`"${arg}"`), `heddle get does not list ${arg}`);
  }
}

function checkNpm([command = '', ...rest]: readonly string[]): void {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
  const script = command === 'run' ? (rest[0] ?? '') : command;
  assert.ok(scripts[script] !== undefined, `there is no script ${script}`);
  const args = rest.includes('--') ? rest.slice(rest.indexOf('--') + 1) : [];
  if (args[0] === '--only')
    for (const name of (args[1] ?? '').split(','))
      assert.ok(
        CHECKS.some((check) => check.name === name),
        `there is no check ${name}`,
      );
  if (script === 'test')
    for (const path of args.filter((arg) => !arg.startsWith('-'))) assert.ok(existsSync(join(ROOT, path)), `${path} does not exist`);
}

/** A file of the repository, of its example, or one that the page itself tells to write. */
function checkFile(path: string, page: string): void {
  const written = files(page);
  const known =
    [join(ROOT, path), join(ROOT, 'examples/shop', path)].some(existsSync) ||
    [...written].some((file) => file === path || file.endsWith(`/${path}`));
  assert.ok(known || readFileSync(join(ROOT, page), 'utf8').includes(`Write \`${path}\``), `${path} does not exist`);
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
    const rows = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^\| \[`@heddle\/([a-z]+)`\]/gm)].map(([, name]) => name);
    assert.deepEqual(rows, ['wire', 'core', 'api', 'runtime', 'dns', 'dataplane', 'proxy', 'client', 'control', 'cli']);
  });
});
