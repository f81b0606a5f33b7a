// The same rules through a data plane of Heddle and through the real Envoy: what an application gets, and what its caller gets, is the same.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { Cleanup } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { envoyProgram } from './support/envoy-program.ts';
import {
  type Answer,
  type Asked,
  BY_NATURE,
  comparable,
  each,
  type Fields,
  joined,
  Parity,
  SIDES,
  type Side,
  valuesOf,
} from './support/parity.ts';
import { Applications } from './support/parity-apps.ts';
import { reason } from './support/programs.ts';

const HEALTH = 'health: { interval: 500ms, timeout: 500ms }';
/** A rule that marks its answers with its name. */
const rule = (name: string, match: string, more = ''): string =>
  `      - { name: ${name}, match: ${match}, headers: { response: { set: { x-rule: ${name} } } }${more && `, ${more}`} }\n`;

const MATCHES = [
  rule('exact', '{ path: /exact }'),
  rule('segments', '{ path: /seg/** }'),
  rule('prefix', '{ path: { prefix: /pre } }'),
  rule('prefix-slash', '{ path: { prefix: /dir/ } }'),
  rule('template', '{ path: "/t/{id}/items" }'),
  rule('template-rest', '{ path: "/files/{kind}/{rest=**}" }'),
  rule('regex', `{ path: { regex: '/r\\d+(/x|\\.y)?' } }`),
  rule('encoded', '{ path: "/a%20b" }'),
  rule('methods', '{ path: /methods, methods: [PUT, DELETE] }'),
  rule('not-methods', '{ path: /methods, methods: [GET] }'),
  rule('h-exact', '{ path: /h, headers: { x-exact: "1" } }'),
  rule('h-prefix', '{ path: /h, headers: { x-prefix: { prefix: eu- } } }'),
  rule('h-suffix', '{ path: /h, headers: { x-suffix: { suffix: .example } } }'),
  rule('h-contains', '{ path: /h, headers: { x-contains: { contains: curl, ignoreCase: true } } }'),
  rule('h-regex', `{ path: /h, headers: { x-regex: { regex: 'a+,?b*' } } }`),
  rule('h-absent', '{ path: /h, headers: { x-wanted: { present: true }, x-unwanted: { present: false } } }'),
  rule('h-invert', '{ path: /h/invert, headers: { x-exact: { exact: "1", invert: true } } }'),
  rule('h-empty', '{ path: /h/empty, headers: { x-exact: "" } }'),
  rule('q-exact', '{ path: /q, query: { exact: "1" } }'),
  rule('q-prefix', '{ path: /q, query: { prefix: { prefix: eu- } } }'),
  rule('q-contains', '{ path: /q, query: { contains: { contains: curl } } }'),
  rule('q-regex', `{ path: /q, query: { regex: { regex: 'a+b*' } } }`),
  rule('q-present', '{ path: /q, query: { wanted: { present: true } } }'),
  rule('q-absent', '{ path: /q/absent, query: { unwanted: { present: false } } }'),
  rule('authority', '{ path: /authority, authority: Shop.Example }'),
  rule('authority-suffix', '{ path: /authority, authority: { suffix: .example:8080 } }'),
  rule('authority-regex', `{ path: /authority, authority: { regex: '[a-c]+\\.test' } }`),
  rule('h-lines', `{ path: /h/lines, headers: { x-lines: { regex: 'a,?b' } } }`),
  rule('h-joined', '{ path: /h/accept, headers: { accept: text/plain } }'),
  rule('any-of', '[{ path: /any, methods: POST }, { path: /any, headers: { x-exact: "1" } }, { path: /some/** }]'),
].join('');

