// How services are called and which rules they have: the defaults, what is taken over from the service, and that every valid file has a
// meaning that data planes take.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { BALANCE_ALGORITHMS, LOCALITY_MODES } from '../model/balance.ts';
import { DEFAULT_BALANCE, DEFAULT_BYTES_BALANCE, DEFAULT_OUTLIER, DEFAULT_RETRY_BUDGET, NO_BREAKER, NO_RETRY } from '../model/defaults.ts';
import type { Service } from '../model/service.ts';
import type { RuleForward, TrafficRule } from '../model/traffic.ts';
import { checkCompiles } from '../routing/matcher.ts';
import type { MeshConfig } from './mesh.ts';
import { parseMeshFile } from './parse.ts';

/** JSON is YAML. */
function read(file: object): { readonly mesh: MeshConfig | undefined; readonly errors: string[] } {
  const { mesh, problems } = parseMeshFile(JSON.stringify(file), { path: '/srv/heddle.yaml' });
  return { mesh, errors: problems.filter(({ severity }) => severity === 'error').map(({ where, reason }) => `${where}: ${reason}`) };
}

function serviceOf(settings: object, rules: readonly object[] = []): Service {
  const { mesh, errors } = read({
    mesh: 'shop',
    services: { a: { port: 1, ...settings }, b: { port: 2 } },
    routes: rules.length === 0 ? [] : [{ service: 'a', rules }],
  });
  assert.deepEqual(errors, []);
  return mesh?.services[0]?.service as Service;
}

function forwardOf(settings: object, rule: object): RuleForward {
  return serviceOf(settings, [rule]).rules[0]?.action as RuleForward;
}

describe('a service that says nothing about its callers', () => {
  it('is probed, retried within the budget, and its instances are ejected after errors', () => {
    for (const protocol of ['http', 'http2', 'grpc', 'auto'] as const) {
      const { balance, retry, retryBudget, breaker, outlier, hash, rateLimits, rules, idleTimeoutMs, timeoutMs } = serviceOf({ protocol });
      const on = protocol === 'grpc' ? ['connect-failure', 'refused'] : ['connect-failure', 'refused', 'reset'];
      assert.deepEqual(balance, DEFAULT_BALANCE);
      assert.deepEqual(retry, { ...NO_RETRY, attempts: 2, on });
      assert.deepEqual([retryBudget, breaker, outlier], [DEFAULT_RETRY_BUDGET, NO_BREAKER, DEFAULT_OUTLIER]);
      assert.deepEqual([hash, rateLimits, rules, idleTimeoutMs], [[], [], [], 0]);
      assert.equal(timeoutMs, protocol === 'grpc' ? 0 : 15_000);
    }
  });

  it('has nothing of requests where it carries bytes', () => {
    for (const protocol of ['tcp', 'tls'] as const) {
      const service = serviceOf({ protocol });
      assert.deepEqual(service.balance, DEFAULT_BYTES_BALANCE);
      assert.deepEqual([service.retry, service.timeoutMs], [NO_RETRY, 0]);
      assert.deepEqual(service.outlier, { ...DEFAULT_OUTLIER, consecutiveErrors: 0 });
      for (const key of ['hedge', 'adaptiveConcurrency', 'session']) assert.ok(!(key in service), key);
    }
  });
});

