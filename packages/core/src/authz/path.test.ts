import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileAccess } from './access.ts';
import { comparedPath, foldedPath, normalizePath } from './path.ts';
import { ANYONE, paths, policy, rule, view } from './test-support.ts';

/** Pieces that servers read in different ways, and some that they do not. */
const PIECES = [
  ...[
    '/',
    '//',
    '/./',
    '/../',
    '.',
    '..',
    '/admin',
    '/public',
    '/Admin',
    '/adm%C4%B1n',
    '/admin.',
    '/admin%20',
    '/admin%20./x',
    'admin',
    'ad',
    'min',
    'a',
    'x',
    '/x',
    '~',
    '-',
  ],
  ...['%2f', '%2F', '%5c', '\\', ';', ';v=1', '%3b', '%2e', '%2E%2e', '%61', '%41', '%64min', '%25', '%252f', '%2561', '%25%36%31', '%'],
  ...[
    '%00',
    '%0a',
    '%20',
    ' ',
    '\t',
    '%c3%a9',
    '%c0%af',
    '%e0%80%af',
    '%C1%81',
    '%ff',
    'é',
    '%3A',
    ':',
    '%21',
    '!',
    '{',
    '%7B',
    '%7b',
    '#',
    '%3F',
    '+',
    '%2B',
    '?',
    '?a=/../b',
  ],
];
const hostile = fc.array(fc.constantFrom(...PIECES), { maxLength: 10 }).map((pieces) => `/${pieces.join('')}`);

describe('the normal form of a path', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['/', '/'],
    ['/a/b?x=%2f/../;', '/a/b?x=%2f/../;'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/../a', '/a'],
    ['/a/..', '/'],
    ['/a/.', '/a/'],
    ['/a/...', '/a/...'],
    ['//a///b//', '/a/b/'],
    ['/a//../b', '/a/b'],
    ['/%61%2d%7E', '/a-~'],
    ['/%2e%2E/a', '/a'],
    ['/a%20b%3a%c3%a9', '/a%20b%3A%C3%A9'],
    ['/{a|b}', '/%7Ba%7Cb%7D'],
    ['/100%25', '/100%25'],
    ['/A', '/A'],
    ['*', '*'],
    ['/a%2fb', undefined],
    ['/a%5Cb', undefined],
    ['/a\\b', undefined],
    ['/a;b', undefined],
    ['/a%3Bb', undefined],
    ['/a%00', undefined],
    ['/a%0d%0a', undefined],
    ['/a b', undefined],
    ['/a#b', undefined],
    ['/é', undefined],
    ['/%252e', undefined],
    ['/%25%32%65', undefined],
    ['/%zz', undefined],
    ['/%4', undefined],
    ['/%?4', undefined],
    ['/%c0%af', undefined],
    ['/%e0%80%af', undefined],
    ['/%f5%80%80%80', undefined],
    ['/%c3', undefined],
    ['/%c3/%a9', undefined],
    ['/%a9', undefined],
    ['http://orders/a', undefined],
    ['orders:80', undefined],
    ['a', undefined],
    ['', undefined],
    ['?a', undefined],
  ];
  for (const [path, normal] of cases) {
    it(`of ${JSON.stringify(path)} is ${normal === undefined ? 'not known' : JSON.stringify(normal)}`, () => {
      assert.equal(normalizePath(path), normal);
    });
  }

  it('is its own normal form', () => {
    fc.assert(
      fc.property(fc.oneof(hostile, fc.string({ unit: 'binary-ascii' })), (path) => {
        const normal = normalizePath(path);
        if (normal !== undefined) assert.equal(normalizePath(normal), normal);
      }),
      { numRuns: 500 },
    );
  });

  it('is the very same string where nothing was to be done', () => {
    const path = `/orders/${'4711'}/items?page=2`;
    assert.equal(Object.is(normalizePath(path), path), true);
  });

  it('of a path written in other ways is that of the path, or not known', () => {
    const segment = fc.stringMatching(/^[a-z0-9~_-]{1,6}$/);
    const written = fc.array(fc.tuple(segment, fc.constantFrom('', '/./', '//', '/q/../'), fc.nat(), fc.boolean()), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(written, (parts) => {
        const plain = parts.map(([text]) => `/${text}`).join('');
        const other = parts
          .map(([text, between, place, upper]) => {
            const at = place % text.length;
            const hex = text.charCodeAt(at).toString(16);
            return `${between === '' ? '/' : between}${text.slice(0, at)}%${upper ? hex.toUpperCase() : hex}${text.slice(at + 1)}`;
          })
          .join('');
        assert.equal(normalizePath(other), plain);
      }),
    );
  });

  it('is the same in any case where rules deny', () => {
    assert.equal(foldedPath('/CAF%C3%89'), foldedPath('/caf%C3%A9'));
    assert.equal(foldedPath('/%E2%84%AAey'), '/key');
    assert.equal(foldedPath('/%C5%BFtra%C3%9Fe%25'), '/strasse%25');
  });

  it('is compared without the encodings that change nothing', () => {
    assert.equal(comparedPath('/v1/a%3Ab%21%40%2B%20%25'), '/v1/a:b!@+%20%25');
  });
});