const REWRITES = [
  rule('to-short', '{ path: { prefix: /v1 } }', 'rewrite: { path: { prefix: / } }'),
  rule('to-long', '{ path: { prefix: /v2/ } }', 'rewrite: { path: { prefix: /long/er } }'),
  rule('seg-short', '{ path: /w1/** }', 'rewrite: { path: { prefix: / } }'),
  rule('seg-long', '{ path: /w2/** }', 'rewrite: { path: { prefix: /new/ } }'),
  rule('seg-plain', '{ path: /w3/** }', 'rewrite: { path: { prefix: /new } }'),
  rule('from-exact', '{ path: /w4 }', 'rewrite: { path: { prefix: /new/one } }'),
  rule('full', '{ path: { prefix: /w5 } }', 'rewrite: { path: /fixed }'),
  rule('variables', '{ path: "/w6/{id}/of/{rest=**}" }', 'rewrite: { path: "/of/{rest}/is/{id}/{id}" }'),
  rule('by-regex', '{ path: { prefix: /w7 } }', `rewrite: { path: { regex: '/(\\w)(\\w*)', substitution: '/\\2\\1' } }`),
  rule('by-anchored', '{ path: { prefix: /w8 } }', `rewrite: { path: { regex: '^/w8(.*)$', substitution: '/new\\1' } }`),
  rule('new-host', '{ path: /w9 }', 'rewrite: { host: "other.example:81" }'),
  rule('both-new', '{ path: /w10/** }', 'rewrite: { path: { prefix: /ten }, host: ten.example }'),
].join('');

const REDIRECTS = [
  ...[301, 302, 303, 307, 308].map((status) =>
    rule(`status-${status}`, `{ path: /d${status} }`, `redirect: { status: ${status}, path: /there }`),
  ),
  rule('d-host', '{ path: /d/host }', 'redirect: { host: there.example }'),
  rule('d-host-port', '{ path: /d/port }', 'redirect: { host: "there.example:8443", scheme: https }'),
  rule('d-scheme', '{ path: /d/scheme }', 'redirect: { scheme: https }'),
  rule('d-prefix', '{ path: /d/prefix/** }', 'redirect: { prefix: /new }'),
  rule('d-prefix-slash', '{ path: { prefix: /d/slash/ } }', 'redirect: { prefix: / }'),
  rule('d-all', '{ path: /d/all/** }', 'redirect: { status: 308, scheme: https, host: all.example, prefix: /, stripQuery: true }'),
  rule('d-strip', '{ path: /d/strip }', 'redirect: { path: /there, stripQuery: true }'),
].join('');

const ANSWERS = [
  rule('plain', '{ path: /a/plain }', 'respond: { body: "Grüße" }'),
  rule('json', '{ path: /a/json }', `respond: { status: 418, body: '{"a":"100%"}', contentType: application/json }`),
  rule('none', '{ path: /a/none }', 'respond: { status: 204 }'),
  rule('empty', '{ path: /a/empty }', 'respond: { status: 404 }'),
  rule('wrong', '{ path: /a/wrong }', 'respond: { status: 503, body: closed }'),
].join('');

const CHANGES = `
      - name: request
        match: { path: /c/request }
        headers:
          request:
            set: { X-Set: new, x-empty: "", x-percent: 100%%, x-id: "%REQUEST_ID%", x-from: "a %SOURCE_ADDRESS% b", user-agent: loom }
            add: { x-add: more, cookie: late=1, accept: text/plain }
            remove: [x-secret, X-Gone]
      - name: response
        match: { path: /c/response }
        headers:
          response:
            set: { x-set: new, content-type: text/x-other, x-id: "%REQUEST_ID%", cache-control: no-store }
            add: { x-kept: three, set-cookie: a=b, vary: accept }
            remove: [x-echo, date]
      - name: sides
        match: { path: /c/sides }
        headers: { request: { set: { x-set: rule, x-rule-only: yes }, add: { x-add: rule } }, response: { set: { x-side: none, x-rule: sides } } }
        to:
          - { labels: { version: v1 }, weight: 100, headers: { request: { set: { x-set: side }, add: { x-add: side }, remove: [x-gone] }, response: { set: { x-side: v1 } } } }
          - { labels: { version: v2 }, weight: 0 }
      - name: one-side
        match: { path: /c/side }
        headers: { request: { set: { x-set: rule, x-gone: rule } }, response: { set: { x-side: none } } }
        to: { labels: { version: v2 }, headers: { request: { set: { x-set: side }, remove: [x-gone] }, response: { set: { x-side: v2 }, remove: [x-kept] } } }
`;

const SPLITS = `
      - { name: share, match: { path: /s/share }, to: [{ labels: { version: v1 }, weight: 30 }, { labels: { version: v2 }, weight: 70 }] }
      - { name: hashed, match: { path: /s/hash }, splitBy: hash, to: [{ labels: { version: v1 }, weight: 50 }, { labels: { version: v2 }, weight: 50 }] }
      - { name: other, match: { path: /s/other }, to: { service: other } }
      - { name: nowhere, match: { path: /s/nowhere }, to: { labels: { version: v9 } } }
      - { name: mirrored, match: { path: /s/mirror/** }, rewrite: { path: { prefix: /copied } }, to: { labels: { version: v1 } }, mirror: [{ service: other }, { labels: { version: v2 } }] }
`;

