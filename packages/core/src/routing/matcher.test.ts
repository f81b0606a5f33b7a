// Which virtual host and which route a request takes, and which configurations are refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RouteConfig } from '../model/dataplane.ts';
import { forwardTo } from '../model/defaults.ts';
import type { FieldMatch, ForwardAction, RequestMatch, Route, RouteAction, TextMatch } from '../model/route.ts';
import { RouteConfigError } from './error.ts';
import { compileRoutes } from './matcher.ts';
import type { RouteMatcher } from './matcher.ts';
import type { PlainRequestParts } from './request.ts';
import { config, matching, request, route, tunnel } from './test-support.ts';

function refused(input: RouteConfig, message: RegExp): void {
  assert.throws(
    () => compileRoutes(input),
    (error) => error instanceof RouteConfigError && message.test(error.message),
    message.source,
  );
}

function taken(matcher: RouteMatcher, authority: string, path = '/'): string | undefined {
  return matcher.match(request({ authority, path }))?.name;
}

describe('the virtual host', () => {
  const matcher = compileRoutes(
    config(
      ['orders', ['orders', 'orders.mesh.internal', 'orders:8081', 'orders.mesh.internal:8081']],
      ['web', ['web.mesh.internal:80']],
      ['six', ['[fd00::1]', '[fd00::2]:9000']],
    ),
  );

  it('is found by every domain, with and without its port', () => {
    for (const authority of ['orders', 'orders:8081', 'orders.mesh.internal', 'orders.mesh.internal:8081']) {
      assert.equal(taken(matcher, authority), 'orders');
    }
  });

  it('is found without regard to case (RFC 9110 §4.2.3)', () => {
    assert.equal(taken(matcher, 'Orders.Mesh.INTERNAL:8081'), 'orders');
    assert.equal(taken(compileRoutes(config(['x', ['UPPER.example']])), 'upper.EXAMPLE'), 'x');
  });

  it('is the same with port 80 and without a port', () => {
    assert.equal(taken(matcher, 'orders:80'), 'orders');
    assert.equal(taken(matcher, 'web.mesh.internal'), 'web');
    assert.equal(taken(matcher, 'WEB.mesh.internal:80'), 'web');
    assert.equal(taken(matcher, '[fd00::1]:80'), 'six');
  });

  it('is not found by another port', () => {
    assert.equal(taken(matcher, 'orders:8082'), undefined);
    assert.equal(taken(matcher, '[fd00::2]'), undefined);
    assert.equal(taken(matcher, '[fd00::2]:9000'), 'six');
    assert.equal(taken(matcher, 'orders:8081:80'), undefined);
  });

  it('is not there for an unknown, an empty or an odd authority', () => {
    for (const authority of ['', ':', ':80', 'unknown', 'orders.', '__proto__', 'constructor', '*'])
      assert.equal(taken(matcher, authority), undefined);
  });

  it('is that of "*" after the exact domains', () => {
    const withDefault = compileRoutes(config(['rest', ['*']], ['a', ['a']]));
    assert.equal(taken(withDefault, 'a'), 'a');
    assert.equal(taken(withDefault, 'b:1'), 'rest');
    assert.equal(taken(compileRoutes(config(['only', ['*']])), ''), 'only');
  });

  it('is that of the longest domain that the name lies below', () => {
    const below = compileRoutes(
      config(['rest', ['*']], ['com', ['*.example.com', '*.example.com:443']], ['eu', ['*.EU.example.com']], ['api', ['api.example.com']]),
    );
    assert.equal(taken(below, 'api.example.com'), 'api');
    assert.equal(taken(below, 'www.example.com:80'), 'com');
    assert.equal(taken(below, 'WWW.a.b.Example.com:443'), 'com');
    assert.equal(taken(below, 'a.b.eu.example.com'), 'eu');
    assert.equal(taken(below, 'eu.example.com'), 'com');
    for (const authority of ['example.com', '.example.com', 'badexample.com', 'www.example.com:8443', `${'a'.repeat(300)}.example.com`])
      assert.equal(taken(below, authority), 'rest', authority);
  });

  it('may be listed on port 80 with and without the port', () => {
    assert.equal(taken(compileRoutes(config(['a', ['x', 'x:80']])), 'x:80'), 'a');
  });

  it('is refused with a domain that another one has, or that is none', () => {
    refused(config(['a', ['x']], ['b', ['X']]), /virtual host "b": domain "X" is listed here and already in virtual host "a"/);
    refused(config(['a', ['x', 'x']]), /virtual host "a": domain "x" is listed here twice/);
    refused(config(['a', ['*']], ['b', ['*']]), /domain "\*"/);
    refused(config(['a', ['*.x']], ['b', ['*.x:80']]), /domain "\*\.x/);
    refused(config(['a', ['x']], ['b', ['x:80']]), /domain "x/);
    for (const domain of ['', 'a b', 'a.*', '*example', '*.', '*:80', 'http://x', 'x:', 'x:123456', 'fd00::1', 'a/b'])
      refused(config(['a', [domain]]), /is not an authority/);
  });
});

describe('CONNECT', () => {
  it('and other requests are kept apart', () => {
    const both = compileRoutes(config(['auto', ['auto:5000', 'auto'], [tunnel('bytes'), route('/', 'auto')]], ['web', ['web:80']]));
    assert.equal(both.matchConnect('auto:5000')?.name, 'bytes');
    assert.equal(both.matchConnect('AUTO:5000'), both.matchConnect('auto:5000'));
    assert.equal(taken(both, 'auto:5000'), 'auto');
    assert.equal(taken(both, 'auto', ''), undefined);
    assert.equal(both.matchConnect('web:80'), undefined);
    const onlyTunnel = compileRoutes(config(['cache', ['*'], [tunnel('bytes')]]));
    assert.equal(taken(onlyTunnel, 'cache'), undefined);
    assert.equal(taken(onlyTunnel, 'cache', '*'), undefined);
  });

  it('goes only to a listed port, of which none is the usual one, or by "*"', () => {
    const exact = compileRoutes(config(['a', ['a', 'a:1', 'b', '[fd00::1]:2', '*.c:443', '*.d'], [tunnel('t', 'terminate')]]));
    for (const authority of ['a:1', '[FD00::1]:2', 'x.C:443']) assert.equal(exact.matchConnect(authority)?.name, 't', authority);
    for (const authority of [
      'a',
      'a:2',
      'a:80',
      'b:80',
      'b',
      '',
      ':1',
      '[fd00::1]',
      '__proto__',
      'x.c:80',
      'x.c',
      'c:443',
      'x.d:80',
      'x.d',
    ])
      assert.equal(exact.matchConnect(authority), undefined, authority);
    const any = compileRoutes(config(['rest', ['*'], [tunnel('t')]], ['web', ['web:80', 'bare']]));
    for (const authority of ['a:1', 'bare:80', 'bare:1']) assert.equal(any.matchConnect(authority)?.name, 't', authority);
    assert.equal(any.matchConnect('web:80'), undefined, 'the virtual host of that authority has no tunnel');
    assert.equal(compileRoutes(config(['rest', ['*'], [tunnel('t')]])).matchConnect('a:1')?.name, 't');
  });
});

describe('the first route that fits', () => {
  /** Whether a single route takes the request. */
  function takes(match: RequestMatch, parts: Partial<PlainRequestParts>): boolean {
    return compileRoutes(config(['x', ['*'], [route(match, 'r')]])).match(request(parts)) !== undefined;
  }

  function assertTakes(match: RequestMatch, yes: readonly string[], no: readonly string[]): void {
    for (const path of yes) assert.ok(takes(match, { path }), `takes ${path}`);
    for (const path of no) assert.ok(!takes(match, { path }), `does not take ${path}`);
  }

  it('is that of the first prefix', () => {
    const paths = compileRoutes(config(['x', ['*'], [route('/v2/', 'v2'), route('/v2', 'v2-bare'), route('/', 'v1')]]));
    assert.equal(taken(paths, 'h', '/v2/things?x=/'), 'v2');
    assert.equal(taken(paths, 'h', '/v2'), 'v2-bare');
    assert.equal(taken(paths, 'h', '/V2/'), 'v1');
    assert.equal(taken(compileRoutes(config(['x', ['*'], [route('/v2/', 'v2')]])), 'h', '/v1'), undefined);
  });

  it('takes "OPTIONS *" as "/" and what takes every path (RFC 9112 §3.2.4)', () => {
    for (const path of ['/', { kind: 'segments', value: '/' } as const, { kind: 'regex', value: '.*' } as const])
      assert.ok(takes(matching(path), { method: 'OPTIONS', path: '*' }));
    for (const path of ['/v2', { kind: 'exact', value: '/' } as const, { kind: 'template', value: '/{a=**}' } as const])
      assert.ok(!takes(matching(path), { method: 'OPTIONS', path: '*' }));
    assert.ok(takes(matching('/', { methods: ['OPTIONS'] }), { method: 'OPTIONS', path: '*' }));
  });

  it('compares an exact path without the query', () => {
    assertTakes(matching({ kind: 'exact', value: '/a' }), ['/a', '/a?', '/a?b=/'], ['/', '/a/', '/ab', '/A', '/a%20']);
  });

  it('takes whole segments', () => {
    assertTakes(matching({ kind: 'segments', value: '/a' }), ['/a', '/a?b', '/a/', '/a/b/c?d'], ['/', '/ab', '/b/a']);
    assertTakes(matching({ kind: 'segments', value: '/' }), ['/', '/a', '/?b'], []);
  });

  it('takes templates: one segment that is not empty, and the rest', () => {
    const one = matching({ kind: 'template', value: '/orders/{id}/items' });
    assertTakes(
      one,
      ['/orders/1/items', '/orders/a%2Fb/items?x'],
      ['/orders//items', '/orders/1/2/items', '/orders/1/items/', '/orders/1', '/orders?/1/items'],
    );
    assertTakes(matching({ kind: 'template', value: '/f/{path=**}' }), ['/f/', '/f/a', '/f/a/b?c'], ['/f', '/fa', '/f?/']);
    assertTakes(matching({ kind: 'template', value: '/{a}/{b}' }), ['/1/2'], ['/1', '/1/', '//1', '/1/2/3']);
    assertTakes(matching({ kind: 'template', value: '/{a}/' }), ['/1/'], ['/1', '/1/2']);
  });

  it('matches a regular expression with the whole path, without the query', () => {
    assertTakes(matching({ kind: 'regex', value: '/v[12]/.*|/old' }), ['/v1/', '/v2/x?y', '/old?/'], ['/v3/', '/x/v1/', '/older', '/v1?/']);
  });

  it('takes any of the methods, in the case they are written', () => {
    const match = matching('/', { methods: ['GET', 'PATCH'] });
    for (const method of ['GET', 'PATCH']) assert.ok(takes(match, { method }));
    for (const method of ['POST', 'get', '']) assert.ok(!takes(match, { method }));
  });

  it('compares headers in every way', () => {
    const fits = (match: TextMatch | undefined, value: string | undefined, invert = false): boolean => {
      const field: FieldMatch = { name: 'X-Beta', ...(match === undefined ? {} : { match }), ...(invert ? { invert: true } : {}) };
      return takes(matching('/', { headers: [field] }), { headers: value === undefined ? [] : [['x-bETA', value]] });
    };
    const cases: [TextMatch, yes: string[], no: string[]][] = [
      [{ kind: 'exact', value: 'One' }, ['One'], ['one', 'One,', '']],
      [{ kind: 'exact', value: '' }, [''], ['x']],
      [{ kind: 'exact', value: 'One', ignoreCase: true }, ['oNE'], ['two']],
      [{ kind: 'prefix', value: 'On' }, ['On', 'One'], ['on', 'xOn']],
      [{ kind: 'prefix', value: 'On', ignoreCase: true }, ['ONE'], ['x']],
      [{ kind: 'suffix', value: 'ne' }, ['one'], ['ONE']],
      [{ kind: 'contains', value: 'n' }, ['one'], ['two']],
      [{ kind: 'contains', value: 'N', ignoreCase: true }, ['one', 'ONE'], ['two']],
      [{ kind: 'regex', value: '.*curl.*' }, ['curl/8', 'x curl'], ['Curl', '']],
      [{ kind: 'regex', value: 'a|b' }, ['a', 'b'], ['ab', 'xa']],
    ];
    for (const [match, yes, no] of cases) {
      for (const value of yes) assert.ok(fits(match, value) && !fits(match, value, true), `${JSON.stringify(match)} takes "${value}"`);
      for (const value of no)
        assert.ok(!fits(match, value) && fits(match, value, true), `${JSON.stringify(match)} does not take "${value}"`);
      assert.ok(!fits(match, undefined) && fits(match, undefined, true), 'a missing header fits only what is inverted');
    }
    assert.ok(fits(undefined, '') && !fits(undefined, undefined));
    assert.ok(!fits(undefined, '', true) && fits(undefined, undefined, true));
  });

  it('looks at each line of a header by itself, so that nobody gets past a rule by a line of his own', () => {
    const is = (value: string, invert = false): RequestMatch =>
      matching('/', { headers: [{ name: 'X-A', match: { kind: 'exact', value }, ...(invert && { invert }) }] });
    const lines = (...values: string[]): Partial<PlainRequestParts> => ({ headers: values.map((value) => ['x-a', value] as const) });
    for (const values of [['1'], ['1', '2'], ['2', '1'], ['', '2', '1']]) {
      assert.ok(takes(is('1'), lines(...values)), values.join());
      assert.ok(!takes(is('1', true), lines(...values)), values.join());
    }
    assert.ok(!takes(is('1,2'), lines('1', '2')) && takes(is('1,2'), lines('1,2')));
    assert.ok(!takes(is('1'), lines('1,2')) && takes(is('1', true), lines('1,2')));
    const cookie = matching('/', { headers: [{ name: 'cookie', match: { kind: 'exact', value: 'a=1; b=2' } }] });
    assert.ok(
      takes(cookie, {
        headers: [
          ['cookie', 'a=1'],
          ['cookie', 'b=2'],
        ],
      }),
    );
  });

  it('compares query parameters as they are sent, the first of several', () => {
    const match = matching('/', { query: [{ name: 'q', match: { kind: 'exact', value: 'a%20b' } }] });
    assertTakes(
      match,
      ['/?q=a%20b', '/x?p=1&q=a%20b&q=2', '/?&&q=a%20b'],
      ['/', '/?q=a+b', '/?q=a b', '/?q=1&q=a%20b', '/?Q=a%20b', '/?qq=a%20b', '/q=a%20b'],
    );
    assertTakes(matching('/', { query: [{ name: 'q' }] }), ['/?q', '/?q=', '/?a&q&b', '/?a=?&q=1'], ['/', '/?', '/?a=q', '/?aq=1', '/?qa']);
    assertTakes(matching('/', { query: [{ name: 'q', invert: true }] }), ['/', '/?a'], ['/?q', '/?q=1']);
  });

  it('compares the authority in lower case', () => {
    const match = matching('/', { authority: { kind: 'suffix', value: '.Example.com' } });
    assert.ok(takes(match, { authority: 'a.EXAMPLE.com' }));
    assert.ok(!takes(match, { authority: 'a.example.com:8080' }));
    assert.ok(takes(matching('/', { authority: { kind: 'regex', value: '[a-z.]+:80(80)?' } }), { authority: 'A.b:8080' }));
  });

  it('needs all conditions', () => {
    const match = matching('/a', {
      methods: ['GET'],
      headers: [{ name: 'x' }, { name: 'y' }],
      query: [{ name: 'q' }],
      authority: { kind: 'exact', value: 'h' },
    });
    const whole: PlainRequestParts = {
      path: '/a?q',
      method: 'GET',
      authority: 'h',
      headers: [
        ['x', ''],
        ['y', ''],
      ],
    };
    assert.ok(takes(match, whole));
    for (const less of [
      { path: '/b?q' },
      { path: '/a' },
      { method: 'PUT' },
      { authority: 'i' },
      { headers: whole.headers?.slice(1) ?? [] },
    ])
      assert.ok(!takes(match, { ...whole, ...less }), JSON.stringify(less));
  });

  it('is handed out as the same frozen object each time', () => {
    const matcher = compileRoutes(config(['orders', ['*'], [route('/', 'orders')]]));
    const first = matcher.match(request()) as Route;
    assert.equal(matcher.match(request({ path: '/x' })), first);
    const { clusters } = first.action as ForwardAction;
    for (const part of [first, first.match, first.action, clusters, clusters[0]]) assert.ok(Object.isFrozen(part));
    assert.equal(matcher.virtualHost('h')?.routes[0], first);
  });
});

describe('a route configuration is refused', () => {
  const one = (only: Route): RouteConfig => config(['a', ['*'], [only]]);
  const withMatch = (match: RequestMatch): RouteConfig => one(route(match, 'r'));
  const withAction = (action: RouteAction): RouteConfig => one({ ...route('/', 'r'), action });
  const withForward = (more: Partial<ForwardAction>): RouteConfig => withAction({ ...forwardTo('c'), ...more });

  it('for paths, templates and regular expressions that are none', () => {
    for (const value of ['', 'v2', '/a?b', '/a#b', '/ä', '/a b'])
      refused(withMatch(matching(value)), /route configuration "outbound\/mesh", virtual host "a", route "r": prefix ".*" is not a path/);
    refused(withMatch(matching({ kind: 'segments', value: '/a/' })), /write "\/a"/);
    for (const value of ['/a', '/{a}{b}', '/{a=**}/b', '/{a}/{a}', '/x{a}', '/{}', '/{1}', '/*', '/**', '/{a=*}'])
      refused(withMatch(matching({ kind: 'template', value })), /template "/);
    refused(withMatch(matching({ kind: 'regex', value: '(' })), /regular expression "\(" cannot be used/);
  });

  it('for routes that no request could take', () => {
    refused(config(['a', ['*'], [tunnel('x'), tunnel('y', 'terminate')]]), /route "y": it matches the same as route "x"/);
    refused(config(['a', ['*'], [route('/a', 'x'), route('/', 'y'), route('/a', 'z')]]), /route "z": it matches the same as route "x"/);
    refused(withMatch(matching('/', { methods: [] })), /list of methods is empty/);
    refused(withMatch(matching('/', { methods: ['CONNECT'] })), /CONNECT has no path/);
    refused(withMatch(matching('/', { headers: [{ name: 'a' }, { name: 'A', invert: true }] })), /"a" must be present and absent/);
  });

  it("for names that are none, or another route's", () => {
    refused(config(['a', ['*'], [route('/a', 'x'), route('/b', 'x')]]), /name is that of an earlier route/);
    refused(one(route('/', '')), /no name/);
    refused(withMatch(matching('/', { methods: ['GE T'] })), /not a method/);
    refused(withMatch(matching('/', { headers: [{ name: ':path' }] })), /match the path, methods or authority/);
    refused(withMatch(matching('/', { headers: [{ name: 'Host' }] })), /is the authority/);
    refused(withMatch(matching('/', { headers: [{ name: 'a b' }] })), /not the name of a header/);
    refused(withMatch(matching('/', { query: [{ name: 'a b' }] })), /not the name of a query parameter/);
    refused(withMatch(matching('/', { headers: [{ name: 'a', match: { kind: 'prefix', value: '' } }] })), /would take every text/);
    refused(withMatch(matching('/', { headers: [{ name: 'a', match: { kind: 'exact', value: 'ü' } }] })), /not ASCII/);
  });

  it('for actions that do not belong to the match', () => {
    refused(one({ ...tunnel('x'), action: forwardTo('x') }), /use "tunnel", which alone carries bytes/);
    refused(withAction({ kind: 'tunnel', how: 'forward', cluster: 'c' }), /"tunnel" is for CONNECT/);
    refused(one(tunnel('x', 'sideways' as 'forward')), /tunnel "sideways" is not known; write forward or terminate/);
    refused(withForward({ rewrite: { path: { kind: 'full', value: 'x' } } }), /is not a path/);
  });

  it('for clusters, weights, percentages and times that make no sense', () => {
    refused(withForward({ clusters: [] }), /no cluster/);
    refused(
      withForward({
        clusters: [
          { cluster: 'a', weight: 0 },
          { cluster: 'b', weight: 0 },
        ],
      }),
      /weights of all clusters are 0/,
    );
    for (const weight of [-1, 0.5, 1_000_001, Number.NaN])
      refused(withForward({ clusters: [{ cluster: 'a', weight }] }), /is not a whole number/);
    refused(withForward({ timeoutMs: -1 }), /timeout/);
    refused(withForward({ idleTimeoutMs: Number.NaN }), /idle timeout/);
    refused(withForward({ mirrors: [{ cluster: 'm', percent: 101 }] }), /101 percent/);
    refused(
      withForward({
        splitByHash: true,
        clusters: [
          { cluster: 'a', weight: 1 },
          { cluster: 'b', weight: 1 },
        ],
      }),
      /nothing says what is hashed/,
    );
    refused(withForward({ hash: [{ kind: 'cookie', name: 'a b' }] }), /name of a cookie/);
    refused(withForward({ rewrite: { authority: 'http://x' } }), /not a host/);
    refused(one({ ...route('/', 'r'), fault: { delay: { percent: -1, delayMs: 1 } } }), /delay has -1 percent/);
    refused(
      one({ ...route('/', 'r'), fault: { abort: { percent: 1, status: { kind: 'grpc', code: 17 } } } }),
      /gRPC status of the abort is 17/,
    );
    refused(one({ ...route('/', 'r'), fault: { abort: { percent: 1, status: { kind: 'http', code: 99 } } } }), /status of the abort is 99/);
    for (const limit of [{ requests: 0 }, { perMs: 0 }, { burst: 0 }, { requests: Infinity }])
      refused(
        one({ ...route('/', 'r'), rateLimits: [{ requests: 1, perMs: 1_000, burst: 1, by: { kind: 'all' }, ...limit }] }),
        /a rate limit/,
      );
  });

  it('for answers and redirects that are none', () => {
    refused(withAction({ kind: 'redirect', status: 304 as 302, authority: 'x' }), /304 does not redirect/);
    refused(withAction({ kind: 'redirect', status: 302 }), /leads to where the request came from/);
    refused(withAction({ kind: 'respond', status: 100, body: '', contentType: '' }), /status of the answer is 100/);
    refused(withAction({ kind: 'respond', status: 204, body: 'x', contentType: '' }), /has no body/);
    refused(withAction({ kind: 'respond', status: 200, body: 'ü'.repeat(2_049), contentType: '' }), /4098 bytes/);
    refused(withAction({ kind: 'respond', status: 200, body: '', contentType: 'a\r\nb' }), /not a content type/);
  });

  it('for header changes that may not be', () => {
    const changes = { set: {}, add: {}, remove: ['Host'] };
    refused(one({ ...route('/', 'r'), requestHeaders: changes }), /"Host" is the authority/);
    refused(one({ ...route('/', 'r'), responseHeaders: changes }), /"Host" is the authority/);
    refused(withForward({ clusters: [{ cluster: 'a', weight: 1, requestHeaders: changes }] }), /"Host" is the authority/);
  });
});