/** How servers read a path: each a way of its own, all of them more generous than they should be. */
const SERVERS: Readonly<Record<string, (path: string) => string>> = {
  plain: (path) => resolve(path),
  decoding: (path) => resolve(decode(path)),
  'decoding twice': (path) => resolve(decode(decode(path))),
  'decoding after dots': (path) => resolve(decode(resolve(path))),
  'without case': (path) => resolve(decode(path)).toLowerCase(),
  'without case, also beyond ASCII': (path) =>
    resolve(Buffer.from(decode(path), 'latin1').toString())
      .toUpperCase()
      .toLowerCase(),
  'with backslashes as slashes': (path) => resolve(decode(path).replaceAll('\\', '/')),
  'without parameters': (path) => resolve(decode(path.replace(/;[^/]*/g, ''))),
  'decoding, then without parameters': (path) => resolve(decode(path).replace(/;[^/]*/g, '')),
  'merging slashes first': (path) => resolve(decode(path).replace(/\/+/g, '/')),
  'ending texts at NUL': (path) => resolve(decode(path).replace(/\0.*$/s, '')),
  'with over-long encodings': (path) => resolve(decode(path.replace(/%c0%af|%e0%80%af/gi, '/').replace(/%c1%81/gi, 'a'))),
  'ignoring dots and blanks at the end': (path) => resolve(resolve(decode(path)).replace(/[. ]+(?=\/|$)/g, '')),
};

function decode(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function resolve(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '.' && segment !== '') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

const isBelow = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);
/** What a data plane sends on. */
const forwarded = (path: string): string => (normalizePath(path) ?? path).replace(/[?].*$/s, '');

describe('rules about paths', () => {
  for (const kind of ['segments', 'exact', 'template', 'regex'] as const) {
    it(`that deny by ${kind} hold however the path is written and whoever reads it`, () => {
      const value = { segments: '/admin', exact: '/admin/x', template: '/admin/{id}', regex: '/admin(/.*)?' }[kind];
      const access = compileAccess(policy('allow', rule('deny', ANYONE, paths(kind, value))));
      const isDenied = (path: string): boolean =>
        kind === 'exact' ? path === '/admin/x' : kind === 'template' ? /^\/admin\/[^/]+$/.test(path) : isBelow(path, '/admin');
      fc.assert(
        fc.property(hostile, (path) => {
          if (!access.decide(view({ path })).allowed) return;
          for (const [name, read] of Object.entries(SERVERS))
            assert.equal(isDenied(read(forwarded(path))), false, `a server ${name} reads ${read(forwarded(path))}`);
        }),
        { numRuns: 1_500 },
      );
    });
  }

  it('that allow take nothing that any server reads as another path', () => {
    const access = compileAccess(policy('deny', rule('allow', ANYONE, paths('segments', '/public'))));
    let allowed = 0;
    fc.assert(
      fc.property(hostile, fc.boolean(), (tail, below) => {
        const path = below ? `/public${tail}` : tail;
        if (!access.decide(view({ path })).allowed) return;
        allowed++;
        for (const [name, read] of Object.entries(SERVERS))
          assert.equal(isBelow(read(forwarded(path)), '/public'), true, `a server ${name} reads ${read(forwarded(path))}`);
      }),
      { numRuns: 1_500 },
    );
    assert.ok(allowed > 50, `${allowed} were allowed`);
  });
});
