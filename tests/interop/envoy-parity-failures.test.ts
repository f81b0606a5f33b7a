// What goes wrong, and what is done about it on purpose, through a data plane of Heddle and through the real Envoy: as many tries, the same
// statuses, faults and limits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { certificateOf, Cleanup, LOOPBACK, registerInstance } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { type Asked, CASE_HEADER, each, grpcCall, Parity, type Side, SIDES, valuesOf } from './support/parity.ts';
import { Applications } from './support/parity-apps.ts';
import { freePort } from '../support/ports.ts';
import { reason } from './support/programs.ts';

const HEALTH = 'health: { interval: 500ms, timeout: 500ms }';
const BACKOFF = 'backoff: { base: 1ms, max: 4ms }';
const CONDITIONS = ['connect-failure', 'refused', 'reset', 'gateway-error', '5xx'];
const GRPC_CONDITIONS = ['cancelled', 'deadline-exceeded', 'internal', 'resource-exhausted', 'unavailable'];
const retried = (path: string, on: string, more = ''): string =>
  `      - { match: { path: ${path} }, retry: { attempts: 2, on: [${on}], ${BACKOFF}${more && `, ${more}`} } }\n`;

const RETRIES = [
  ...CONDITIONS.map((on) => retried(`/on/${on}`, on)),
  ...CONDITIONS.slice(2).map((on) => retried(`/twice/${on}`, on, 'nonIdempotent: true')),
  retried('/try/timeout', 'timeout', 'perTry: 600ms'),
  retried('/try/connect-failure', 'connect-failure', 'perTry: 600ms'),
  retried('/on/status', 'connect-failure', 'statuses: [409, 429]'),
  retried('/twice/status', 'connect-failure', 'statuses: [409, 429], nonIdempotent: true'),
  retried('/on/all', 'connect-failure, refused, reset, 5xx'),
  `      - { match: { path: /on/none }, retry: off }\n`,
  `      - { match: { path: /on/default }, retry: { ${BACKOFF} } }\n`,
].join('');

const TIMES = `
      - { match: { path: /time/whole }, timeout: 600ms, retry: off }
      - { match: { path: /time/none }, timeout: 0, retry: off }
      - { match: { path: /time/half }, timeout: 600ms, retry: { attempts: 1, on: [5xx], ${BACKOFF} } }
`;
const FAULTS = `
      - { match: { path: /fault/abort }, fault: { abort: { status: 418 } } }
      - { match: { path: /fault/half }, fault: { abort: { status: 503, percent: 50% } } }
      - { match: { path: /fault/delay }, fault: { delay: { for: 150ms } } }
      - { match: { path: /fault/both }, fault: { delay: { for: 150ms }, abort: { status: 500 } } }
      - { match: { path: /fault/late }, timeout: 200ms, retry: off, fault: { delay: { for: 600ms } } }
      - { match: { path: /fault/redirect }, redirect: { path: /there }, fault: { abort: { status: 502 } } }
      - { match: { path: /fault/respond }, respond: { body: here }, fault: { delay: { for: 150ms } } }
      - { match: { path: /fault/retried }, fault: { abort: { status: 503 } }, retry: { attempts: 3, on: [5xx], ${BACKOFF} } }
      - { match: { path: /fault/headers }, headers: { response: { set: { x-mark: yes } } }, fault: { abort: { status: 503 } } }
`;
const MARKED = 'headers: { response: { set: { x-mark: yes }, remove: [content-type] } }';
const MARKS = `
      - { match: { path: /mark/abort }, ${MARKED}, fault: { abort: { status: 503 } } }
      - { match: { path: /mark/limit }, ${MARKED}, rateLimit: { requests: 1, per: 1h } }
      - { match: { path: /mark/time }, ${MARKED}, timeout: 400ms, retry: off }
      - { match: { path: /mark/nowhere }, ${MARKED}, to: { labels: { version: v9 } } }
      - { match: { path: /mark/dead }, ${MARKED}, to: { service: dead } }
      - { match: { path: /mark/reset }, ${MARKED}, retry: off }
`;
const LIMITS = `
      - { match: { path: /limit/all }, rateLimit: { requests: 3, per: 1h } }
      - { match: { path: /limit/burst }, rateLimit: { requests: 2, per: 1h, burst: 4 } }
      - { match: { path: /limit/header }, rateLimit: { requests: 2, per: 1h, by: { header: x-user } } }
      - { match: { path: /limit/two }, rateLimit: [{ requests: 2, per: 1h, by: { header: x-user } }, { requests: 3, per: 1h }] }
      - { match: [{ path: /limit/a }, { path: /limit/b }], rateLimit: { requests: 3, per: 1h } }
      - { match: { path: /limit/respond }, respond: { body: here }, rateLimit: { requests: 2, per: 1h } }
      - { match: { path: /limit/redirect }, redirect: { path: /there }, rateLimit: { requests: 2, per: 1h } }
      - { match: { path: /limit/fault }, fault: { abort: { status: 503 } }, rateLimit: { requests: 2, per: 1h } }
`;
const CALLS = [
  ...GRPC_CONDITIONS.map(
    (on) => `      - { match: { headers: { x-on: ${on} } }, retry: { attempts: 2, on: [grpc-${on}], nonIdempotent: true, ${BACKOFF} } }\n`,
  ),
  `      - { match: { headers: { x-on: once } }, retry: { attempts: 2, on: [grpc-unavailable, refused], ${BACKOFF} } }\n`,
  `      - { match: { headers: { x-on: time } }, timeout: 600ms, retry: off }\n`,
  `      - { match: { headers: { x-on: fault } }, fault: { abort: { grpc: 7 } } }\n`,
  `      - { match: { headers: { x-on: http-fault } }, fault: { abort: { status: 503 } } }\n`,
  `      - { match: { headers: { x-on: limit } }, rateLimit: { requests: 1, per: 1h } }\n`,
  `      - { match: { grpc: { service: parity.Calls, method: Moved } }, rewrite: { path: /parity.Calls/New } }\n`,
].join('');
const QUIET = 'outlier: off, balance: round-robin';
const BUDGET = 'budget: { percent: 100%, minPerSecond: 1000 }';
const GUARD = `rateLimit: [{ requests: 4, per: 1h, match: { path: /guard/** } }, { requests: 2, per: 1h, by: identity, match: { path: /guard/me, methods: POST } }]`;