const MESH = `mesh: parity
services:
  client: { port: 8000, ${HEALTH} }
  shop: { port: 80, retry: off, outlier: off, balance: { policy: round-robin, hash: [{ header: x-user }, { cookie: sid }, { query: u }] }, ${HEALTH} }
  other: { port: 8002, retry: off, outlier: off, balance: round-robin, ${HEALTH} }
routes:
  - service: shop
    rules:
${MATCHES}${REWRITES}${REDIRECTS}${ANSWERS}${CHANGES}${SPLITS}`;

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
const apps = new Applications(cleanup);
let parity: Parity;

before(async () => {
  if (skip !== false) return;
  if (typeof found !== 'string') throw new Error(`not on this machine: ${found.reason}`);
  const [one, two, other] = await Promise.all([apps.http('shop-1'), apps.http('shop-2'), apps.http('other-1')]);
  parity = await Parity.start(cleanup, found, {
    mesh: MESH,
    instances: { 'shop-1': { port: one, version: 'v1' }, 'shop-2': { port: two, version: 'v2' }, 'other-1': { port: other } },
    uses: ['shop', 'other'],
  });
  await parity.until('shop', { path: '/' }, ['shop-1', 'shop-2']);
  await parity.until('shop', { path: '/s/share' }, ['shop-1', 'shop-2']);
  await parity.until('shop', { path: '/s/other' }, ['other-1']);
});
after(() => cleanup.run());

