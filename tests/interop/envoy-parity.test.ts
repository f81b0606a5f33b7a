// The same rules through a data plane of Heddle and through the real Envoy: what an application gets, and what its caller gets, is the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { Cleanup } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { type Answer, type Asked, CASE_HEADER, type Fields, Parity, SIDES, valuesOf } from './support/parity.ts';
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
  ...[301, 302, 303, 307, 308].map((status) => rule(`status-${status}`, `{ path: /d${status} }`, `redirect: { status: ${status}, path: /there }`)),
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

/** Differs from request to request, or from one of two equal instances to the other. */
const BY_NATURE = ['date', CASE_HEADER, 'x-request-id'];

function comparable({ status, headers, text, got }: Answer) {
  const kept = (all: Fields): Fields =>
    all
      .filter(([name]) => !BY_NATURE.includes(name))
      .toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return {
    status,
    headers: kept(headers).filter(([name]) => name !== 'content-length'),
    text,
    ...(got !== undefined && { method: got.method, path: got.path, got: kept(got.headers), body: got.body }),
  };
}

/** Asks both, and compares all that is not different by its nature. */
async function same(asked: Asked, service = 'shop'): Promise<Answer> {
  const { heddle, envoy } = await parity.both(service, asked);
  assert.deepEqual(comparable(envoy), comparable(heddle), `${asked.method ?? 'GET'} ${asked.path} ${JSON.stringify(asked.headers ?? [])}`);
  return heddle;
}
