// The regular expressions of routes: the same answers as JavaScript's where both understand the pattern, and never more than linear time.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RouteFault } from './error.ts';
import { compilePattern, compileReplacement } from './pattern.ts';

const atom = fc.constantFrom(
  'a',
  'b',
  '.',
  '[ab]',
  '[^a]',
  '[a-c_]',
  '\\d',
  '\\w',
  '\\W',
  '\\s',
  '\\.',
  '\\x61',
  '\\b',
  '\\B',
  '^',
  '$',
  '-',
  '[a-]',
  '[\\w.]',
  '(?i:a)',
  '',
);
const quantifier = fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,}', '{0,2}', '*?', '+?', '??');
const { pattern } = fc.letrec<{ pattern: string; piece: string }>((tie) => ({
  piece: fc
    .tuple(
      fc.oneof(
        { maxDepth: 2 },
        atom,
        tie('pattern').map((inner) => `(${inner})`),
        tie('pattern').map((inner) => `(?:${inner})`),
      ),
      quantifier,
    )
    .map(([what, times]) => (what === '' || /^(?:\^|\$|\\[bB])$/.test(what) ? what : what + times)),
  pattern: fc.oneof(
    { maxDepth: 3 },
    fc.array(tie('piece'), { maxLength: 4 }).map((pieces) => pieces.join('')),
    fc.tuple(tie('pattern'), tie('pattern')).map((both) => both.join('|')),
  ),
}));
const text = fc
  .array(fc.constantFrom('a', 'b', 'c', 'A', ' ', '-', '.', '_', '1', '\u00e9'), { maxLength: 8 })
  .map((chars) => chars.join(''));

function native(source: string, flags = ''): RegExp {
  return new RegExp(source, flags);
}