describe('retries', () => {
  it('for a time limit of a try or for statuses have their conditions without being told', () => {
    assert.deepEqual(serviceOf({ retry: { perTry: '1s' } }).retry.on, ['connect-failure', 'refused', 'reset', 'timeout']);
    assert.deepEqual(serviceOf({ retry: { perTry: '1s', on: ['5xx'] } }).retry.on, ['5xx']);
    assert.deepEqual(serviceOf({ retry: { on: ['refused'], statuses: [429] } }).retry.on, ['refused', 'retriable-status']);
    assert.deepEqual(serviceOf({ retry: { on: ['retriable-status'], statuses: [429] } }).retry.on, ['retriable-status']);
  });

  it('of a rule are those of the service but for what the rule says', () => {
    const retry = { attempts: 4, perTry: '1s', on: ['refused', 'timeout'], statuses: [429], backoff: { base: '10ms' } };
    const own = serviceOf({ retry }).retry;
    assert.deepEqual(forwardOf({ retry }, { retry: { attempts: 1 } }).retry, { ...own, attempts: 1 });
    assert.deepEqual(forwardOf({ retry }, { retry: { on: ['reset'] } }).retry, { ...own, on: ['reset'], statuses: [] });
    assert.deepEqual(forwardOf({ retry }, { retry: 'off' }).retry, NO_RETRY);
    assert.equal(forwardOf({ retry }, {}).retry, undefined);
    assert.deepEqual(forwardOf({ retry: 'off' }, { retry: { attempts: 1 } }).retry, { ...serviceOf({}).retry, attempts: 1 });
  });

  it('wait at most ten times the first time, unless it is said how long', () => {
    const backoffOf = (backoff: object) => serviceOf({ retry: { backoff } }).retry.backoff;
    assert.deepEqual(backoffOf({}), { baseMs: 25, maxMs: 250 });
    assert.deepEqual(backoffOf({ base: '1ms' }), { baseMs: 1, maxMs: 250 });
    assert.deepEqual(backoffOf({ base: '1s' }), { baseMs: 1_000, maxMs: 10_000 });
    assert.deepEqual(backoffOf({ max: '1s' }), { baseMs: 25, maxMs: 1_000 });
  });

  it('have a budget as a percentage, with some a second on top, or as both', () => {
    const budgetOf = (budget: unknown) => serviceOf({ retry: { budget } }).retryBudget;
    assert.deepEqual(budgetOf('35%'), { percent: 35, minPerSecond: 3 });
    assert.deepEqual(budgetOf({ minPerSecond: 0 }), { percent: 20, minPerSecond: 0 });
  });
});

describe('rules', () => {
  it('take every request to all instances where they say nothing, and are numbered', () => {
    const [first, second] = serviceOf({}, [{ match: { path: '/x' }, name: 'x' }, {}]).rules as [TrafficRule, TrafficRule];
    assert.deepEqual([first.name, second.name], ['x', 'rule 2']);
    assert.deepEqual(second, {
      name: 'rule 2',
      matches: [{ kind: 'request', path: { kind: 'prefix', value: '/' } }],
      action: { kind: 'forward', to: [{ service: { namespace: 'default', name: 'a' }, labels: {}, weight: 1 }] },
    });
  });

  it('may hedge, within the budget of a service that itself retries nothing', () => {
    const retry = { attempts: 0, nonIdempotent: true, budget: '10%' };
    assert.deepEqual(forwardOf({ retry }, { hedge: { after: '1s' } }).hedge, { afterMs: 1_000, attempts: 1 });
    const { errors } = read({ mesh: 'shop', services: { a: { port: 1, retry } } });
    assert.deepEqual(
      errors.map((error) => error.split(':')[0]),
      ['services.a.retry.nonIdempotent', 'services.a.retry.budget'],
    );
  });

  it('read a path that is written as a text as exact, as all below it, or as a template', () => {
    const pathOf = (path: string) => serviceOf({}, [{ match: { path } }]).rules[0]?.matches[0]?.path;
    assert.deepEqual(pathOf('/a'), { kind: 'exact', value: '/a' });
    assert.deepEqual(pathOf('/a/**'), { kind: 'segments', value: '/a' });
    assert.deepEqual(pathOf('/**'), { kind: 'prefix', value: '/' });
    assert.deepEqual(pathOf('/a/{id}'), { kind: 'template', value: '/a/{id}' });
    assert.deepEqual(pathOf('/a/{rest=**}'), { kind: 'template', value: '/a/{rest=**}' });
  });

  it('of a service that is not in the file are at fault, and what is wrong in them is said as well', () => {
    const { errors } = read({ mesh: 'shop', services: { a: { port: 1 } }, routes: [{ rules: [{ match: { path: '/a/*' } }] }] });
    assert.deepEqual(
      errors.map((error) => error.split(':')[0]),
      ['routes[0].service', 'routes[0].rules[0].match.path'],
    );
  });
});

const share = fc.oneof(
  fc.integer({ min: 1, max: 100 }),
  fc.integer({ min: 1, max: 100 }).map((value) => `${value}%`),
);
const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(fields: T) => fc.record(fields, { requiredKeys: [] });
const seconds = (min: number, max: number) => fc.integer({ min, max }).map((value) => `${value}s`);
const token = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z0-9]$/)
  .filter((name) => !['host', 'te', 'upgrade', 'trailer', 'connection', 'keep-alive'].includes(name));

