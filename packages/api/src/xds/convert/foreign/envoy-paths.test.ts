// No rule about paths that holds in our own data planes can be walked around at an Envoy: what they deny it denies, and what they do not allow it does not. Envoy's
// part is played by a few lines here (how it reads paths and RE2); that it is one, tests/interop/envoy-access.test.ts shows with a real one.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileAccess } from '@heddle/core';
import type { AccessView, PathMatch } from '@heddle/core';
import fc from 'fast-check';
import type { Permission } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import { pathPermission } from './envoy-paths.ts';

/** `normalizePath` and `mergeSlashes` of Envoy: what needs no encoding is decoded, dot segments are resolved, slashes merged; all else stays as it is. */
function asEnvoyReads(path: string): string {
  const text = path.replace(/%[0-9A-Fa-f]{2}/g, (encoding) => {
    const character = String.fromCharCode(Number.parseInt(encoding.slice(1), 16));
    return /[A-Za-z0-9._~-]/.test(character) ? character : encoding;
  });
  const kept: string[] = [];
  const segments = text.slice(1).split('/');
  for (const [index, segment] of segments.entries()) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if ((segment === '..' || segment === '.') && index === segments.length - 1) kept.push('');
  }
  return `/${kept.join('/')}`.replace(/\/{2,}/g, '/');
}

const compiled = new Map<string, RegExp>();

/** JavaScript's engine goes wrong about `(?i:)` around alternatives with classes, so the flag is set for the whole. */
function expressionOf(regex: string): RegExp {
  const [, inside] = /^\(\?i:(.*)\)$/.exec(regex) ?? [];
  return inside === undefined ? new RegExp(`^(?:${regex})$`) : new RegExp(`^(?:${inside})$`, 'i');
}

function fits(rule: Permission['rule'], path: string): boolean {
  switch (rule?.$case) {
    case 'any':
      return true;
    case 'andRules':
      return (rule.value.rules ?? []).every((one) => fits(one.rule, path));
    case 'orRules':
      return (rule.value.rules ?? []).some((one) => fits(one.rule, path));
    case 'notRule':
      return !fits(rule.value.rule, path);
    case 'urlPath': {
      const match = rule.value.rule?.$case === 'path' ? rule.value.rule.value.matchPattern : undefined;
      if (match?.$case === 'exact') return path === match.value;
      if (match?.$case === 'prefix') return path.startsWith(match.value);
      assert.ok(match?.$case === 'safeRegex');
      const { regex = '' } = match.value;
      let pattern = compiled.get(regex);
      if (pattern === undefined) compiled.set(regex, (pattern = expressionOf(regex)));
      return pattern.test(path);
    }
    default:
      throw new Error(`what is ${rule?.$case}?`);
  }
}

function ours(effect: 'allow' | 'deny', paths: readonly PathMatch[], path: string): boolean {
  const engine = compileAccess({
    default: effect === 'allow' ? 'deny' : 'allow',
    rules: [{ name: 'one', effect, subjects: [{}], permissions: [{ paths }] }],
  });
  const view: AccessView = {
    ...{ method: 'GET', path, authority: 'a', header: () => undefined, sourceAddress: '', sourceIdentity: '', peerAddress: '127.0.0.1' },
    ...{ claims: undefined, isStream: false, nowMs: 0 },
  };
  return engine.decide(view).allowed;
}

const RULES: readonly PathMatch[] = [
  { kind: 'exact', value: '/' },
  { kind: 'exact', value: '/admin' },
  { kind: 'exact', value: '/admin/x/' },
  { kind: 'prefix', value: '/admin' },
  { kind: 'prefix', value: '/task/list/' },
  { kind: 'segments', value: '/task/press' },
  { kind: 'segments', value: '/sss/fi' },
  { kind: 'exact', value: '/buy!now' },
  { kind: 'segments', value: '/@me/a:b' },
  { kind: 'exact', value: '/caf%C3%A9/stra%C3%9Fe' },
  { kind: 'prefix', value: '/%CE%A3%CE%B1.b/' },
  { kind: 'template', value: '/task/{id}/items' },
  { kind: 'template', value: '/caf%C3%A9/{rest=**}' },
  { kind: 'regex', value: '/v[12]/.*' },
  { kind: 'regex', value: '/(?:task|desk)s?/[^/]+' },
  { kind: 'regex', value: '/[a-z]+/[0-9]{2,3}(/.*)?' },
  { kind: 'regex', value: '/press/x@y\\.z' },
  { kind: 'regex', value: '/caf%C3%A9/.' },
];

