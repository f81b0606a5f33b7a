import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANY_REQUEST } from '@heddle/core';
import type { RequestMatch } from '@heddle/core';
import { compileRequestRoutes } from '../compiler/request-routes.ts';
import { service } from '../testing/mesh.ts';
import { FULL_SERVICE } from '../testing/policies.ts';
import { actionText, matchText } from './route-text.ts';

test('routes are told in one line each', () => {
  const routes = compileRequestRoutes(FULL_SERVICE, ({ name }) => service(name));
  assert.deepEqual(
    routes.map((route) => [route.name, matchText(route.match), actionText(route)]),
    [
      [
        'beta',
        'GET|POST /v2/** authority$=.mesh.internal x-beta=1 !x-old ?debug',
        'orders{tier=gold,version=v2} 10 %, stock 90 %; mirror stock{version=v3} 0.5 %; fault delay 10 %, abort 1 %',
      ],
      ['beta (2)', '/beta/{id}/{rest=**}', actionText(routes[0]!)],
      ['moved', '/old', 'redirect 308 to https://new.example/new without query'],
      ['hello', '~/h(i|ello)', 'respond 200'],
      ['default', '', 'orders'],
    ],
  );
});

test('every kind of match has a sign of its own', () => {
  const of = (over: Partial<RequestMatch>): string => matchText({ ...ANY_REQUEST, ...over });
  assert.equal(of({ path: { kind: 'prefix', value: '/a' } }), '/a*');
  assert.equal(
    of({
      headers: (['exact', 'prefix', 'suffix', 'contains', 'regex'] as const).map((kind) => ({ name: 'h', match: { kind, value: 'v' } })),
    }),
    'h=v h^=v h$=v h*=v h~=v',
  );
  assert.equal(of({ query: [{ name: 'q', match: { kind: 'exact', value: '' }, invert: true }] }), '!?q=');
  assert.equal(matchText({ kind: 'connect' }), 'CONNECT');
  assert.equal(
    actionText({ name: 'c', match: { kind: 'connect' }, action: { kind: 'tunnel', how: 'terminate', cluster: 'egress/a:1' } }),
    'egress/a:1 as bytes',
  );
});