const settings = optional({
  balance: fc.oneof(
    fc.constantFrom(...BALANCE_ALGORITHMS.filter((name) => name !== 'ring-hash' && name !== 'maglev')),
    fc.record({
      policy: fc.constantFrom('ring-hash', 'maglev'),
      hash: fc.oneof(
        fc.constant('source'),
        token.map((header) => [{ header }, 'source']),
      ),
      locality: fc.constantFrom(...LOCALITY_MODES),
      panic: share,
    }),
  ),
  retry: fc.oneof(
    fc.constant('off'),
    optional({ attempts: fc.integer({ min: 1, max: 10 }), perTry: seconds(1, 9), statuses: fc.constant([429, 503]), budget: share }),
  ),
  hedge: fc.record({ after: seconds(1, 9) }),
  breaker: fc.record({ requests: fc.integer({ min: 1, max: 1_000 }) }),
  concurrency: fc.oneof(fc.constant('adaptive'), fc.record({ min: fc.integer({ min: 1, max: 9 }), max: fc.integer({ min: 10, max: 99 }) })),
  outlier: fc.oneof(
    fc.constant('off'),
    optional({ consecutiveErrors: fc.integer({ min: 1, max: 9 }), failures: share, eject: seconds(1, 9) }),
  ),
  sticky: optional({ cookie: fc.constant('session'), ttl: seconds(0, 99) }),
  rateLimit: fc.record({ requests: fc.integer({ min: 1, max: 99 }), per: seconds(1, 9), by: fc.constantFrom('all', 'identity') }),
});

const match = (index: number) =>
  fc.record(
    {
      path: fc.constantFrom(`/r${index}`, `/r${index}/**`, `/r${index}/{id}`).map((path): unknown => path),
      methods: fc.subarray(['GET', 'POST', 'DELETE'], { minLength: 1 }),
      headers: fc.dictionary(
        token,
        fc.constantFrom<unknown>('1', 2, { present: true }, { prefix: 'x', ignoreCase: true }, { regex: 'a+', invert: true }),
        { maxKeys: 3 },
      ),
      query: fc.dictionary(token, fc.constantFrom<unknown>('1', { contains: 'x' }), { maxKeys: 2 }),
    },
    { requiredKeys: ['path'] },
  );

const action = fc.oneof(
  fc.record({ redirect: fc.constant({ path: '/elsewhere', status: 308 }) }),
  fc.record({ respond: fc.record({ status: fc.integer({ min: 200, max: 203 }), body: fc.constantFrom('', 'ok') }) }),
  optional({
    to: fc.constantFrom<unknown>({ service: 'b' }, [
      { weight: 1 },
      { service: 'b', weight: 3, headers: { request: { set: { 'x-side': 'b' } } } },
    ]),
    timeout: seconds(20, 60),
    rewrite: fc.constantFrom({ path: '/new' }, { host: 'b.example' }),
    mirror: fc.record({ service: fc.constant('b'), labels: fc.dictionary(token, token, { maxKeys: 2 }), percent: share }),
    rateLimit: fc.constant([{ requests: 1, per: '1s' }]),
  }),
);

const rules = fc
  .array(action, { maxLength: 4 })
  .chain((actions) => fc.tuple(...actions.map((each, index) => match(index).map((one) => ({ match: one, ...each })))));

describe('a mesh file', () => {
  it('that is valid means something that is plain data, complete, and taken by data planes (property)', () => {
    fc.assert(
      fc.property(settings, rules, (service, list) => {
        const file = {
          mesh: 'shop',
          services: { a: { port: 1, timeout: '15s', ...service }, b: { port: 2 } },
          routes: list.length === 0 ? [] : [{ service: 'a', rules: list }],
        };
        const { mesh, errors } = read(file);
        assert.deepEqual(errors, [], JSON.stringify(file));
        assert.deepEqual(JSON.parse(JSON.stringify(mesh)), mesh);
        const built = mesh?.services[0]?.service as Service;
        assert.equal(built.rules.length, list.length);
        for (const one of built.rules.flatMap(({ matches }) => matches)) checkCompiles(one);
      }),
      { numRuns: 100 },
    );
  });
});
