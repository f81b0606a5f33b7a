// Every file in `golden/` and `golden-static/` gives exactly the configuration (`.json`) or the problems (`.txt`) beside it, or both.
// UPDATE_GOLDEN=1 writes what the code gives; review the difference.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compileCondition } from '../cel/index.ts';
import { parseMeshFile } from './parse.ts';
import { formatProblems, type Problem } from './problem.ts';
import { parseStaticFile } from './static-parse.ts';

const UPDATE = process.env['UPDATE_GOLDEN'] === '1';

interface Parsed {
  readonly result: unknown;
  readonly problems: readonly Problem[];
}

function compare(file: URL, actual: string | undefined): void {
  if (UPDATE) {
    if (actual === undefined) rmSync(file, { force: true });
    else writeFileSync(file, actual);
  }
  assert.equal(actual, existsSync(file) ? readFileSync(file, 'utf8') : undefined, file.pathname);
}

function golden(folder: URL, inputsMin: number, parse: (text: string, path: string) => Parsed): void {
  const inputs = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  for (const input of inputs) {
    it(input, () => {
      const text = readFileSync(new URL(input, folder), 'utf8');
      const { result, problems } = parse(text, input);
      const stem = input.slice(0, -'.yaml'.length);
      compare(new URL(`${stem}.json`, folder), result === undefined ? undefined : `${JSON.stringify(result, null, 2)}\n`);
      compare(new URL(`${stem}.txt`, folder), problems.length > 0 ? `${formatProblems(problems, text, problems.length)}\n` : undefined);
      assert.equal(
        result === undefined,
        problems.some((problem) => problem.severity === 'error'),
      );
    });
  }

  it('have an input for every expected result', () => {
    for (const name of readdirSync(folder)) assert.ok(inputs.includes(name.replace(/\.\w+$/, '.yaml')), name);
    assert.ok(inputs.length >= inputsMin);
  });
}

/** Of the example in RFC 7517, appendix A.1. */
const KEYS =
  '{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}';
const files = {
  read: (name: string): string => {
    if (name === 'jwks.json') return KEYS;
    if (name.includes('secrets/') || name.startsWith('/etc/heddle/')) return 'secret';
    throw new Error('there is no such file');
  },
  nowMs: 0,
};

describe('golden mesh files', () => {
  golden(new URL('./golden/', import.meta.url), 20, (text, path) => {
    const { mesh, problems } = parseMeshFile(text, { path, directory: '/srv/shop', files, conditions: compileCondition });
    return { result: mesh, problems };
  });
});

describe('golden files of static proxies', () => {
  golden(new URL('./golden-static/', import.meta.url), 9, (text, path) => {
    const { config, problems } = parseStaticFile(text, path);
    return { result: config, problems };
  });
});
