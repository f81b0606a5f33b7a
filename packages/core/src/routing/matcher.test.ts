// Which virtual host and which route a request takes, and which configurations are refused.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Route, RouteConfig } from '../model/dataplane.ts';
import { compileRoutes, RouteConfigError } from './matcher.ts';

function route(prefix: string, cluster: string): Route {
  return { prefix, cluster, timeoutMs: 15_000, retry: { attempts: 2, on: ['connect-failure'] } };
}

function config(...hosts: [name: string, domains: string[], routes?: Route[]][]): RouteConfig {
  const virtualHosts = hosts.map(([name, domains, routes]) => ({ name, domains, routes: routes ?? [route('/', name)] }));
  return { name: 'outbound/mesh', virtualHosts };
}

describe('the route matcher', () => {
  const matcher = compileRoutes(
    config(
      ['orders', ['orders', 'orders.mesh.internal', 'orders:8081', 'orders.mesh.internal:8081']],
      ['web', ['web.mesh.internal:80']],
      ['six', ['[fd00::1]', '[fd00::2]:9000']],
    ),
  );
  const cluster = (authority: string, path = '/'): string | undefined => matcher.match(authority, path)?.cluster;

  it('finds a service by every domain, with and without its port', () => {
    for (const authority of ['orders', 'orders:8081', 'orders.mesh.internal', 'orders.mesh.internal:8081']) {
      assert.equal(cluster(authority), 'orders');
    }
  });

  it('compares authorities without regard to case (RFC 9110 §4.2.3)', () => {
    assert.equal(cluster('Orders.Mesh.INTERNAL:8081'), 'orders');
    assert.equal(compileRoutes(config(['x', ['UPPER.example']])).match('upper.EXAMPLE', '/')?.cluster, 'x');
  });

  it('takes a host with port 80 and without port for the same authority', () => {
    assert.equal(cluster('orders:80'), 'orders');
    assert.equal(cluster('web.mesh.internal'), 'web');
    assert.equal(cluster('WEB.mesh.internal:80'), 'web');
    assert.equal(cluster('[fd00::1]:80'), 'six');
  });

  it('does not take another port for the same authority', () => {
    assert.equal(cluster('orders:8082'), undefined);
    assert.equal(cluster('[fd00::2]'), undefined);
    assert.equal(cluster('[fd00::2]:9000'), 'six');
    assert.equal(cluster('orders:8081:80'), undefined);
  });

  it('finds nothing for an unknown, an empty or an odd authority', () => {
    for (const authority of ['', ':', ':80', 'unknown', 'orders.', '__proto__', 'constructor', '*'])
      assert.equal(cluster(authority), undefined);
  });

  it('falls back to "*" after the exact domains', () => {
    const withDefault = compileRoutes(config(['rest', ['*']], ['a', ['a']]));
    assert.equal(withDefault.match('a', '/')?.cluster, 'a');
    assert.equal(withDefault.match('b:1', '/')?.cluster, 'rest');
    assert.equal(compileRoutes(config(['only', ['*']])).match('', '/')?.cluster, 'only');
  });

  it('takes the first route whose prefix fits', () => {
    const paths = compileRoutes(config(['x', ['*'], [route('/v2/', 'v2'), route('/v2', 'v2-bare'), route('/', 'v1')]]));
    assert.equal(paths.match('h', '/v2/things?x=/')?.cluster, 'v2');
    assert.equal(paths.match('h', '/v2')?.cluster, 'v2-bare');
    assert.equal(paths.match('h', '/V2/')?.cluster, 'v1');
    assert.equal(compileRoutes(config(['x', ['*'], [route('/v2/', 'v2')]])).match('h', '/v1'), undefined);
  });

  it('sends "OPTIONS *" along the route of "/" (RFC 9112 §3.2.4)', () => {
    assert.equal(cluster('orders', '*'), 'orders');
    assert.equal(compileRoutes(config(['x', ['*'], [route('/v2', 'v2')]])).match('h', '*'), undefined);
  });

  it('keeps CONNECT and other requests apart', () => {
    const tunnel: Route = { ...route('', 'tunnel'), connect: 'forward' };
    const both = compileRoutes(config(['auto', ['auto:5000', 'auto'], [tunnel, route('/', 'auto')]], ['web', ['web:80']]));
    assert.equal(both.matchConnect('auto:5000')?.cluster, 'tunnel');
    assert.equal(both.matchConnect('AUTO:5000'), both.matchConnect('auto:5000'));
    assert.equal(both.match('auto:5000', '/')?.cluster, 'auto');
    assert.equal(both.match('auto', '')?.cluster, undefined);
    assert.equal(both.matchConnect('web:80'), undefined);
    const onlyTunnel = compileRoutes(config(['cache', ['*'], [tunnel]]));
    assert.equal(onlyTunnel.match('cache', '/'), undefined);
    assert.equal(onlyTunnel.match('cache', '*'), undefined);
  });

  it('takes CONNECT only to a listed port, of which none is the usual one, or by "*"', () => {
    const tunnel: Route = { ...route('', 'tunnel'), connect: 'terminate' };
    const exact = compileRoutes(config(['a', ['a', 'a:1', 'b', '[fd00::1]:2'], [tunnel]]));
    for (const authority of ['a:1', '[FD00::1]:2']) assert.equal(exact.matchConnect(authority), tunnel, authority);
    for (const authority of ['a', 'a:2', 'a:80', 'b:80', 'b', '', ':1', '[fd00::1]', '__proto__'])
      assert.equal(exact.matchConnect(authority), undefined, authority);
    const any = compileRoutes(config(['rest', ['*'], [tunnel]], ['web', ['web:80', 'bare']]));
    for (const authority of ['a:1', 'bare:80', 'bare:1']) assert.equal(any.matchConnect(authority), tunnel, authority);
    assert.equal(any.matchConnect('web:80'), undefined, 'the virtual host of that authority has no tunnel');
    assert.equal(compileRoutes(config(['rest', ['*'], [tunnel]])).matchConnect('a:1'), tunnel);
  });

  it('hands out the same frozen object each time', () => {
    const first = matcher.match('orders', '/') as Route;
    assert.equal(matcher.match('ORDERS:8081', '/x'), first);
    assert.ok(Object.isFrozen(first) && Object.isFrozen(first.retry) && Object.isFrozen(first.retry.on));
    assert.equal(matcher.virtualHost('orders')?.routes[0], first);
  });

  it('refuses a domain that is used twice and says where', () => {
    const refused = (input: RouteConfig, message: RegExp): void =>
      assert.throws(
        () => compileRoutes(input),
        (error) => error instanceof RouteConfigError && message.test(error.message),
      );
    refused(config(['a', ['x']], ['b', ['X']]), /virtual host "b": domain "X" is listed here and already in virtual host "a"/);
    refused(config(['a', ['x', 'x']]), /virtual host "a": domain "x" is listed here twice/);
    refused(config(['a', ['*']], ['b', ['*']]), /domain "\*"/);
    refused(config(['a', ['x']], ['b', ['x:80']]), /domain "x/);
  });

  it('accepts a service on port 80 that is listed with and without its port', () => {
    assert.equal(compileRoutes(config(['a', ['x', 'x:80']])).match('x:80', '/')?.cluster, 'a');
  });

  it('refuses domains and prefixes that are none', () => {
    for (const domain of ['', 'a b', '*.example', 'http://x', 'x:', 'x:123456', 'fd00::1', 'a/b']) {
      assert.throws(() => compileRoutes(config(['a', [domain]])), /is not an authority/, domain);
    }
    for (const prefix of ['', 'v2', '/a?b', '/a#b']) {
      assert.throws(() => compileRoutes(config(['a', ['*'], [route(prefix, 'c')]])), /is not a path/, prefix);
    }
  });

  it('refuses routes that are for nothing', () => {
    const refused = (routes: Route[], message: RegExp): void =>
      assert.throws(
        () => compileRoutes(config(['a', ['*'], routes])),
        (error) => error instanceof RouteConfigError && message.test(error.message),
      );
    const connect = (prefix: string, kind = 'forward'): Route => ({ ...route(prefix, 'c'), connect: kind as 'forward' });
    refused([connect('/')], /virtual host "a": prefix "\/" in a route for CONNECT, which has no path/);
    refused([connect('', 'tunnel')], /connect "tunnel" is not known; forward and terminate are/);
    refused([connect(''), connect('', 'terminate')], /a second route for CONNECT; no request would ever take it/);
    refused([route('/a', 'x'), route('/', 'y'), route('/a', 'z')], /a second route for prefix "\/a"/);
    refused([route('', 'x')], /is not a path/);
  });

  it('finds exactly the host whose domain equals the authority in lower case, port 80 left out (property)', () => {
    const name = fc.constantFrom('a', 'b', 'A', 'c.d', 'C.D');
    const authority = fc.tuple(name, fc.constantFrom('', ':80', ':81')).map(([host, port]) => host + port);
    const canonical = (text: string): string => text.toLowerCase().replace(/:80$/, '');
    fc.assert(
      fc.property(fc.uniqueArray(authority, { selector: canonical }), authority, (domains, asked) => {
        const compiled = compileRoutes(config(...domains.map((domain): [string, string[]] => [domain, [domain]])));
        const expected = domains.find((domain) => canonical(domain) === canonical(asked));
        assert.equal(compiled.match(asked, '/')?.cluster, expected);
      }),
    );
  });
});