const seenRules = new Set<string>();
const RULE_NAMES = [...`${MATCHES}${REWRITES}${REDIRECTS}${ANSWERS}`.matchAll(/- \{ name: ([^,]+),/g)].map(([, name]) => name);

/** Asks both, and compares all that is not different by its nature. */
async function same(asked: Asked): Promise<Answer> {
  const { heddle, envoy } = await parity.both('shop', asked);
  for (const name of valuesOf(heddle.headers, 'x-rule')) seenRules.add(name);
  assert.deepEqual(comparable(envoy), comparable(heddle), `${asked.method ?? 'GET'} ${asked.path} ${JSON.stringify(asked.headers ?? [])}`);
  return heddle;
}

const paths = (...all: string[]): Asked[] => all.map((path) => ({ path }));
const field = (path: string, ...headers: [string, string][]): Asked => ({ path, headers });

const BY_PATH = paths(
  ...['/', '/exact', '/exact/', '/exact?x=1', '/Exact', '/exact%2f', '/exac%74', '//exact', '/./exact', '/a/../exact', '/exact;v=1'],
  ...[
    '/seg',
    '/seg/',
    '/seg/a',
    '/seg/a/../b',
    '/segment',
    '/seg?a',
    '/seg%2fa',
    '/seg//a',
    '/pre',
    '/prefix',
    '/pre/x?y',
    '/dir',
    '/dir/',
  ],
  ...['/t/1/items', '/t//items', '/t/1/2/items', '/t/%2f/items', '/t/1/items/', '/t/1/items?q', '/files/a/b/c', '/files/a/', '/files/a'],
  ...[
    '/files//b',
    '/files/a/?x',
    '/r1',
    '/r12/x',
    '/r1.y',
    '/r1xy',
    '/r',
    '/r1?z',
    '/a%20b',
    '/a+b',
    '/a%20b/c',
    '/any',
    '/some',
    '/some/x',
  ],
  ...['/\\', '/a|b', '/{x}', '/"', "/'", '/<a>', '/^', '/`', '/%', '/%zz', '/%00', '/%ff', '/a?b=%zz', '/a?%', '/~', '/?', '/??', '/?/../'],
);
const BY_METHOD: Asked[] = ['GET', 'PUT', 'DELETE', 'POST', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND', 'get'].map((method) => ({
  method,
  path: '/methods',
}));
const FIELD_VALUES: [string, string][] = [
  ...(['1', ' 1 ', '2', '', '1,1'] as const).map((value): [string, string] => ['x-exact', value]),
  ...(['eu-1', 'EU-1', 'eu-'] as const).map((value): [string, string] => ['X-Prefix', value]),
  ...(['aab', 'aabc', 'a', ''] as const).map((value): [string, string] => ['x-regex', value]),
  ...([
    ['x-suffix', 'a.example'],
    ['x-contains', 'xCURLx'],
    ['x-wanted', ''],
    ['x-wanted', 'x'],
    ['x-unwanted', 'x'],
  ] as [string, string][]),
];
const BY_HEADER: Asked[] = [
  ...FIELD_VALUES.flatMap((one) => ['/h', '/h/invert', '/h/empty', '/any'].map((path) => field(path, one))),
  ...[
    ['1', '1'],
    ['1', '2'],
    ['2', '1'],
    ['', '1'],
  ].flatMap((lines) => ['/h', '/h/invert'].map((path) => field(path, ...lines.map((line): [string, string] => ['x-exact', line])))),
  ...[['a', 'b'], ['a,b'], ['b', 'ab']].map((lines) => field('/h/lines', ...lines.map((line): [string, string] => ['x-lines', line]))),
  field('/h', ['x-prefix', 'us'], ['x-prefix', 'eu-1']),
  field('/h', ['x-wanted', '1'], ['x-unwanted', '1']),
  field('/h/accept', ['accept', 'text/plain']),
  { method: 'POST', path: '/any', body: 'x' },
];
const QUERIES = [
  ...[
    'exact=1',
    'exact=2&exact=1',
    'exact=1&exact=2',
    'exact=%31',
    'exact',
    'Exact=1',
    'a=exact=1',
    '&exact=1',
    'ex%61ct=1',
    'exact=1;wanted',
  ],
  ...['prefix=eu-', 'prefix=eu-x&', 'contains=acurlb', 'regex=aab', 'regex=aabb&a', 'wanted', 'wanted=', '?wanted', 'a&wanted', 'wanted=?'],
  ...['unwanted', 'unwanted=1', 'a&unwanted', 'unwanted2', '2unwanted=1', 'exact=1+', ''],
];
const BY_QUERY = paths('/q', '/q/absent', ...QUERIES.flatMap((query) => [`/q?${query}`, `/q/absent?${query}`]));
const HOSTS = [
  'shop.example',
  'SHOP.example',
  'shop.example:80',
  'shop.example.',
  'x.example:8080',
  '.example:8080',
  'a.test',
  'A.Test',
  'd.test',
];
const BY_AUTHORITY = [...HOSTS, 'a.test:80', '[::1]', '[::1]:8080', '127.0.0.1', 'x', 'a_b'].map((host) =>
  field('/authority', ['Host', host]),
);
const NAMES = [
  'shop',
  'SHOP',
  'shop.mesh.internal',
  'SHOP.mesh.internal',
  'shop.default',
  'shop.default.mesh.internal',
  'other',
  'other:8002',
];
const BY_PROXY = [
  ...[
    ...NAMES,
    'shop:80',
    'shop.mesh.internal:80',
    'shop:81',
    'other:80',
    'other.mesh.internal:80',
    'other:8003',
    'shop.mesh.internal.',
    'nobody',
  ],
  ...['nobody.mesh.internal', 'shop.default:80'],
].map((host): Asked => ({ path: `http://${host}/exact?x`, proxied: true, headers: [['host', host]] }));
const REWRITTEN = paths(
  ...['/v1', '/v1/', '/v1/a', '/v1a', '/v1//a', '/v1?x=/v1', '/v1/?x', '/v2/', '/v2/a', '/v2//a', '/v2/?x', '/w1', '/w1/', '/w1/a/b?c'],
  ...['/w1//a', '/w1?x', '/w2', '/w2/', '/w2/a', '/w2//a', '/w2?x', '/w3', '/w3/', '/w3/a', '/w3//', '/w4', '/w4?x', '/w5', '/w5x?y=z'],
  ...['/w5/?', '/w6/1/of/', '/w6/1/of/a/b?c=d', '/w6/a%2fb/of/%5c1', '/w6/\\1/of/x', '/w7', '/w7/abc/def?g/h', '/w7/%41bc', '/w7//x'],
  ...['/w8', '/w8/a?b', '/w8?', '/w9?x', '/w10', '/w10/a', '/w10?b'],
);
const REDIRECTED: Asked[] = [
  ...paths(...[301, 302, 303, 307, 308].map((status) => `/d${status}?a=b`)),
  ...paths(
    ...['/d/host', '/d/host?x=y', '/d/host?', '/d/port?x', '/d/scheme', '/d/scheme?x', '/d/prefix', '/d/prefix/', '/d/prefix/a/b?c'],
  ),
  ...paths(...['/d/prefix//a', '/d/prefix/%2f?%', '/d/prefix/\\evil', '/d/slash/', '/d/slash/a?x', '/d/slash//a', '/d/all', '/d/all/']),
  ...paths('/d/all/a?x', '/d/all//evil.example', '/d/strip?x', '/d/strip'),
  ...['shop:80', 'shop:8080', 'SHOP', '[::1]:80', 'shop.mesh.internal:443'].flatMap((host) =>
    ['/d/scheme', '/d/prefix', '/d308', '/d/host'].map((path) => field(path, ['host', host])),
  ),
  ...['http', 'https'].flatMap((proto) => ['/d/scheme', '/d/host', '/d308'].map((path) => field(path, ['x-forwarded-proto', proto]))),
  { method: 'POST', path: '/d307', body: 'x' },
  { method: 'HEAD', path: '/d307' },
];
const ANSWERED = ['plain', 'json', 'none', 'empty', 'wrong'].flatMap((name) =>
  ['GET', 'HEAD', 'POST', 'OPTIONS'].map((method): Asked => ({ method, path: `/a/${name}?x`, ...(method === 'POST' && { body: 'abc' }) })),
);
const MINE: [string, string][] = [['x-request-id', 'given']];
const CHANGED: Asked[] = [
  field('/c/request', ...MINE),
  field(
    '/c/request',
    ...MINE,
    ['x-set', 'a'],
    ['X-SET', 'b'],
    ['x-add', '1'],
    ['x-add', '2'],
    ['x-secret', 's'],
    ['x-gone', '1'],
    ['X-Gone', '2'],
  ),
  field(
    '/c/request',
    ...MINE,
    ['cookie', 'a=1; b=2'],
    ['accept', '*/*'],
    ['user-agent', 'me'],
    ['x-id', 'forged'],
    ['x-forwarded-for', '192.0.2.1'],
  ),
  field('/c/request', ...MINE, ['cookie', 'a=1'], ['cookie', 'b=2'], ['x-a', ''], ['x-b', 'é']),
  field('/c/response', ...MINE),
  { method: 'HEAD', ...field('/c/response', ...MINE) },
  field('/c/response', ...MINE, ['x-do', '404+set-cookie=x=y+vary=origin']),
  ...['/c/sides', '/c/side'].map((path) => field(path, ['x-set', 'mine'], ['x-add', 'mine'], ['x-gone', 'g'])),
];
const PASSED: Asked[] = [
  { method: 'POST', path: '/', body: 'hello' },
  field('/', ['te', 'trailers'], ['connection', 'x-hop'], ['x-hop', '1'], ['keep-alive', '1'], ['proxy-connection', 'x']),
  field(
    '/',
    ['x-forwarded-for', '192.0.2.1'],
    ['x-forwarded-proto', 'https'],
    ['x-forwarded-host', 'h'],
    ['forwarded', 'for=1'],
    ['via', '1.0 x'],
  ),
  field('/', ['x-b3-traceid', '1'], ['traceparent', 'x'], ['x-client-trace-id', '1'], ['x-heddle-error', 'NOPE'], ['x-heddle-peer', 'me']),
  field('/', ['expect', '100-continue'], ['upgrade-insecure-requests', '1'], ['accept-encoding', 'gzip'], ['a_b', '1']),
  field('/', ['X-UPPER', 'A'], ['x-dup', '1'], ['x-other', 'o'], ['X-Dup', '2'], ['x-empty', ''], ['x-tab', 'a\tb'], ['x-comma', 'a, b,c']),
  ...[200, 201, 204, 205, 206, 304, 400, 404, 418, 429, 500, 502, 503, 504, 599, 999].map((status) => field('/', ['x-do', String(status)])),
  field('/', ['x-do', '200+x-heddle-error=FORGED+server=me+x-envoy-upstream-service-time=3+retry-after=3']),
  field('/', ['x-do', 'reset']),
  field('/', ['x-do', 'partial']),
  field('/s/nowhere'),
  field('/s/other'),
];

