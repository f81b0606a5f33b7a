// A service that says all that a service can say, and hosts outside the mesh.
import { ANY_REQUEST, DEFAULT_OUTLIER, NO_RETRY } from '@heddle/core';
import type { EgressHost, SecurityConfig, Service, TrafficRule } from '@heddle/core';
import { service } from './mesh.ts';

const ref = (name: string) => ({ namespace: 'default', name });
const change = { set: { 'x-a': '1' }, add: { 'x-b': '%REQUEST_ID%' }, remove: ['x-c'] };

/** Leads to `orders` and `stock`. */
export const FULL_RULES: readonly TrafficRule[] = [
  {
    name: 'beta',
    matches: [
      {
        kind: 'request',
        path: { kind: 'segments', value: '/v2' },
        methods: ['GET', 'POST'],
        headers: [
          { name: 'x-beta', match: { kind: 'exact', value: '1', ignoreCase: true } },
          { name: 'x-old', invert: true },
        ],
        query: [{ name: 'debug' }],
        authority: { kind: 'suffix', value: '.mesh.internal' },
      },
      { kind: 'request', path: { kind: 'template', value: '/beta/{id}/{rest=**}' } },
    ],
    action: {
      kind: 'forward',
      to: [
        { service: ref('orders'), labels: { version: 'v2', tier: 'gold' }, weight: 10, requestHeaders: change },
        { service: ref('stock'), labels: {}, weight: 90, responseHeaders: change },
      ],
      splitByHash: true,
      timeoutMs: 500,
      idleTimeoutMs: 1_000,
      retry: { ...NO_RETRY, attempts: 1, on: ['5xx', 'retriable-status'], statuses: [429], perTryMs: 100, nonIdempotent: true },
      hedge: false,
      rewrite: { path: { kind: 'full', value: '/v1' }, authority: 'legacy' },
      mirrors: [{ service: ref('stock'), labels: { version: 'v3' }, percent: 0.5 }],
    },
    requestHeaders: change,
    responseHeaders: change,
    fault: { delay: { percent: 10, delayMs: 20 }, abort: { percent: 1, status: { kind: 'grpc', code: 14 } } },
    rateLimits: [{ requests: 5, perMs: 1_000, burst: 9, by: { kind: 'header', name: 'x-user' } }],
  },
  {
    name: 'moved',
    matches: [{ kind: 'request', path: { kind: 'exact', value: '/old' } }],
    action: {
      kind: 'redirect',
      status: 308,
      scheme: 'https',
      authority: 'new.example',
      path: { kind: 'full', value: '/new' },
      stripQuery: true,
    },
  },
  {
    name: 'hello',
    matches: [{ kind: 'request', path: { kind: 'regex', value: '/h(i|ello)' } }],
    action: { kind: 'respond', status: 200, body: 'hi', contentType: 'text/plain' },
  },
];

export const FULL_SERVICE: Service = service('orders', {
  labels: { team: 'shop' },
  metadata: { owner: 'ann' },
  ports: { metrics: 9_090 },
  health: {
    kind: 'http',
    path: '/healthz',
    statuses: [
      [200, 204],
      [301, 301],
    ],
    port: 9_100,
    intervalMs: 1_000,
    timeoutMs: 500,
    unhealthyAfter: 2,
    healthyAfter: 1,
  },
  balance: { algorithm: 'ring-hash', locality: 'prefer', slowStartMs: 30_000, panicPercent: 33.3 },
  idleTimeoutMs: 60_000,
  retry: { ...NO_RETRY, attempts: 2, on: ['connect-failure'], backoff: { baseMs: 10, maxMs: 100 } },
  retryBudget: { percent: 12.5, minPerSecond: 1.5 },
  hedge: { afterMs: 200, attempts: 1 },
  breaker: { connections: 1, pending: 2, requests: 3 },
  adaptiveConcurrency: { minRequests: 4, maxRequests: 40 },
  outlier: { ...DEFAULT_OUTLIER, successRateFactor: 1.9, failurePercent: 85, latencyFactor: 3 },
  hash: [
    { kind: 'header', name: 'x-user' },
    { kind: 'cookie', name: 'sid', ttlMs: 3_600_000 },
    { kind: 'query', name: 'u' },
    { kind: 'source' },
  ],
  session: { cookie: 'heddle-session', ttlMs: 0 },
  rateLimits: [
    { requests: 100, perMs: 1_000, burst: 200, by: { kind: 'identity' } },
    { requests: 1, perMs: 1_000, burst: 1, by: { kind: 'all' }, match: { ...ANY_REQUEST, path: { kind: 'prefix', value: '/expensive' } } },
  ],
  rules: FULL_RULES,
});