const WORDS = [
  'admin',
  'x',
  'task',
  'list',
  'press',
  'sss',
  'fi',
  'buy!now',
  '@me',
  'a:b',
  'caf%C3%A9',
  'stra%C3%9Fe',
  '%CE%A3%CE%B1.b',
  'items',
].concat(['7', 'v1', 'v3', 'desks', 'desk', 'x@y.z', '22', 'other']);
/** Ways to write a letter, or two, that some server takes for the same. */
const LETTERS: Readonly<Record<string, readonly string[]>> = {
  s: ['S', '%73', '%C5%BF', '%c5%bf'],
  k: ['K', '%4B', '%E2%84%AA'],
  i: ['I', '%69'],
  ss: ['%C3%9F', '%E1%BA%9E', '%73S'],
  fi: ['%EF%AC%81', '%46i'],
  st: ['%EF%AC%86', '%EF%AC%85'],
  '!': ['%21'],
  '@': ['%40'],
  ':': ['%3A', '%3a'],
  '%C3%A9': ['%C3%89', '%c3%a9', '%c3%89'],
  '%C3%9F': ['ss', 'SS', '%E1%BA%9E', 's%C5%BF'],
  '%CE%A3': ['%CF%83', '%CF%82', '%cf%82'],
};
const word = fc
  .tuple(fc.constantFrom(...WORDS), fc.array(fc.tuple(fc.constantFrom(...Object.keys(LETTERS)), fc.nat()), { maxLength: 3 }))
  .map(([text, changes]) =>
    changes.reduce((changed, [from, which]) => changed.replace(from, LETTERS[from]![which % LETTERS[from]!.length]!), text),
  );
const end = fc.constantFrom('', '', '', '', '.', '..', '%20', '.%20', '%2e', '%20.', '%', '%25', ';a', '%2f', '~', '%25zz', '%2541');
const segment = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(word, end).map(([text, tail]) => text + tail) },
  { weight: 1, arbitrary: fc.constantFrom('', '.', '..', '...', '%20', '%2e', '....%20', '%2E%2e') },
);
const path = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([all, slash]) => `/${all.join('/')}${slash ? '/' : ''}`);
/** Close to the rule: what it names, written otherwise. */
const near = (rule: PathMatch): fc.Arbitrary<string> => {
  const segments = rule.value
    .split('/')
    .slice(1)
    .map((text) => (/[[(*{]/.test(text) ? 'v1' : text.replaceAll('\\', '')));
  const gap = fc.constantFrom('/', '/', '/', '/', '//', '/./', './', '%20/', '/.../', '/x/../', '.%20/..../');
  return fc
    .tuple(
      fc.array(gap, { minLength: segments.length, maxLength: segments.length }),
      fc.array(fc.tuple(fc.constantFrom(...Object.keys(LETTERS)), fc.nat()), { maxLength: 4 }),
      end,
      fc.constantFrom('', '/', '/y', '/22'),
    )
    .map(([gaps, changes, tail, more]) => {
      const text = segments.map((one, index) => `${index === 0 ? gaps[index]!.replace(/^[^/]+/, '') : gaps[index]}${one}`).join('');
      return (
        changes.reduce((changed, [from, which]) => changed.replace(from, LETTERS[from]![which % LETTERS[from]!.length]!), text) +
        tail +
        more
      );
    });
};

describe('a rule about paths, told to an Envoy,', () => {
  for (const rule of RULES) {
    test(`${rule.kind} ${rule.value}: denies what our own engine denies, and allows nothing that it does not`, () => {
      const denied = pathPermission([rule], true).rule;
      const allowed = pathPermission([rule], false).rule;
      fc.assert(
        fc.property(fc.oneof(near(rule), path), (asked) => {
          const read = asEnvoyReads(asked);
          // What it reads is what it passes on, so that is what is decided about.
          if (!ours('deny', [rule], read)) assert.ok(fits(denied, read), `${asked}, read as ${read}, is not denied`);
          if (fits(allowed, read)) assert.ok(ours('allow', [rule], read), `${asked}, read as ${read}, is allowed`);
        }),
        { numRuns: 400 },
      );
    });
  }
});