describe('Envoy and Heddle by the same rules', { skip }, () => {
  test('Envoy takes all of them', async () => {
    assert.deepEqual(await parity.refusals(), []);
  });

  const tables: readonly (readonly [string, readonly Asked[]])[] = [
    ['paths', BY_PATH],
    ['methods', BY_METHOD],
    ['headers', BY_HEADER],
    ['queries', BY_QUERY],
    ['authorities', BY_AUTHORITY],
    ['names at the proxy for all services', BY_PROXY],
    ['rewrites', REWRITTEN],
    ['redirects', REDIRECTED],
    ['answers of the data plane', ANSWERED],
    ['header changes', CHANGED],
    ['what is passed on both ways', PASSED],
  ];
  for (const [what, table] of tables)
    test(`${what}: the same`, async () => {
      await each(table, async (asked) => void (await same(asked)));
    });

  test('each rule has taken a request', () => {
    assert.deepEqual(
      RULE_NAMES.filter((name) => !seenRules.has(String(name))),
      [],
    );
  });

  test('any request (property)', async () => {
    const words = [
      'v1',
      'v2',
      'w1',
      'w3',
      'w6',
      'w7',
      'of',
      'seg',
      'pre',
      'dir',
      't',
      'items',
      'files',
      'r1',
      'exact',
      'd',
      'prefix',
      'all',
      'q',
      'h',
    ];
    const segment = fc.oneof(fc.constantFrom(...words), fc.constantFrom('', '.', '..', '%2e', '%2F', 'a%20b', ';x', '\\1', '%', '~'));
    const query = fc.array(fc.constantFrom('exact=1', 'wanted', 'prefix=eu-1', 'regex=ab', 'unwanted', '', '=', 'x=/y?z', '%3d'), {
      maxLength: 3,
    });
    const header = fc.tuple(
      fc.constantFrom('x-exact', 'X-Prefix', 'x-regex', 'x-wanted', 'x-gone', 'Cookie'),
      fc.constantFrom('1', 'eu-1', 'ab', '', 'b=c'),
    );
    const request = fc.record({
      method: fc.constantFrom('GET', 'PUT', 'DELETE', 'OPTIONS'),
      path: fc.tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.option(query)).map(([parts, asked]) => {
        return `/${parts.join('/')}${asked === null ? '' : `?${asked.join('&')}`}`;
      }),
      headers: fc.tuple(fc.constantFrom('shop', 'Shop.Example:80', 'a.test'), fc.array(header, { maxLength: 3 })).map(([host, lines]) => {
        return [['Host', host], ...lines] as Fields;
      }),
    });
    // Runs of a property go one by one; several requests each make it quick.
    const several = fc.array(request, { minLength: 8, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(several, async (all) => each(all, async (asked) => void (await same(asked)))),
      { numRuns: 25 },
    );
  });

  test('an id is made for a request that has none, and said wherever a rule speaks of it', async () => {
    for (const side of SIDES) {
      const { got, headers } = await parity.ask(side, 'shop', { path: '/c/request' });
      const [id = ''] = valuesOf(got?.headers ?? [], 'x-request-id');
      assert.match(id, /^[\w.-]{8,}$/, side);
      assert.deepEqual(valuesOf(got?.headers ?? [], 'x-id'), [id], side);
      assert.deepEqual(valuesOf(headers, 'x-request-id'), [], side);
    }
  });

  test('each side of a split gets its share', async () => {
    for (const side of SIDES) {
      let count = 0;
      await each(
        Array.from({ length: 200 }, (_, nth) => nth),
        async () => {
          if ((await parity.ask(side, 'shop', { path: '/s/share' })).got?.name === 'shop-1') count += 1;
        },
      );
      // Six standard deviations from 60.
      assert.ok(count > 21 && count < 99, `${side}: ${count}`);
    }
  });

  test('a split by hash keeps users where they are, about half of them on each side', async () => {
    for (const side of SIDES) {
      let count = 0;
      for (const [name, value] of [
        ['x-user', ''],
        ['cookie', 'sid='],
        ['', ''],
      ] as const)
        await each(
          Array.from({ length: 20 }, (_, user) => user),
          async (user) => {
            const asked: Asked = name === '' ? { path: `/s/hash?u=${user}` } : { path: '/s/hash', headers: [[name, `${value}${user}`]] };
            const all = [await parity.ask(side, 'shop', asked), await parity.ask(side, 'shop', asked)].map(({ got }) => got?.name);
            assert.equal(all[0], all[1], `${side}: ${name}${user}`);
            if (all[0] === 'shop-1') count += 1;
          },
        );
      assert.ok(count > 6 && count < 54, `${side}: ${count}`);
    }
  });

  test('copies go where the rule says, as the request was rewritten', async () => {
    for (const authority of ['shop.mesh.internal', 'shop:80']) {
      const copies = async (side: Side): Promise<unknown> => {
        const name = parity.name(side);
        const asked: Asked = { method: 'POST', path: '/s/mirror/a?b=c', body: 'some body', headers: [['host', authority]] };
        await parity.ask(side, 'shop', asked, name);
        await waitFor('copies', () => apps.triesOf(name).length === 3);
        const all = apps.triesOf(name).map(({ headers, ...got }) => ({ ...got, headers: joined(headers, OF_COPIES) }));
        return all.toSorted((a, b) => (a.name < b.name ? -1 : 1));
      };
      assert.deepEqual(await copies('envoy'), await copies('heddle'));
    }
  });
});