export const EGRESS: readonly EgressHost[] = [
  { host: 'API.example.com', port: 443, protocol: 'https' },
  { host: 'api.example.com', port: 80, protocol: 'http' },
  { host: 'db.example.com', port: 5_432, protocol: 'tcp' },
  { host: '2001:db8::1', port: 8_080, protocol: 'http' },
];

const identity = (name: string): string => `spiffe://shop.test/ns/default/svc/${name}`;

/** All that can be said about security, for `orders`, `stock`, `cache` and `mixed`. */
export const FULL_SECURITY: SecurityConfig = {
  mtls: 'permissive',
  tlsMin: '1.2',
  issuers: [
    {
      name: 'login',
      issuer: 'https://id.test',
      audiences: ['shop'],
      keys: { kind: 'url', url: 'https://id.test/jwks.json' },
      keysMaxAgeMs: 300_000,
      rootsPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      algorithms: ['ES256', 'EdDSA'],
      sources: [
        { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
        { kind: 'cookie', name: 'session' },
      ],
      skewMs: 60_000,
      claimHeaders: [{ claim: ['realm', 'roles'], header: 'x-roles' }],
      forward: true,
      introspection: { url: 'https://id.test/introspect', clientId: 'shop', clientSecretFile: '/run/secret', cacheMs: 60_000 },
    },
  ],
  access: {
    default: 'deny',
    rules: [
      {
        name: 'readers',
        effect: 'allow',
        subjects: [
          { identities: [{ kind: 'exact', id: identity('stock') }] },
          { networks: ['10.0.0.0/8'], token: { issuers: ['login'], claims: [{ claim: ['roles'], values: ['reader', 1, true] }] } },
        ],
        permissions: [
          {
            methods: ['GET'],
            paths: [{ kind: 'segments', value: '/orders' }],
            authorities: [{ kind: 'exact', value: 'orders' }],
            headers: [{ name: 'x-beta' }],
          },
        ],
        to: [{ kind: 'service', service: ref('orders') }],
      },
      {
        name: 'never',
        effect: 'deny',
        subjects: [{ identities: [{ kind: 'prefix', prefix: 'spiffe://shop.test/ns/bad/' }] }],
        permissions: [],
        to: [],
      },
      {
        name: 'watched',
        effect: 'deny',
        audit: true,
        subjects: [{ identities: [{ kind: 'any' }] }],
        permissions: [{ methods: ['DELETE'] }],
        to: [{ kind: 'namespace', namespace: 'default' }],
      },
    ],
    external: { service: ref('stock'), timeoutMs: 200, failOpen: false, bodyBytesMax: 8_192 },
  },
  denied: [identity('gone')],
  outboundTokens: [
    {
      token: {
        name: 'billing',
        grant: 'client-credentials',
        url: 'https://id.test/token',
        clientId: 'orders',
        clientSecretFile: '/run/orders',
        scopes: ['bill'],
        audience: 'billing',
        header: 'authorization',
      },
      from: [ref('orders')],
      to: [ref('stock'), { namespace: 'heddle-egress', name: 'api.test:443' }],
    },
  ],
};