const MESH = `mesh: parity
services:
  client: { port: 8000, ${HEALTH} }
  shop: { port: 8001, timeout: 10s, retry: { attempts: 1, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  half: { port: 8002, retry: { attempts: 2, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  dead: { port: 8003, retry: off, ${QUIET}, ${HEALTH} }
  calls: { port: 8004, protocol: grpc, timeout: 10s, retry: { attempts: 1, on: [connect-failure], ${BUDGET} }, ${QUIET}, ${HEALTH} }
  ours: { port: 8005, ${QUIET}, ${HEALTH}, ${GUARD} }
  theirs: { port: 8006, ${QUIET}, ${HEALTH}, ${GUARD} }
routes:
  - service: shop
    rules:
${RETRIES}${TIMES}${FAULTS}${MARKS}${LIMITS}
  - service: calls
    rules:
${CALLS}`;

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
const apps = new Applications(cleanup);
let parity: Parity;

before(async () => {
  if (skip !== false) return;
  if (typeof found !== 'string') throw new Error(`not on this machine: ${found.reason}`);
  const [shop, half, calls, ours, theirs] = await Promise.all([
    apps.http('shop-1'),
    apps.http('half-1'),
    apps.grpc('calls-1'),
    apps.http('ours-1'),
    apps.http('theirs-1'),
  ]);
  parity = await Parity.start(cleanup, found, {
    mesh: MESH,
    instances: { 'shop-1': { port: shop }, 'half-1': { port: half }, 'calls-1': { port: calls }, 'ours-1': { port: ours } },
    behindEnvoy: { theirs },
    uses: ['shop', 'half', 'dead', 'calls', 'ours', 'theirs'],
  });
  for (const service of ['half', 'dead']) {
    const inbound = { address: LOOPBACK, port: await freePort() };
    await registerInstance(cleanup, parity.plane.ref, await certificateOf(parity.plane.ref, service), {
      id: `${service}-9`,
      service,
      inbound,
    });
  }
  for (const service of ['shop', 'half', 'ours', 'theirs']) await parity.until(service, { path: '/' }, [`${service}-1`]);
  for (const side of SIDES) {
    await waitFor('gRPC', async () => (await grpcCall(parity.port(side, 'calls'), '/', {})).grpcStatus === 0);
    // Whoever knows the instance that is not there cannot reach it; who does not yet, says that there is none.
    await waitFor('the dead', async () => (await outcome(side, 'dead', { path: '/' })).error === 'CONNECT_FAILED');
  }
});
after(() => cleanup.run());

