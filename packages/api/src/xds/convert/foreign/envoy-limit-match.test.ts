// A limit holds at an Envoy for the requests that it holds for at our own data planes: its conditions, followed as Envoy follows them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ANY_REQUEST, CompiledMatch, forwardTo, PlainRequest } from '@heddle/core';
import type { FieldMatch, PathMatch, RequestMatch, Route, RouteRateLimit } from '@heddle/core';
import fc from 'fast-check';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  HeaderMatcher,
  QueryParameterMatcher,
  RateLimit,
  RateLimit_Action,
  VirtualHost,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { LocalRateLimit } from '../../../gen/foreign/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.ts';
import { Descriptor } from '../../../gen/foreign/envoy/extensions/rate_limit_descriptors/expr/v3/expr.ts';
import type { StringMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/string.ts';
import { encodeForEnvoy } from './envoy.ts';
import { limitConditions } from './envoy-limit-match.ts';

interface Asked {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** As Envoy has it: every action must find something to say, and what they say together is compared with the entries. */
function holds(match: RequestMatch, asked: Asked): boolean {
  const { actions, entries } = limitConditions('l', match);
  const said = actions.map((action) => say(action, asked));
  return said.every((text, index) => text === `${entries[index]?.key}=${entries[index]?.value}`) && said.length === entries.length;
}

function say({ actionSpecifier: action }: RateLimit_Action, asked: Asked): string | undefined {
  switch (action?.$case) {
    case 'genericKey':
      return `${action.value.descriptorKey}=${action.value.descriptorValue}`;
    case 'headerValueMatch': {
      const { descriptorKey, descriptorValue, headers = [] } = action.value;
      return headers.every((header) => fits(header, asked)) ? `${descriptorKey}=${descriptorValue}` : undefined;
    }
    case 'queryParameterValueMatch': {
      const { descriptorKey, descriptorValue, expectMatch, queryParameters = [] } = action.value;
      const isSo = queryParameters.every((parameter) => fitsParameter(parameter, asked.path));
      return isSo === expectMatch ? `${descriptorKey}=${descriptorValue}` : undefined;
    }
    case 'extension': {
      const { descriptorKey, exprSpecifier } = Descriptor.decode(action.value.typedConfig?.value ?? new Uint8Array());
      const [, pattern] = /^request\.url_path\.matches\((".*")\)$/.exec(exprSpecifier?.value ?? '') ?? [];
      return `${descriptorKey}=${new RegExp(JSON.parse(pattern ?? '""') as string).test(asked.path.split('?')[0] ?? '')}`;
    }
    default:
      return undefined;
  }
}

function fits({ name, headerMatchSpecifier: by, invertMatch, treatMissingHeaderAsEmpty }: HeaderMatcher, asked: Asked): boolean {
  const pseudo: Readonly<Record<string, string>> = { ':method': asked.method, ':authority': asked.authority, ':path': asked.path };
  const given = pseudo[name ?? ''] ?? asked.headers.find(([other]) => other === name)?.[1];
  if (by?.$case === 'presentMatch') return (given !== undefined) !== invertMatch;
  const value = given ?? (treatMissingHeaderAsEmpty === true ? '' : undefined);
  return value !== undefined && by?.$case === 'stringMatch' && fitsText(by.value, value) !== (invertMatch === true);
}

function fitsParameter({ name, queryParameterMatchSpecifier: by }: QueryParameterMatcher, path: string): boolean {
  const [, query = ''] = /^[^?]*\?(.*)$/.exec(path) ?? [];
  const first = query.split('&').find((part) => part.split('=')[0] === name);
  return first !== undefined && by?.$case === 'stringMatch' && fitsText(by.value, first.slice((name?.length ?? 0) + 1));
}

function fitsText({ matchPattern: by, ignoreCase }: StringMatcher, value: string): boolean {
  if (by?.$case === 'safeRegex') return new RegExp(`^(?:${by.value.regex})$`).test(value);
  const [text, wanted] = ignoreCase === true ? [value.toLowerCase(), String(by?.value).toLowerCase()] : [value, String(by?.value)];
  const kinds = { exact: text === wanted, prefix: text.startsWith(wanted), suffix: text.endsWith(wanted), contains: text.includes(wanted) };
  return kinds[by?.$case as keyof typeof kinds];
}

const name = fc.constantFrom('a', 'b', 'ab', 'a.b', 'a-]', '^x', '\\');
const path = fc.array(fc.constantFrom('a', 'b', 'ab', 'a.b', ''), { maxLength: 3 }).map((segments) => `/${segments.join('/')}`);
const pathMatch: fc.Arbitrary<PathMatch> = fc.oneof(
  fc.record({ kind: fc.constantFrom('prefix', 'exact'), value: path }),
  path.map((value): PathMatch => ({ kind: 'segments', value: value.replace(/\/+$/, '') || '/' })),
  fc.record({ kind: fc.constant('template'), value: fc.constantFrom('/{x}', '/a/{x}', '/a/{rest=**}', '/{x}/b', '/{x}/{y=**}') }),
  fc.record({ kind: fc.constant('regex'), value: fc.constantFrom('/a.*b', '/[ab]/?.*', '.*', '/(a|ab)', '/\\w+\\.b') }),
);
const value = fc.constantFrom('', '1', '12', 'a', 'A', 'x.b', '1x2', 'x%20y');
const field = (of: fc.Arbitrary<string>): fc.Arbitrary<FieldMatch> =>
  fc.oneof(
    fc.record({ name: of }),
    fc.record({ name: of, invert: fc.constant(true) }),
    ...[{}, { invert: true } as const].map((inverted) =>
      fc.record({ name: of, match: text }).map((one): FieldMatch => ({ ...one, ...inverted })),
    ),
  );
const text: fc.Arbitrary<NonNullable<FieldMatch['match']>> = fc.oneof(
  fc.record({ kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'), value: fc.constantFrom('1', '12', 'a', '.b', 'x%20') }),
  fc.record({
    kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'),
    value: fc.constantFrom('A', 'b'),
    ignoreCase: fc.constant(true),
  }),
  fc.constant({ kind: 'exact', value: '' }),
  fc.record({ kind: fc.constant('regex'), value: fc.constantFrom('1.*2', '[ab]+', 'a|b', '.*') }),
);
/** An inverted condition that takes nothing for something else than an empty header is not to be had (docs/guides/envoy.md). */
const isNotMissing = ({ match: of, invert }: FieldMatch): boolean => invert !== true || !['', '.*'].includes(of?.value ?? 'present');
const match: fc.Arbitrary<RequestMatch> = fc.record(
  {
    kind: fc.constant('request'),
    path: pathMatch,
    methods: fc.constantFrom(['GET'], ['POST', 'PUT']),
    headers: fc.array(field(fc.constantFrom('x-a', 'x-b')).filter(isNotMissing), { minLength: 1, maxLength: 2 }),
    query: fc.array(field(name), { minLength: 1, maxLength: 2 }),
    authority: fc.constantFrom({ kind: 'suffix', value: '.Shop' }, { kind: 'regex', value: '[a-b]\\.shop' }),
  },
  { requiredKeys: ['kind', 'path'] },
);
const parameter = fc.oneof(
  fc.tuple(name, value).map(([key, of]) => `${key}=${of}`),
  fc.tuple(name, value).map(([key, of]) => `${key}${of}=1`),
  name,
  fc.constant(''),
);
const request: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom('GET', 'POST'),
  authority: fc.constantFrom('a.shop', 'c.shop', 'x'),
  path: fc.tuple(path, fc.array(parameter, { maxLength: 3 })).map(([of, query]) => (query.length === 0 ? of : `${of}?${query.join('&')}`)),
  headers: fc.uniqueArray(fc.tuple(fc.constantFrom('x-a', 'x-b'), value), { selector: ([key]) => key }),
});

const said = (host: VirtualHost): RateLimit[] => {
  const action = host.routes?.at(-1)?.action;
  return (action?.$case === 'route' ? action.value.rateLimits : undefined) ?? [];
};
const limiter = (of: VirtualHost['typedPerFilterConfig']): LocalRateLimit =>
  LocalRateLimit.decode(of?.['envoy.filters.http.local_ratelimit']?.value ?? new Uint8Array());

function hostOf(over: Partial<Route>): VirtualHost {
  const routes: Route[] = [{ name: 'r', match: ANY_REQUEST, action: forwardTo('c'), ...over }];
  const refused: string[] = [];
  const [resource] = encodeForEnvoy(
    'route',
    { name: 'inbound/default/orders/orders-1', virtualHosts: [{ name: 'v', domains: ['*'], routes }] },
    { trustDomain: 'shop', onRefused: ({ message }) => refused.push(message) },
  );
  assert.deepEqual(refused, []);
  return RouteConfiguration.decode(resource!.any.value).virtualHosts![0]!;
}

describe('a limit for some requests, at Envoy', () => {
  it('holds for those that fit, and no others (property)', () => {
    fc.assert(
      fc.property(match, request, (wanted, asked) => {
        assert.equal(holds(wanted, asked), new CompiledMatch(wanted).fits(new PlainRequest(asked)));
      }),
      { numRuns: 300 },
    );
  });

  it('asks for the first parameter of the name, wherever the path ends', () => {
    const one: RequestMatch = {
      kind: 'request',
      path: { kind: 'regex', value: '/a.*b' },
      query: [{ name: 'q', match: { kind: 'exact', value: '1' } }],
    };
    const at = (of: string): boolean => holds(one, { method: 'GET', authority: 'x', path: of, headers: [] });
    assert.deepEqual(['/ab?q=1', '/axb?x&&q=1&q=2', '/ab?qq=2&q=1'].map(at), [true, true, true]);
    assert.deepEqual(['/ab', '/ab?q=2&q=1', '/a?q=1&b', '/xab?q=1', '/ab?q=11'].map(at), [false, false, false, false, false]);
  });

  const some: RequestMatch = { kind: 'request', path: { kind: 'regex', value: '/x.*' }, methods: ['POST'] };
  const limits: RouteRateLimit[] = [
    { requests: 1, perMs: 1_000, burst: 2, by: { kind: 'identity' }, match: some },
    { requests: 3, perMs: 1_000, burst: 4, by: { kind: 'all' } },
  ];
  const keysOf = ({ descriptors = [] }: LocalRateLimit): string[] =>
    descriptors.map(({ entries = [] }) => entries.map(({ key, value: of }) => `${key}=${of}`).join());
  const expected = ['limit=r#0,path=true,value=', 'limit=r#0,path=true,missing=missing', 'limit=r#1'];

  it('has the buckets of the virtual host where requests go on, and of the route where it answers by itself', () => {
    const forwarding = hostOf({ rateLimits: limits });
    assert.deepEqual(keysOf(limiter(forwarding.typedPerFilterConfig)), expected);
    assert.deepEqual(
      said(forwarding).map(({ actions = [] }) => actions.map(({ actionSpecifier }) => actionSpecifier?.$case)),
      [['headerValueMatch', 'extension', 'requestHeaders'], ['headerValueMatch', 'extension', 'headerValueMatch'], ['genericKey']],
    );
    const action = { kind: 'respond', status: 200, body: '', contentType: '' } as const;
    const answering = hostOf({ action, rateLimits: limits });
    assert.deepEqual(Object.keys(answering.typedPerFilterConfig ?? {}), []);
    const own = limiter(answering.routes?.[0]?.typedPerFilterConfig);
    assert.deepEqual([keysOf(own), own.rateLimits], [expected, said(forwarding)]);
  });

  it('holds for no tunnel, which has no path', () => {
    const tunnel = hostOf({ match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'terminate', cluster: 'c' }, rateLimits: limits });
    assert.deepEqual(keysOf(limiter(tunnel.typedPerFilterConfig)), ['limit=r#0']);
    assert.equal(said(tunnel).length, 1);
  });
});
