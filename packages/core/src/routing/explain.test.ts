// A plain reading of the model, the compiled matcher and the explanation give the same route for every request.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RouteConfig } from '../model/dataplane.ts';
import type { FieldMatch, PathMatch, RequestMatch, Route, TextMatch } from '../model/route.ts';
import { RouteConfigError } from './error.ts';
import { explainRoute } from './explain.ts';
import { compileRoutes } from './matcher.ts';
import { PlainRequest } from './request.ts';
import type { RequestView } from './request.ts';
import { config, matching, request, route, tunnel } from './test-support.ts';

// --- the model read naively

function canonical(authority: string): string {
  return authority.toLowerCase().replace(/:80$/, '');
}

function referenceRoute({ virtualHosts }: RouteConfig, asked: RequestView): Route | undefined {
  const authority = canonical(asked.authority);
  const domains = virtualHosts.flatMap((host) => host.domains.map((domain) => ({ domain: canonical(domain), host })));
  const below = domains
    .filter(({ domain }) => domain.startsWith('*.') && authority.endsWith(domain.slice(1)) && authority.length > domain.length - 1)
    .sort((a, b) => b.domain.length - a.domain.length);
  const host = (domains.find(({ domain }) => domain === authority) ?? below[0] ?? domains.find(({ domain }) => domain === '*'))?.host;
  return host?.routes.find(({ match }) => match.kind === 'request' && referenceFits(match, asked));
}

function referenceFits(match: RequestMatch, asked: RequestView): boolean {
  const query = /\?(.*)/s.exec(asked.path)?.[1];
  const parameters = query?.split('&').map((pair): [string, string] => [pair.replace(/=.*/s, ''), /=(.*)/s.exec(pair)?.[1] ?? '']);
  const field = ({ match: text, invert }: FieldMatch, values: readonly (string | undefined)[]): boolean =>
    values.some((value) => value !== undefined && (text === undefined || referenceText(text, value))) !== (invert === true);
  const lines = (name: string): (string | undefined)[] =>
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((line) => asked.header(name.toLowerCase(), line));
  return (
    referencePath(match.path, asked.path.replace(/\?.*/s, '')) &&
    (match.methods === undefined || match.methods.includes(asked.method)) &&
    (match.authority === undefined || referenceText(lower(match.authority), asked.authority.toLowerCase())) &&
    (match.headers ?? []).every((header) => field(header, lines(header.name))) &&
    (match.query ?? []).every((parameter) => field(parameter, [parameters?.find(([name]) => name === parameter.name)?.[1]]))
  );
}

function lower(match: TextMatch): TextMatch {
  return match.kind === 'regex' ? match : { kind: match.kind, value: match.value.toLowerCase() };
}