interface Outcome {
  readonly status: number;
  readonly error: string;
  /** That the applications have seen. */
  readonly tries: number;
  /** Header that a rule sets in responses. */
  readonly mark: string;
}

async function outcome(side: Side, service: string, asked: Asked): Promise<Outcome> {
  const name = parity.name(side);
  const { status, headers } = await parity.ask(side, service, asked, name);
  const error = valuesOf(headers, 'x-heddle-error').join().replace('TRY_TIMEOUT', 'REQUEST_TIMEOUT');
  return { status, error, tries: apps.triesOf(name).length, mark: valuesOf(headers, 'x-mark').join() };
}

const doing = (path: string, word: string, method = 'GET'): Asked => ({
  path,
  method,
  headers: [['x-do', word]],
  ...(method === 'POST' && { body: 'abc' }),
});

/** Both at once. */
async function same(asked: Asked, service = 'shop'): Promise<Outcome> {
  const [heddle, envoy] = await Promise.all([outcome('heddle', service, asked), outcome('envoy', service, asked)]);
  assert.deepEqual(envoy, heddle, `${asked.method ?? 'GET'} ${asked.path} ${JSON.stringify(asked.headers ?? [])}`);
  return heddle;
}

/** One after the other, on both sides. */
async function statuses(service: string, all: readonly Asked[]): Promise<string[]> {
  const seen: string[] = [];
  for (const asked of all) {
    const { status, error } = await same(asked, service);
    seen.push(`${status} ${error}`.trim());
  }
  return seen;
}

const as = (path: string, user: string): Asked => ({ path, headers: user === '' ? [] : [['x-user', user]] });
const times = (count: number, ...all: Asked[]): Asked[] => Array.from({ length: count }, () => all).flat();