describe('a regular expression', () => {
  it('takes the whole texts that JavaScript takes (property)', () => {
    fc.assert(
      fc.property(pattern, fc.array(text, { minLength: 1, maxLength: 5 }), (some, texts) => {
        const source = some || 'a';
        const expected = native(`^(?:${source})$`);
        const compiled = compilePattern(source);
        for (const one of texts) assert.equal(compiled.matches(one), expected.test(one), `/${source}/ on "${one}"`);
      }),
      { numRuns: 300 },
    );
  });

  it('replaces what JavaScript replaces, leftmost and first alternative first (property)', () => {
    fc.assert(
      fc.property(pattern, text, (some, one) => {
        // Of an empty match behind another one, and of an empty turn of a loop, the two say different things.
        const source = `[ab](?:${some})`;
        if (/\)[*+?{]/.test(some)) return;
        const expected = one.replaceAll(native(source, 'g'), '<$&>');
        assert.equal(compileReplacement(source, '<\\0>').replace(one), expected, `/${source}/ on "${one}"`);
      }),
      { numRuns: 300 },
    );
  });

  it('gives what its groups took to the substitution', () => {
    const replaced = (source: string, substitution: string, on: string): string | undefined =>
      compileReplacement(source, substitution).replace(on);
    assert.equal(replaced('^/v1/([^/]+)/(.*)$', '/\\2/of/\\1', '/v1/orders/7/x'), '/7/x/of/orders');
    assert.equal(replaced('(a+)(b)?', '[\\1\\2]', 'aab-a'), '[aab]-[a]');
    assert.equal(replaced('a*', 'x', 'baac'), 'xbxcx');
    assert.equal(replaced('a|ab', 'x', 'abab'), 'xbxb');
    assert.equal(replaced('b?|[ab]', '<\\0>', 'ba'), '<b>a<>');
    assert.equal(replaced('a+?', 'x', 'aa'), 'xx');
    assert.equal(replaced('(a|b*)*c', '<\\0>', 'abbac'), '<abbac>');
    assert.equal(replaced('/', '\\\\', 'a/b'), 'a\\b');
    assert.equal(replaced('x', 'y', 'abc'), 'abc');
    assert.equal(replaced('b', '', 'abc'), 'ac');
    assert.equal(replaced('(?:x*)*y|x', '-', 'xxxz'), '---z');
  });

  it('is refused with the place and a mend where it cannot be used', () => {
    const refused: readonly (readonly [source: string, message: RegExp])[] = [
      ['', /is empty/],
      ['a'.repeat(1_025), /at most 1024/],
      ['(a', /at character 1, "\(" without "\)"; close it/],
      ['a)', /at character 2, "\)" without "\("/],
      ['[a', /"\[" without "\]"/],
      ['[]', /brackets are empty/],
      ['[[:alpha:]]', /\[:alpha:\]/],
      ['[b-a]', /"b-a" is not a range/],
      ['[\\w-z]', /not a range/],
      ['*a', /"\*" has nothing before it/],
      ['a|+', /nothing before it/],
      ['a**', /a quantifier follows another one/],
      ['a*+', /a quantifier follows another one/],
      ['a{2}{3}', /a quantifier follows another one/],
      ['^*', /an assertion is repeated/],
      ['a{1001}', /repeats more than 1000 times/],
      ['a{3,2}', /ends before it begins/],
      ['(?:a{1000}){1000}', /too large/],
      ['(?:(?:(?:){1000}){1000}){1000}', /too large/],
      ['(?=a)b', /look-around/],
      ['(?<!a)b', /look-around/],
      ['(?<n>a)', /kind of group/],
      ['(?P<n>a)', /kind of group/],
      ['(a)\\1', /back-references/],
      ['\\u0041', /"\\u" is not supported/],
      ['\\pL', /"\\p" is not supported/],
      ['\\x4', /two hexadecimal digits/],
      ['a\\', /ends with a backslash/],
      ['ä', /not ASCII/],
    ];
    for (const [source, message] of refused) {
      assert.throws(
        () => compilePattern(source),
        (error) => error instanceof RouteFault && message.test(error.message),
        source,
      );
    }
    for (const source of ['{', 'a{', 'a{,3}', '}', ']', 'a{x}'])
      assert.ok(compilePattern(source).matches(source), `the braces of ${source} are characters`);
  });

  it('refuses substitutions that mean nothing', () => {
    const refused = (source: string, substitution: string, message: RegExp): void =>
      assert.throws(
        () => compileReplacement(source, substitution),
        (error) => error instanceof RouteFault && message.test(error.message),
      );
    refused('a', '\\1', /no groups in parentheses/);
    refused('(a)', '\\2', /only 1 groups/);
    refused('a', '\\x', /means nothing/);
    refused('a', 'a\\', /means nothing/);
    refused('a', 'a'.repeat(257), /at most 256/);
  });

  it('matches what would take others years, and long texts, at once', () => {
    const long = `${'a'.repeat(30_000)}!`;
    for (const source of ['(a+)+', '(a|a)*', '(a|aa)+', '(.*a){12}', '.*.*.*.*b', '(?:a?){50}a{50}', '.*a.{12}b']) {
      assert.equal(compilePattern(source).matches(long), false, source);
    }
    assert.equal(compileReplacement('a*ab|(a|a)*b', 'x').replace(long), long);
    assert.equal(compileReplacement('a.*z|a', 'b').replace(long), `${'b'.repeat(30_000)}!`);
  });

  it('gives the same answers after its table was begun anew', () => {
    const compiled = compilePattern('.*a.{10}');
    const expected = /^.*a.{10}$/;
    let word = 1;
    for (let round = 0; round < 300; round++) {
      let one = '';
      for (let at = 0; at < 40; at++) {
        word = (Math.imul(word, 1_103_515_245) + 12_345) >>> 0;
        one += (word & 0x10000) === 0 ? 'a' : 'b';
      }
      assert.equal(compiled.matches(one), expected.test(one), one);
    }
  });

  it('ends a replacement that grows beyond what a path may be', () => {
    assert.equal(compileReplacement('a', 'b'.repeat(200)).replace('a'.repeat(1_000)), undefined);
    assert.equal(compileReplacement('x', 'y').replace('a'.repeat(70_000)), undefined);
  });
});
