// Durations, spelling hints, variables and the look of problems.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatDuration, parseDuration } from './duration.ts';
import { isReservedVariable, serviceVariables } from './environment.ts';
import { parsePercent } from './percent.ts';
import type { Problem } from './problem.ts';
import { formatProblem, formatProblems } from './problem.ts';
import { LABEL_PATTERN, VARIABLE_PATTERN } from './schema/fields.ts';
import { formatSize, parseSize } from './size.ts';
import { asLabel, editDistance, nearest } from './suggest.ts';

describe('durations', () => {
  it('have a unit, except 0', () => {
    assert.deepEqual(['500ms', '2s', '1.5s', '1m', '1h', '0s', 0].map(parseDuration), [500, 2_000, 1_500, 60_000, 3_600_000, 0, 0]);
    for (const value of [
      '',
      '5',
      5,
      '1d',
      '-1s',
      ' 1s',
      '1 s',
      '1S',
      's',
      '1e3s',
      '.5s',
      '0x1s',
      null,
      true,
      undefined,
      [],
      '9'.repeat(400) + 's',
    ]) {
      assert.equal(parseDuration(value), undefined, String(value));
    }
  });

  it('are read back as they were written (property)', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e8 }), (durationMs) => assert.equal(parseDuration(formatDuration(durationMs)), durationMs)),
    );
  });
});

describe('percentages', () => {
  it('have a sign or stand alone; below 1 the sign is needed, as 0.2 could mean 20 %', () => {
    assert.deepEqual(['0%', '20%', '12.5%', '0.2%', '100%', 0, 20, 99.5, 100].map(parsePercent), [0, 20, 12.5, 0.2, 100, 0, 20, 99.5, 100]);
    for (const value of ['', '%', '20', '101%', '-1%', '1e2%', ' 1%', '1 %', '.5%', 101, -1, 0.2, 0.999, NaN, Infinity, null, true, []])
      assert.equal(parsePercent(value), undefined, String(value));
  });
});

describe('sizes', () => {
  it('have a unit, except 0', () => {
    assert.deepEqual(['512B', '8KiB', '1MiB', '0B', 0].map(parseSize), [512, 8_192, 1_048_576, 0, 0]);
    for (const value of ['', '8', 8, '8KB', '8kib', '1.5KiB', '-1B', ' 1B', '1GiB', null, true, [], '9'.repeat(10) + 'B'])
      assert.equal(parseSize(value), undefined, String(value));
  });

  it('are read back as they were written (property)', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e8 }), (bytes) => assert.equal(parseSize(formatSize(bytes)), bytes)));
  });
});

describe('spelling hints', () => {
  it('count edits, swapped neighbours as one', () => {
    assert.deepEqual(
      [
        ['port', 'portt'],
        ['grcp', 'grpc'],
        ['', 'abc'],
        ['kitten', 'sitting'],
      ].map(([a, b]) => editDistance(a as string, b as string)),
      [1, 1, 3, 3],
    );
  });

  it('name the nearest word, and none that is far off', () => {
    assert.equal(nearest('Oders', ['stock', 'orders', 'web']), 'orders');
    assert.equal(nearest('zebra', ['stock', 'orders', 'web']), undefined);
    assert.equal(nearest('x'.repeat(10_000), ['x']), undefined);
  });

  it('make a label of any text (property)', () => {
    fc.assert(fc.property(fc.string({ maxLength: 400 }), (text) => assert.ok(asLabel(text) === '' || LABEL_PATTERN.test(asLabel(text)))));
  });
});

describe('variables of services', () => {
  it('are upper case with underscores', () => {
    assert.deepEqual(serviceVariables('user-accounts'), {
      url: 'USER_ACCOUNTS_URL',
      host: 'USER_ACCOUNTS_HOST',
      port: 'USER_ACCOUNTS_PORT',
    });
  });

  it('are reserved for the services in use only', () => {
    assert.ok(isReservedVariable('A_URL', ['a']) && isReservedVariable('PORT', []) && isReservedVariable('HEDDLE_ANYTHING', []));
    assert.ok(!isReservedVariable('A_URL', ['b']) && !isReservedVariable('A_URLS', ['a']));
  });

  it('never clash between two services (property)', () => {
    const name = fc.stringMatching(LABEL_PATTERN);
    fc.assert(
      fc.property(name, name, (a, b) => {
        fc.pre(a !== b);
        const other = new Set(Object.values(serviceVariables(b)));
        for (const variable of Object.values(serviceVariables(a))) {
          assert.match(`_${variable}`, VARIABLE_PATTERN);
          assert.ok(!other.has(variable));
        }
      }),
    );
  });
});

describe('the look of problems', () => {
  const problem: Problem = {
    severity: 'error',
    path: 'heddle.yaml',
    line: 2,
    column: 3,
    where: 'services.a',
    reason: 'is wrong',
    mend: 'right it',
  };

  it('shows place, reason, the line with a caret, and the mend', () => {
    assert.equal(
      formatProblem(problem, 'mesh: x\n\ta: b\r\n'),
      'heddle.yaml:2:3: error: services.a: is wrong\n     a: b\n      ^\n    mend: right it',
    );
    assert.equal(formatProblem({ ...problem, where: '' }), 'heddle.yaml:2:3: error: is wrong\n    mend: right it');
  });

  it('keeps control characters of the file from the terminal', () => {
    const shown = formatProblem({ ...problem, line: 1, reason: 'found \u001b[31m' }, 'a\u001b[2J\u009b: \u202ex');
    assert.doesNotMatch(shown, /[\u001b\u009b\u202e]/);
  });

  it('covers secrets that stand in the line, and leaves the names of their files', () => {
    for (const [line, shown] of [
      ['clientSecret: hunter2', 'clientSecret: *******'],
      ['{ "password": "a b", x: 1 }', '{ "password": *****, x: 1 }'],
      ["env: { DB_PASSWORD: 'a', URL: https://me:secret@db.example/x }", 'env: { DB_PASSWORD: ***, URL: https://*********@db.example/x }'],
      ['clientSecretFile: secrets/orders', 'clientSecretFile: secrets/orders'],
      ['identity: spiffe://shop/ns/a', 'identity: spiffe://shop/ns/a'],
    ] as const)
      assert.equal(
        formatProblem({ ...problem, line: 1, column: 1 }, line)
          .split('\n')[1]
          ?.trim(),
        shown,
      );
  });

  it('shows a piece of a long line, with the caret under its place', () => {
    const text = `${'a'.repeat(500)}X${'b'.repeat(500)}`;
    const [, excerpt, caret] = formatProblem({ ...problem, line: 1, column: 501 }, text).split('\n') as [string, string, string];
    assert.equal(excerpt[caret.indexOf('^')], 'X');
    assert.ok(excerpt.length < 140);
  });

  it('counts what it does not show', () => {
    assert.match(formatProblems([problem, problem, problem], undefined, 2), /… and 1 more problems$/);
  });
});