/** Envoy says them of its copies, as the guide says. */
const OF_COPIES = [...BY_NATURE, 'x-envoy-internal', 'x-forwarded-for'];

interface Difference {
  /** Words of docs/guides/envoy.md. */
  readonly guide: string;
  readonly asked: Asked;
  readonly look: (answer: Answer) => unknown;
  readonly heddle: unknown;
  readonly envoy: unknown;
}

const coded = ({ status, headers }: Answer): string => [status, ...valuesOf(headers, 'x-heddle-error')].join(' ');
const seen =
  (name: string) =>
  ({ got }: Answer): string =>
    valuesOf(got?.headers ?? [], name).join();
const proxied = (path: string): Asked => ({ path, proxied: true, headers: [['host', 'shop']] });
const DIFFERENCES: readonly Difference[] = [
  { guide: 'Methods that Envoy does not know', asked: { method: 'QUERY', path: '/methods' }, look: coded, heddle: '200', envoy: '400' },
  { guide: '`OPTIONS *`', asked: { method: 'OPTIONS', path: '*' }, look: coded, heddle: '200', envoy: '404' },
  { guide: 'What is not HTTP', asked: { path: '/exact#x' }, look: coded, heddle: '400 BAD_REQUEST', envoy: '400' },
  {
    guide: '`https://` in the request line',
    asked: proxied('https://shop/exact'),
    look: coded,
    heddle: '501 NOT_IMPLEMENTED',
    envoy: '200',
  },
  { guide: 'a user in front of the host', asked: proxied('http://u:p@shop/exact'), look: coded, heddle: '400 BAD_REQUEST', envoy: '200' },
  { guide: 'a query right behind the host', asked: proxied('http://shop?x'), look: coded, heddle: '200', envoy: '404' },
  {
    guide: 'Hosts outside the mesh that are not listed',
    asked: { path: 'http://example.com/', proxied: true, headers: [['host', 'example.com']] },
    look: coded,
    heddle: '403 EGRESS_REFUSED',
    envoy: '404 NO_SUCH_SERVICE',
  },
  {
    guide: '`%SOURCE_ADDRESS%`',
    asked: field('/c/request', ['x-forwarded-for', '192.0.2.1, 192.0.2.2']),
    look: seen('x-from'),
    heddle: 'a 192.0.2.1 b',
    envoy: 'a 192.0.2.2 b',
  },
  {
    guide: 'Several lines of a standard header',
    asked: field('/h/accept', ['accept', 'text/plain'], ['accept', 'text/html']),
    look: ({ headers }) => valuesOf(headers, 'x-rule').join(),
    heddle: 'h-joined',
    envoy: '',
  },
  {
    guide: '`x-envoy-…` headers',
    asked: field('/', ['x-envoy-internal', 'true']),
    look: seen('x-envoy-internal'),
    heddle: 'true',
    envoy: '',
  },
  {
    guide: '`retry-after`',
    asked: { path: '/s/nowhere' },
    look: ({ headers }) => valuesOf(headers, 'retry-after').join(),
    heddle: '1',
    envoy: '',
  },
];

describe('what remains different between Envoy and Heddle', { skip }, () => {
  const guide = readFileSync(new URL('../../docs/guides/envoy.md', import.meta.url), 'utf8');
  for (const { guide: words, asked, look, heddle, envoy } of DIFFERENCES)
    test(`${words}, as the guide says`, async () => {
      assert.ok(guide.includes(words), `docs/guides/envoy.md does not say ${JSON.stringify(words)}`);
      const both = await parity.both('shop', asked);
      assert.deepEqual([look(both.heddle), look(both.envoy)], [heddle, envoy]);
    });
});
