// New paths and where redirects lead to.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { PathMatch, PathRewrite, RedirectAction } from '../model/route.ts';
import { RouteFault } from './error.ts';
import { compileRewrite, Redirect } from './rewrite.ts';
import { matching, request } from './test-support.ts';

function rewritten(rewrite: PathRewrite, match: PathMatch | string, path: string): string | undefined {
  return compileRewrite(rewrite, matching(match)).rewrite(path);
}

const prefix = (value: string): PathRewrite => ({ kind: 'prefix', value });
const full = (value: string): PathRewrite => ({ kind: 'full', value });
const template = (value: string): PathMatch => ({ kind: 'template', value });

describe('a path rewrite', () => {
  it('replaces the prefix and keeps what follows, the query too', () => {
    assert.equal(rewritten(prefix('/new'), '/old', '/old/a?b=/old'), '/new/a?b=/old');
    assert.equal(rewritten(prefix('/new'), '/old', '/older'), '/newer');
    assert.equal(rewritten(prefix('/new'), '/old', '/old?x'), '/new?x');
    assert.equal(rewritten(prefix('/new'), { kind: 'segments', value: '/old' }, '/old/'), '/new/');
    assert.equal(rewritten(prefix('/new/'), { kind: 'exact', value: '/old' }, '/old?x'), '/new/?x');
  });

  it('leaves one slash where the parts meet', () => {
    assert.equal(rewritten(prefix('/'), '/old', '/old/a'), '/a');
    assert.equal(rewritten(prefix('/'), '/old', '/old'), '/');
    assert.equal(rewritten(prefix('/'), '/old', '/old?x'), '/?x');
    assert.equal(rewritten(prefix('/'), '/old/', '/old/a'), '/a');
    assert.equal(rewritten(prefix('/new'), '/', '/a'), '/new/a');
    assert.equal(rewritten(prefix('/new'), '/old/', '/old/a'), '/new/a');
    assert.equal(rewritten(prefix('/new/'), '/old/', '/old/a'), '/new/a');
    assert.equal(rewritten(prefix('/new/'), '/', '/'), '/new/');
  });

  it('gives a path without a doubled or missing slash for any two prefixes (property)', () => {
    const part = fc
      .array(fc.constantFrom('a', 'b'), { maxLength: 2 })
      .chain((names) => fc.constantFrom(`/${names.join('/')}`, `/${names.join('/')}/`.replace('//', '/')));
    fc.assert(
      fc.property(part, part, fc.constantFrom('', 'x', 'x/y'), (from, to, rest) => {
        const path = rest === '' ? from : `${from.replace(/\/$/, '')}/${rest}`;
        const result = rewritten(prefix(to), from, path) as string;
        assert.match(result, /^\/(?!\/)/);
        assert.doesNotMatch(result, /\/\//);
        assert.ok(result.endsWith(rest));
      }),
    );
  });

  it('replaces the whole path', () => {
    assert.equal(rewritten(full('/x'), '/', '/a/b?c=/'), '/x?c=/');
    assert.equal(rewritten(full('/x'), { kind: 'regex', value: '.*' }, '/a'), '/x');
  });

  it('puts what a template took where the new path names it', () => {
    const orders = template('/orders/{id}/items/{rest=**}');
    assert.equal(rewritten(full('/v2/{rest}/of/{id}'), orders, '/orders/7%2F/items/a/b?c'), '/v2/a/b/of/7%2F?c');
    assert.equal(rewritten(full('/{rest}{rest}'), orders, '/orders/7/items/'), '/');
    assert.equal(rewritten(full('/plain'), orders, '/orders/7/items/'), '/plain');
    assert.equal(rewritten(full(`/${'{a}'.repeat(20)}`), template('/{a}'), `/${'x'.repeat(10_000)}`), undefined);
  });

  it('replaces by a regular expression, outside the query', () => {
    const swap: PathRewrite = { kind: 'regex', pattern: '^/([a-z]+)/(\\d+)', substitution: '/\\2/\\1' };
    assert.equal(rewritten(swap, '/', '/orders/7/x?/orders/7'), '/7/orders/x?/orders/7');
    assert.equal(rewritten({ kind: 'regex', pattern: '^/a', substitution: '' }, '/', '/ab'), '/b');
    assert.equal(rewritten({ kind: 'regex', pattern: '.', substitution: 'x'.repeat(200) }, '/', `/${'a'.repeat(1_000)}`), undefined);
  });

  it('leaves the "*" of OPTIONS alone', () => {
    for (const rewrite of [prefix('/x'), full('/x'), { kind: 'regex', pattern: '.*', substitution: '/x' } as const])
      assert.equal(rewritten(rewrite, '/', '*'), '*');
  });

  it('is refused where it could not be made', () => {
    const refused = (rewrite: PathRewrite, match: PathMatch | string, message: RegExp): void =>
      assert.throws(
        () => compileRewrite(rewrite, matching(match)),
        (error) => error instanceof RouteFault && message.test(error.message),
      );
    refused(prefix('x'), '/', /is not a path/);
    refused(prefix('/x'), { kind: 'regex', value: '.*' }, /by a regular expression/);
    refused(prefix('/x'), template('/{a}'), /variables as in/);
    refused(full('/a?b'), '/', /is not a path/);
    refused(full('/a\r\nb'), '/', /is not a path/);
    refused(full('/{a}'), '/', /only a match by template has variables/);
    refused(full('/{b}'), template('/{a}'), /the template has a/);
    refused(full('/{b'), template('/{a}'), /a brace without its other half/);
    refused({ kind: 'regex', pattern: '(', substitution: '' }, '/', /cannot be used/);
    refused({ kind: 'regex', pattern: 'a', substitution: 'b\r\n' }, '/', /cannot stand in a path/);
    refused({ kind: 'regex', pattern: 'a', substitution: '?b' }, '/', /cannot stand in a path/);
    assert.throws(() => compileRewrite(full('/x'), { kind: 'connect' }), RouteFault);
  });
});

describe('a redirect', () => {
  function location(
    action: Partial<RedirectAction>,
    authority: string,
    path: string,
    scheme: 'http' | 'https' = 'http',
  ): string | undefined {
    return new Redirect({ kind: 'redirect', status: 302, ...action }, matching('/a')).location(request({ authority, path }), scheme);
  }

  it('changes what it says and keeps the rest', () => {
    assert.equal(location({ authority: 'new.test' }, 'old:81', '/a/b?c'), 'http://new.test/a/b?c');
    assert.equal(location({ path: full('/x') }, 'old:81', '/a/b?c'), 'http://old:81/x?c');
    assert.equal(location({ path: prefix('/x'), stripQuery: true }, 'old', '/a/b?c'), 'http://old/x/b');
    assert.equal(location({ scheme: 'https' }, 'old', '/a', 'http'), 'https://old/a');
    assert.equal(location({ authority: 'new' }, 'old', '*', 'https'), 'https://new/');
  });

  it('does not take the usual port of one scheme into the other', () => {
    assert.equal(location({ scheme: 'https' }, 'old:80', '/a'), 'https://old/a');
    assert.equal(location({ scheme: 'https' }, 'old:8080', '/a'), 'https://old:8080/a');
    assert.equal(location({ scheme: 'http' }, 'old:443', '/a', 'https'), 'http://old/a');
    assert.equal(location({ scheme: 'https', stripQuery: true }, 'old:80', '/a', 'https'), 'https://old:80/a');
  });

  it('is refused when it changes nothing or leads nowhere', () => {
    assert.throws(() => location({}, 'a', '/'), /leads to where the request came from/);
    for (const authority of ['', 'http://x', 'a/b', 'x:99999', 'a\r\nb', 'a b'])
      assert.throws(() => location({ authority }, 'a', '/'), /is not a host/);
  });
});
