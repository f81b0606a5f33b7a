// Explanations as people see them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_RETRY } from '@heddle/core';
import { ask, dump } from '../../../dataplane/src/explain/test-support.ts';
import { COLORED, PLAIN } from '../output/palette.ts';
import type { InstanceDescription } from './describe-instance.ts';
import { describe as describeText } from './describe-instance.ts';
import type { Candidate, ForwardFacts, Target, Explanation } from '@heddle/dataplane/explain';
import { askedHeader, askedProxy } from './explain-options.ts';
import { explanationText } from './explain-text.ts';

const VIEW = { canBePicked: true, why: '', measured: true, connections: { open: 1, idle: 1, pending: 0 } };

function candidate(instance: string, over: Partial<Candidate> = {}): Candidate {
  const views = [{ ...VIEW, worker: null, balancer: { inFlight: 1, expectedMs: 12.345 } }];
  return {
    instance,
    address: '127.0.0.1',
    port: 1,
    locality: '',
    weight: 1,
    health: 'healthy',
    canBePicked: true,
    why: '',
    views,
    ...over,
  };
}

function target(name: string, shown: readonly Candidate[], over: Partial<Target> = {}): Target {
  const canBePicked = shown.filter((one) => one.canBePicked).length;
  return {
    name,
    service: 'default/orders',
    weight: 1,
    sharePercent: 100,
    taken: true,
    requestHeaders: null,
    responseHeaders: null,
    cluster: {
      balance: { algorithm: 'maglev', locality: 'prefer', slowStartMs: 30_000, panicPercent: 50 },
      connectTimeoutMs: 1_000,
      breaker: { connections: 0, pending: 5, requests: 10 },
      underWay: 3,
      pending: 0,
      retryBudget: { percent: 20, minPerSecond: 3 },
      retriesLeft: 30,
      adaptiveConcurrency: { minRequests: 1, maxRequests: 10 },
      concurrency: [{ limit: 7.123, inFlight: 2 }],
      outlier: null,
      session: { cookie: 'sid', ttlMs: 0 },
      hasSessionCookie: false,
      http: 'http2',
    },
    candidates: { all: shown.length, canBePicked, shown, byHash: '' },
    ...over,
  };
}

const FORWARD: ForwardFacts = {
  kind: 'forward',
  requestHeaders: { set: { 'x-a': '1' }, add: {}, remove: ['x-b'] },
  responseHeaders: null,
  fault: { delay: { percent: 10, delayMs: 2_000 }, abort: { percent: 1, status: { kind: 'grpc', code: 14 } } },
  rateLimits: [
    { text: 'each caller may make 1 requests per 1s, 1 at once', by: 'identity', key: 'default/web', applies: true, why: '' },
    { text: 'all', by: 'all', key: null, applies: false, why: 'the method is GET, not PUT' },
  ],
  time: { routeMs: 1_500, callerMs: 250, callerHeader: 'grpc-timeout', limitMs: 250, idleMs: 60_000, error: 'DEADLINE_EXCEEDED' },
  retry: { ...NO_RETRY, attempts: 2, on: ['5xx', 'retriable-status'], statuses: [429], perTryMs: 500 },
  retryNote: 'GET is idempotent',
  hedge: { afterMs: 200, attempts: 1 },
  hedgeNote: 'the first answer counts',
  hash: { sources: [{ kind: 'header', name: 'x-user' }, { kind: 'source' }], source: null, text: '', hash: null, makesCookie: false },
  splitByHash: false,
  rewrite: { path: '/x', authority: 'other' },
};