function referencePath({ kind, value }: PathMatch, path: string): boolean {
  if (path === '*')
    return (kind === 'prefix' || kind === 'segments') && value === '/' ? true : kind === 'regex' && new RegExp(`^(?:${value})$`).test('*');
  switch (kind) {
    case 'prefix':
      return path.slice(0, value.length) === value;
    case 'exact':
      return path === value;
    case 'segments':
      return value === '/' || path === value || path.slice(0, value.length + 1) === `${value}/`;
    case 'template':
      return new RegExp(`^${value.replace(/\{\w+=\*\*\}/, '[^]*').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path);
    case 'regex':
      return new RegExp(`^(?:${value})$`).test(path);
  }
}

function referenceText(match: TextMatch, text: string): boolean {
  if (match.kind === 'regex') return new RegExp(`^(?:${match.value})$`).test(text);
  const [value, compared] = match.ignoreCase === true ? [match.value.toLowerCase(), text.toLowerCase()] : [match.value, text];
  if (match.kind === 'exact') return compared === value;
  if (match.kind === 'prefix') return compared.startsWith(value);
  return match.kind === 'suffix' ? compared.endsWith(value) : compared.includes(value);
}

// --- small worlds, in which things often fit

const segment = fc.constantFrom('a', 'b', 'ab', 'A', '');
const pathText = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => `/${segments.join('/')}`);
const regex = fc.constantFrom('.*', '/a.*', '/(a|b)+', '[ab]*', '/a/?b?', 'a|b', '(?:/[a-b]+){1,2}');
const template = fc.constantFrom('/{x}', '/a/{x}', '/{x}/b', '/a/{x=**}', '/{x}/{y}', '/{x=**}');
const path: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('prefix', 'exact'), value: pathText }),
  fc.record({ kind: fc.constant('segments' as const), value: pathText.map((value) => value.replace(/\/+$/, '') || '/') }),
  fc.record({ kind: fc.constant('template' as const), value: template }),
  fc.record({ kind: fc.constant('regex' as const), value: regex }),
);
const flag = fc.constantFrom(undefined, true as const);
const text: fc.Arbitrary<TextMatch> = fc.oneof(
  fc.record(
    { kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'), value: fc.constantFrom('a', 'b', 'ab', 'A'), ignoreCase: flag },
    { requiredKeys: ['kind', 'value'] },
  ) as fc.Arbitrary<TextMatch>,
  fc.record({ kind: fc.constant('regex' as const), value: regex }),
);
const name = fc.constantFrom('x', 'y', 'Z');
const field = fc.record({ name, match: text, invert: flag }, { requiredKeys: ['name'] }) as fc.Arbitrary<FieldMatch>;
const conditions = {
  methods: fc.array(fc.constantFrom('GET', 'PUT'), { minLength: 1, maxLength: 2 }),
  headers: fc.uniqueArray(field, { maxLength: 2, selector: (one) => one.name }),
  query: fc.uniqueArray(field, { maxLength: 2, selector: (one) => one.name }),
  authority: text,
};
const kind = fc.constant('request' as const);
const match = fc.oneof(
  fc.record({ kind, path }),
  ...Object.entries(conditions).map(([key, condition]) => fc.record({ kind, path, [key]: condition as fc.Arbitrary<unknown> })),
  fc.record({ kind, path, ...conditions }, { requiredKeys: ['kind', 'path'] }),
) as fc.Arbitrary<RequestMatch>;
const authority = fc
  .tuple(fc.constantFrom('a', 'b', 'a.b', 'b.a.b', 'A.a.B'), fc.constantFrom('', ':80', ':81'))
  .map(([host, port]) => host + port);
const domain = fc.oneof(
  authority,
  authority.map((host) => `*.${host}`),
  fc.constant('*'),
);
const matches = fc.uniqueArray(match, { minLength: 1, maxLength: 5, selector: (one) => JSON.stringify(one) });
const configs = fc
  .tuple(fc.uniqueArray(domain, { minLength: 1, maxLength: 8, selector: canonical }), fc.tuple(matches, matches, matches))
  .map(([domains, hosts]) =>
    config(
      ...hosts.map((some, index): [string, string[], Route[]] => [
        `host ${index}`,
        domains.filter((_, at) => at % hosts.length === index),
        some.map((one, at) => route(one, `r${at}`)),
      ]),
    ),
  );
const value = fc.constantFrom('', 'a', 'b', 'ab', 'A', 'abA', '/a');
const asked = fc
  .record({
    method: fc.constantFrom('GET', 'PUT', 'POST'),
    path: fc.oneof(
      fc.constant('*'),
      fc.tuple(pathText, fc.array(fc.tuple(name, fc.option(value)), { maxLength: 3 })).map(([before, pairs]) => {
        const query = pairs.map(([key, given]) => (given === null ? key : `${key}=${given}`)).join('&');
        return query === '' ? before : `${before}?${query}`;
      }),
    ),
    authority,
    headers: fc.array(fc.tuple(name, value), { maxLength: 3 }),
  })
  .map((parts) => new PlainRequest(parts));

function compiled(input: RouteConfig): ReturnType<typeof compileRoutes> | undefined {
  try {
    return compileRoutes(input);
  } catch (error) {
    if (error instanceof RouteConfigError) return undefined;
    throw error;
  }
}

describe('the route of a request', () => {
  it('is the same read naively, compiled and explained (property)', () => {
    let found = 0;
    fc.assert(
      fc.property(configs, fc.array(asked, { minLength: 1, maxLength: 8 }), (input, requests) => {
        const matcher = compiled(input);
        if (matcher === undefined) return;
        for (const one of requests) {
          const expected = referenceRoute(input, one);
          if (expected !== undefined) found++;
          assert.equal(matcher.match(one), expected);
          const explained = explainRoute(input, one);
          assert.equal(explained.route, expected);
          assert.equal(explained.virtualHost, matcher.virtualHost(one.authority));
          const routes = explained.virtualHost?.routes ?? [];
          const before = expected === undefined ? routes : routes.slice(0, routes.indexOf(expected));
          assert.deepEqual(
            explained.passedOver.map((over) => over.route),
            before.map((over) => over.name),
          );
          for (const { why } of explained.passedOver) assert.notEqual(why, '');
        }
      }),
      { numRuns: 100 },
    );
    assert.ok(found > 20, `only ${found} requests found a route`);
  });
});

describe('the explanation', () => {
  const routes = [
    tunnel('bytes'),
    route(matching({ kind: 'exact', value: '/x' }), 'exact'),
    route(matching('/', { methods: ['PUT', 'POST'] }), 'writes'),
    route(matching('/', { headers: [{ name: 'x-beta', match: { kind: 'exact', value: '1' } }] }), 'beta'),
    route(matching('/', { headers: [{ name: 'x-alpha', invert: true }], query: [{ name: 'debug' }] }), 'debug'),
    route(matching('/', { authority: { kind: 'suffix', value: '.test' } }), 'test'),
    route('/', 'rest'),
  ];
  const input = config(['orders', ['orders', '*.orders:81'], routes]);

  it('says why each route before the one taken does not fit', () => {
    const { passedOver, reason, domain } = explainRoute(
      input,
      request({
        authority: 'orders:80',
        path: '/y',
        headers: [
          ['x-beta', '2'],
          ['x-alpha', 'a'],
        ],
      }),
    );
    assert.equal(reason, '"orders:80" belongs to virtual host "orders" by its domain "orders"; route "rest" is the first that fits');
    assert.equal(domain, 'orders');
    assert.deepEqual(
      passedOver.map(({ why }) => why),
      [
        'it is for CONNECT, and the request has another method',
        'the path "/y" is not "/x"',
        'the method is GET, not PUT or POST',
        'the header "x-beta", which is "2", is not "1"',
        'the header "x-alpha" is there, and must not be',
        'the authority "orders:80" does not end with ".test"',
      ],
    );
  });

  it('says when nothing fits, and when nobody has the domain', () => {
    const narrow = config(['orders', ['orders'], [route('/a', 'a'), route('/b', 'b')]]);
    assert.match(explainRoute(narrow, request({ authority: 'orders', path: '/c' })).reason, /but none of its 2 routes fits$/);
    assert.match(explainRoute(narrow, request({ authority: 'carts' })).reason, /^no virtual host has the domain "carts"/);
  });

  it('explains CONNECT', () => {
    const explained = explainRoute(input, request({ method: 'CONNECT', path: '', authority: 'A.orders:81' }));
    assert.equal(explained.route?.name, 'bytes');
    assert.equal(explained.domain, '*.orders:81');
    const nobody = explainRoute(input, request({ method: 'CONNECT', path: '', authority: 'orders:80' }));
    assert.equal(nobody.route, undefined);
    assert.match(nobody.reason, /with this port/);
  });
});