describe('failures through Envoy and Heddle by the same rules', { skip }, () => {
  test('Envoy takes all of them', async () => {
    assert.deepEqual(await parity.refusals(), []);
  });

  test('as many tries, for each condition, method and failure', async () => {
    const words = ['500', '503', 'reset', 'partial', 'reset,503,200', '429+retry-after=0'];
    const all = [...MESH.matchAll(/path: (\/(?:on|twice)\/[\w-]+) \}/g)].map(([, path]) => String(path));
    const cases = all.flatMap((path) => ['GET', 'POST'].flatMap((method) => words.map((word) => doing(path, word, method))));
    assert.ok(cases.length > 120);
    await each(cases, async (asked) => void (await same(asked)));
    const tries = async (path: string, word: string, method = 'GET'): Promise<number> => (await same(doing(path, word, method))).tries;
    assert.deepEqual([await tries('/on/5xx', '500'), await tries('/on/5xx', '503,200'), await tries('/on/5xx', '500', 'POST')], [3, 2, 1]);
    assert.deepEqual([await tries('/twice/reset', 'reset', 'POST'), await tries('/on/gateway-error', '500')], [3, 1]);
  });

  test('an instance that cannot be reached is passed over for every method, or told of', async () => {
    for (const method of ['GET', 'POST', 'GET', 'POST']) {
      assert.equal((await same({ path: '/', method }, 'half')).status, 200);
      assert.equal((await same({ path: '/', method }, 'dead')).error, 'CONNECT_FAILED');
    }
  });

  test('time limits of tries and of whole requests', async () => {
    const cases = [
      ...['hang', 'hang,200'].flatMap((word) => ['/try/timeout', '/try/connect-failure'].map((path) => doing(path, word))),
      doing('/try/timeout', 'hang', 'POST'),
      ...['hang', '503,hang', 'hang,200'].map((word) => doing('/time/half', word)),
      ...['hang', 'late:1200', '200', '503'].map((word) => doing('/time/whole', word)),
      doing('/time/none', 'late:1200'),
    ];
    const outcomes = new Map<string, Outcome>();
    await each(
      cases,
      async (asked) => void outcomes.set(`${asked.method} ${asked.path} ${asked.headers?.[0]?.[1]}`, await same(asked)),
      cases.length,
    );
    assert.deepEqual(outcomes.get('GET /try/timeout hang'), { status: 504, error: 'REQUEST_TIMEOUT', tries: 3, mark: '' });
    assert.deepEqual(outcomes.get('GET /try/timeout hang,200')?.tries, 2);
    assert.deepEqual(outcomes.get('POST /try/timeout hang')?.tries, 1);
    assert.deepEqual(outcomes.get('GET /time/whole late:1200')?.status, 504);
  });

  test('faults: as often as asked for, in place of whatever the rule does, never repeated', async () => {
    for (const [path, status] of [
      ['abort', 418],
      ['both', 500],
      ['redirect', 502],
      ['retried', 503],
      ['delay', 200],
      ['respond', 200],
    ] as const) {
      const started = performance.now();
      assert.equal((await same({ path: `/fault/${path}` })).status, status, path);
      if (['both', 'delay', 'respond'].includes(path)) assert.ok(performance.now() - started > 140, path);
    }
    for (const side of SIDES) {
      let count = 0;
      const hundred = Array.from({ length: 100 }, (_, nth) => nth);
      await each(hundred, async () => void ((await outcome(side, 'shop', { path: '/fault/half' })).status === 503 && (count += 1)));
      // Five standard deviations.
      assert.ok(count >= 25 && count <= 75, `${side}: ${count}`);
    }
  });

  test('answers of the data plane itself have the header changes of their route', async () => {
    const marks = [
      ['abort', '503 FAULT_INJECTED'],
      ['limit', '200'],
      ['limit', '429 RATE_LIMITED'],
      ['nowhere', '503 NO_HEALTHY_INSTANCE'],
    ] as const;
    for (const [path, wanted] of [
      ...marks,
      ['dead', '503 CONNECT_FAILED'],
      ['time', '504 REQUEST_TIMEOUT'],
      ['reset', '502 UPSTREAM_RESET'],
    ] as const) {
      const word = path === 'time' ? 'hang' : path === 'reset' ? 'reset' : '200';
      const { status, error, mark } = await same(doing(`/mark/${path}`, word));
      assert.deepEqual([`${status} ${error}`.trim(), mark], [wanted, 'yes'], path);
    }
  });

  test('rate limits: the first so many, then none', async () => {
    const no = '429 RATE_LIMITED';
    assert.deepEqual(await statuses('shop', times(5, { path: '/limit/all' })), ['200', '200', '200', no, no]);
    assert.deepEqual(await statuses('shop', times(5, { path: '/limit/burst' })), ['200', '200', '200', '200', no]);
    const users = ['u', 'u', 'u', 'v', 'v', 'v', '', '', ''];
    assert.deepEqual(
      await statuses(
        'shop',
        users.map((user) => as('/limit/header', user)),
      ),
      ['200', '200', no, '200', '200', no, '200', '200', no],
    );
    assert.deepEqual(
      await statuses(
        'shop',
        users.map((user) => as('/limit/two', user)),
      ),
      ['200', '200', no, '200', no, no, no, no, no],
    );
    // Each match of a rule counts by itself.
    const matches = await statuses('shop', times(4, { path: '/limit/a' }, { path: '/limit/b' }));
    assert.deepEqual(matches, ['200', '200', '200', '200', '200', '200', no, no]);
    assert.deepEqual(await statuses('shop', times(3, { path: '/limit/respond' })), ['200', '200', no]);
    assert.deepEqual(await statuses('shop', times(3, { path: '/limit/redirect' })), ['302', '302', no]);
    assert.deepEqual(await statuses('shop', times(3, { path: '/limit/fault' })), ['503 FAULT_INJECTED', '503 FAULT_INJECTED', no]);
  });

  test('rate limits of a service at its instances, behind Envoy as behind Heddle', async () => {
    const asks = [
      ...times(3, { method: 'POST', path: '/guard/me' }),
      ...[{ path: '/guard/me' }, { path: '/guard/x' }, { path: '/guard/x' }, { path: '/else' }, { path: '/guard' }],
    ];
    const at = async (service: string): Promise<string[]> => {
      const seen: string[] = [];
      for (const asked of asks) {
        const { status, error } = await outcome('heddle', service, asked);
        seen.push(`${status} ${error}`.trim());
      }
      return seen;
    };
    const no = '429 RATE_LIMITED';
    const ours = await at('ours');
    assert.deepEqual(ours, ['200', '200', no, '200', '200', no, '200', no]);
    assert.deepEqual(await at('theirs'), ours);
  });

  test('gRPC: retries by status, time limits, faults, limits, in the words of gRPC', async () => {
    const call = async (side: Side, on: string, word: string, more: Readonly<Record<string, string>> = {}): Promise<object> => {
      const name = parity.name(side);
      const { httpStatus, grpcStatus, headers, body } = await grpcCall(parity.port(side, 'calls'), '/parity.Calls/Get', {
        ...{ 'x-on': on, 'x-do': word, [CASE_HEADER]: name },
        ...more,
      });
      return { httpStatus, grpcStatus, error: headers['x-heddle-error'], body, tries: apps.triesOf(name).length };
    };
    const both = async (on: string, word: string, more?: Readonly<Record<string, string>>): Promise<Record<string, unknown>> => {
      const [heddle, envoy] = await Promise.all([call('heddle', on, word, more), call('envoy', on, word, more)]);
      assert.deepEqual(envoy, heddle, `${on} ${word} ${JSON.stringify(more)}`);
      return heddle as Record<string, unknown>;
    };
    const words = ['grpc:0', 'grpc:1', 'grpc:4', 'grpc:8', 'grpc:13', 'grpc:14', 'grpc:14,grpc:0', 'reset'];
    const cases = [...GRPC_CONDITIONS, 'once', 'none'].flatMap((on) => words.map((word) => [on, word] as const));
    await each(cases, async ([on, word]) => void (await both(on, word)));
    assert.equal((await both('unavailable', 'grpc:14'))['tries'], 3);
    assert.equal((await both('unavailable', 'grpc:13'))['tries'], 1);
    assert.equal((await both('time', 'hang'))['grpcStatus'], 4);
    assert.equal((await both('none', 'hang', { 'grpc-timeout': '300m' }))['grpcStatus'], 4);
    assert.deepEqual([(await both('fault', 'grpc:0'))['grpcStatus'], (await both('http-fault', 'grpc:0'))['grpcStatus']], [7, 14]);
    assert.deepEqual([(await both('limit', 'grpc:0'))['grpcStatus'], (await both('limit', 'grpc:0'))['grpcStatus']], [0, 8]);
  });
});