function answer(over: Partial<Explanation> = {}): Explanation {
  return {
    node: 'node-1',
    question: { method: 'GET', scheme: 'http', authority: 'orders', path: '/', headers: [], from: '' },
    outcome: { kind: 'forwarded', summary: 'goes there', code: null, status: null, mend: '', similar: [] },
    caller: { workload: 'default/web/web-1', identity: 'spiffe://a', why: 'was asked for', others: [] },
    listener: {
      name: 'outbound/proxy',
      address: '::1',
      port: 15_001,
      state: 'accepting',
      why: 'it is the shared HTTP proxy',
      reason: '',
      others: ['a', 'b'],
    },
    route: {
      config: 'outbound/mesh',
      virtualHost: 'outbound/default/orders',
      domain: 'orders',
      name: 'beta',
      position: 8,
      routes: 9,
      match: {
        kind: 'request',
        path: { kind: 'segments', value: '/v2' },
        methods: ['GET', 'PUT'],
        headers: [
          { name: 'x-beta', match: { kind: 'exact', value: '1' } },
          { name: 'x-no', invert: true },
        ],
      },
      reason: '',
      passedOver: Array.from({ length: 7 }, (_, at) => ({ route: `r${at}`, why: 'no' })),
      passedOverCount: 7,
    },
    action: FORWARD,
    clusters: [
      target('outbound/default/orders', [
        candidate('orders-1'),
        candidate('orders-2', { canBePicked: false, health: 'draining', why: 'draining' }),
      ]),
    ],
    mirrors: [{ cluster: 'm', percent: 5, canBePicked: 1, all: 2 }],
    access: { encrypted: true, shows: 'spiffe://a', asks: ['spiffe://b'], mayTry: true, token: 'billing', summary: 'one. Two' },
    calledSide: [],
    notes: ['a note'],
    ...over,
  };
}

