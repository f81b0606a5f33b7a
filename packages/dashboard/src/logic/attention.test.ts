import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AttentionFacts, attentionOf } from './attention.ts';

const NOW = Date.parse('2026-01-31T12:00:00.000Z');
const at = (ms: number): string => new Date(NOW + ms).toISOString();
const QUIET: AttentionFacts = {
  services: [],
  instances: [],
  proxies: [],
  certificates: [],
  authority: undefined,
  events: [],
  edges: [],
  nowMs: NOW,
};
const texts = (facts: object): string[] =>
  attentionOf({ ...QUIET, ...facts } as AttentionFacts).map(({ tone, text, why }) => `${tone}: ${text}: ${why}`);

test('a mesh in which all is well needs nobody', () => {
  const certificate = {
    identity: 'spiffe://m/ns/default/svc/web',
    issued: at(-1_000),
    notAfter: at(3_599_000),
    why: 'renewal',
    denied: false,
  };
  const sync = [{ kind: 'cluster', state: 'behind', behindSince: at(-500), rejection: '' }];
  assert.deepEqual(
    texts({
      certificates: [certificate],
      proxies: [{ node: 'n', identity: '', sync }],
      services: [{ namespace: 'default', name: 'web', instances: { total: 1, healthy: 1 } }],
    }),
    [],
  );
});

test('what is broken comes before what is late, each with its reason', () => {
  assert.deepEqual(
    texts({
      services: [{ namespace: 'default', name: 'web', instances: { total: 0, healthy: 0 } }],
      instances: [
        { namespace: 'default', service: 'orders', instance: 'orders-1', health: 'unhealthy', healthReason: 'connection refused' },
      ],
      proxies: [
        { node: 'slow', identity: '', sync: [{ kind: 'route', state: 'behind', behindSince: at(-20_000), rejection: '' }] },
        { node: 'odd', identity: '', sync: [{ kind: 'listener', state: 'rejected', behindSince: null, rejection: 'no such port' }] },
      ],
      certificates: [
        { identity: 'spiffe://m/ns/default/svc/orders', issued: at(-3_000_000), notAfter: at(600_000), why: 'token', denied: false },
      ],
      edges: [
        {
          source: 'default/web',
          destination: 'default/orders',
          requestsPerSecond: 10,
          errorsPerSecond: 0.5,
          errors: { '5xx': 0.1, TIMEOUT: 0.4 },
        },
        { source: 'default/web', destination: 'default/catalog', requestsPerSecond: 100, errorsPerSecond: 1, errors: { '5xx': 1 } },
      ],
      events: [
        { kind: 'anomaly', subject: 'default/web', time: at(-60_000), message: 'p99 is 5 times its usual' },
        { kind: 'anomaly', subject: 'default/web', time: at(-3_600_000), message: 'long ago' },
      ],
    }),
    [
      'bad: web has nobody to answer: no instance is registered',
      'bad: orders-1 is unhealthy: connection refused',
      'bad: odd has refused its configuration: no such port',
      'warn: web → orders: 5 % of the calls fail: TIMEOUT 0.4/s, 5xx 0.1/s',
      'warn: slow is behind: it has not acknowledged its route for 20 s',
      'warn: 1 certificate should have been renewed by now: that of orders ends in 10 min',
      'warn: web: out of the ordinary: p99 is 5 times its usual',
    ],
  );
});

test('certificates of who has left, or has come back with a newer one, concern nobody; those of a data plane at work are', () => {
  const old = { issued: at(-3_000_000), notAfter: at(600_000), why: 'token', denied: false };
  const left = { ...old, identity: 'spiffe://m/ns/default/svc/gone' };
  const again = { ...old, identity: 'spiffe://m/ns/default/svc/web' };
  const newer = { ...again, issued: at(-60_000), notAfter: at(3_540_000) };
  const operator = { ...old, identity: 'spiffe://m/ns/heddle-system/svc/operator' };
  const facts = {
    instances: [{ namespace: 'default', service: 'web', instance: 'web-1', health: 'healthy', healthReason: '' }],
    proxies: [{ node: 'n', identity: operator.identity, sync: [] }],
  };
  assert.deepEqual(texts({ ...facts, certificates: [left, newer, again] }), []);
  assert.deepEqual(texts({ ...facts, certificates: [left, operator] }), [
    'warn: 1 certificate should have been renewed by now: that of operator ends in 10 min',
  ]);
});