describe('what remains different between Envoy and Heddle when something fails', { skip }, () => {
  const guide = readFileSync(new URL('../../docs/guides/envoy.md', import.meta.url), 'utf8');
  const says = (words: string): void => assert.ok(guide.includes(words), `docs/guides/envoy.md does not say ${JSON.stringify(words)}`);

  test('the name of the end of a try', async () => {
    says('`REQUEST_TIMEOUT`, not a `TRY_TIMEOUT`');
    const { heddle, envoy } = await parity.both('shop', doing('/try/timeout', 'hang', 'POST'));
    assert.deepEqual(
      [heddle, envoy].map(({ headers }) => valuesOf(headers, 'x-heddle-error').join()),
      ['TRY_TIMEOUT', 'REQUEST_TIMEOUT'],
    );
  });

  test('whether the delay of a fault is part of the time limit', async () => {
    says('**A delay of a fault** is no part of the time limit');
    const { heddle, envoy } = await parity.both('shop', { path: '/fault/late' });
    assert.deepEqual([heddle.status, envoy.status], [504, 200]);
  });

  test('what becomes of the deadline of a caller on the way', async () => {
    says('**Deadlines** of callers');
    const told = async (side: Side): Promise<number> => {
      const name = parity.name(side);
      await grpcCall(parity.port(side, 'calls'), '/parity.Calls/Get', { 'grpc-timeout': '1H', [CASE_HEADER]: name });
      const [value = ''] = valuesOf(apps.triesOf(name)[0]?.headers ?? [], 'grpc-timeout');
      return Number(/^(\d+)m$/.exec(value)?.[1] ?? 0);
    };
    // The limit of the service, and what the caller said.
    assert.ok((await told('heddle')) <= 10_000);
    assert.ok((await told('envoy')) > 3_000_000);
  });
});