describe('the text of an explanation', () => {
  it('has a line for everything that holds for the request', () => {
    assert.equal(
      explanationText('GET http://orders/', answer(), PLAIN),
      `GET http://orders/
forwarded: goes there

Caller     default/web/web-1, which was asked for, at node-1
Listener   outbound/proxy on [::1]:15001, accepting
           because it is the shared HTTP proxy
           a, b lead there, too
Route      beta, number 8 of 9, of outbound/default/orders by its domain orders
           takes GET or PUT, path segments /v2, header x-beta = 1, header not x-no
           not r0: no
           not r1: no
           not r2: no
           not r3: no
           not r4: no
           and 2 more not (-o json)
Rewrite    asks other for /x
Time       1500 ms for the whole request; the caller gives 250 ms (grpc-timeout); then DEADLINE_EXCEEDED
           each try 500 ms, to connect 1 s, without a byte 60 s
Retry      up to 2 more, on 5xx, status 429
           at another instance at once, else after 25 ms to 250 ms
           GET is idempotent
           budget: 20 % of the requests, and 3 a second; 30 left now
Hedge      1 more after 200 ms each; the first answer counts
Hash       of header x-user, else the client's address; the request has none
Mirror     5 % of the requests also to m (1 of 2 instances)
Headers    request: set x-a: 1
           request: remove x-b
Fault      10 % of the requests are held back for 2 s
           1 % are answered with gRPC status 14
Limits     here: each caller may make 1 requests per 1s, 1 at once; this one counts as default/web
           here: all; not this request: the method is GET, not PUT
Access     one
           Two
           calls as spiffe://a; must be answered by spiffe://b
           the call gets the token "billing"
Note       a note

outbound/default/orders
  balanced by maglev; the nearest first; slow start of 30 s; all are used where fewer than 50 % are healthy; stays with the instance that the cookie sid names
  breaker: 3 requests under way of at most 10, 0 waiting of at most 5
  concurrency: limit 7.1, inFlight 2
INSTANCE  ADDRESS      WEIGHT  HEALTH    PICKED  IN FLIGHT  EXPECTED  WHY
orders-1  127.0.0.1:1  1       healthy   yes     1          12.3 ms
orders-2  127.0.0.1:1  1       draining  no      1          12.3 ms   draining
`,
    );
  });

  it('says of a refusal what would fit and what to do, in red where there are colours', () => {
    const outcome = { kind: 'refused', summary: 'no', code: 'NO_SUCH_SERVICE', status: 404, mend: 'look', similar: ['orders'] } as const;
    const refused = answer({ outcome, route: null, action: null, clusters: [], mirrors: [], notes: [], listener: null });
    assert.equal(
      explanationText('GET http://x/', refused, PLAIN),
      `GET http://x/
refused: no (404 NO_SUCH_SERVICE)
  did you mean orders?
  mend: look

Caller     default/web/web-1, which was asked for, at node-1
`,
    );
    assert.ok(explanationText('GET http://x/', refused, COLORED).includes(COLORED.bad('refused')));
  });

  it('shows the shares of a split, who is taken, and what several workers see together', () => {
    const views = [1, 2].map((worker) => ({
      ...VIEW,
      worker,
      balancer: { inFlight: worker, expectedMs: worker * 10, reportedInFlight: 4, basis: `way ${worker}` },
    }));
    const clusters = [
      target('one', [candidate('a', { views })], { sharePercent: 33.333, taken: false }),
      target('two', [], { sharePercent: 66.667, taken: true }),
      target('three', [], { sharePercent: 0, taken: false, cluster: null }),
    ];
    const text = explanationText('GET http://x/', answer({ clusters }), PLAIN);
    assert.match(text, /^33\.33 % one$/m);
    assert.match(text, /^66\.67 % ← this request two$/m);
    assert.match(text, /^0 % three: it has not arrived yet$/m);
    assert.match(text, /^a +127\.0\.0\.1:1 +1 +healthy +yes +3 +4 +20 ms +way 1 \| way 2$/m);
    assert.match(text, /no instances/);
  });

  it('is made of what proxies answer', () => {
    const real: Explanation = ask(dump(), 'http://orders/');
    assert.match(explanationText('GET http://orders/', real, PLAIN), /^orders-1 +127\.0\.0\.1:20001 +1 +healthy +yes +- +-$/m);
  });

  it('tells what the called side decides, and why each rule that does not fit does not', () => {
    const nobody = { name: 'readers', effect: 'allow', subjects: [{ networks: ['10.0.0.0/8'] }], permissions: [] } as const;
    const watching = { name: 'writers', effect: 'deny', audit: true, subjects: [{}], permissions: [] } as const;
    const of = dump({
      inbound: { access: { default: 'deny', rules: [nobody, watching] }, tokens: { issuers: [{ name: 'login' } as never] } },
    });
    const text = explanationText('GET http://orders/', ask(of, 'http://orders/'), PLAIN);
    assert.match(text, /^refused: orders-1 refuses it: no rule fits, and the default is deny \(403 ACCESS_DENIED\)$/m);
    assert.match(text, /the called side refuses it: no rule fits/);
    assert.match(text, /only watched: rule "writers" would deny it/);
    assert.match(text, /not rule "readers": the caller's address 127\.0\.0\.1 is not in 10\.0\.0\.0\/8/);
    assert.match(text, /a token that comes with it must be a valid one of login/);
  });
});

describe('the options of heddle explain', () => {
  it('are headers, several times, and where the proxy is', () => {
    assert.deepEqual(askedHeader('b:c:d', askedHeader('A: x')), [
      ['A', 'x'],
      ['b', 'c:d'],
    ]);
    assert.throws(() => askedHeader('a'), /NAME:VALUE/);
    assert.deepEqual(askedProxy('15020'), { host: '127.0.0.1', port: 15_020 });
    assert.deepEqual(askedProxy('[::1]:1'), { host: '::1', port: 1 });
    assert.throws(() => askedProxy('x'), /HOST:PORT/);
  });
});

describe('the text of heddle describe instance', () => {
  const description: InstanceDescription = {
    instance: {
      service: { namespace: 'default', name: 'orders' },
      id: 'orders-1',
      node: 'node-1',
      inbound: { address: '::1', port: 1 },
      application: { address: '127.0.0.1', port: 2 },
      outbounds: [{ service: { namespace: 'default', name: 'inventory' }, listen: { address: '127.0.0.1', port: 3 } }],
      version: 'v2',
      labels: { tier: 'gold' },
      metadata: {},
      ports: { metrics: 9_100 },
      locality: { region: 'eu', zone: 'a' },
      weight: 2,
      health: 'unhealthy',
      healthReason: 'checks fail',
      revision: 7,
    },
    pid: null,
    reasons: [
      { source: 'report', detector: 'lb', health: 'unhealthy', text: 'lb reports: slow' },
      { source: 'lease', detector: null, health: 'healthy', text: 'its data plane sends heartbeats' },
    ],
    told: { dataPlanes: 3, applied: 2, behind: [{ node: 'node-2', since: null, rejection: 'too many' }], hostConnected: false },
    events: [],
  };

  it('has all that is known, and leaves out what is not', () => {
    assert.equal(
      describeText(description, PLAIN),
      `Instance     default/orders/orders-1
Health       unhealthy: checks fail
Node         node-1, which is not connected
Inbound      [::1]:1
Application  127.0.0.1:2
Version      v2
Labels       tier=gold
Ports        metrics=9100
Calls        default/inventory by 127.0.0.1:3
Locality     eu/a
Weight       2
Revision     7
Told         2 of 3 data planes have applied the newest endpoints; behind: node-2, which rejected them: too many

EVIDENCE      SAYS       BECAUSE
report by lb  unhealthy  lb reports: slow
lease         healthy    its data plane sends heartbeats

no events of it are kept
`,
    );
  });
});
