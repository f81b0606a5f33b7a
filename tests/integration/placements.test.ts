// The same table of scenarios with the data plane inside the process, in a proxy beside it, and both mixed: every row has one expected outcome, whatever
// the placement. A row that differs somewhere says where, and why; there is none.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { exportJWK, SignJWT } from 'jose';
import { Cleanup, temporaryDirectory } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { type Application, type Ask, PLACEMENTS, startMesh, type Told } from './support/placements.ts';

const HEALTH = 'health: { interval: 300ms, timeout: 300ms }';
const ISSUER = 'https://id.test';
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const meshFile = (keysFile: string): string => `
mesh: test
services:
  web: { port: 80, ${HEALTH} }
  shop: { port: 81, balance: { policy: round-robin, hash: [{ header: x-user }] }, ${HEALTH} }
  flaky: { port: 82, balance: round-robin, retry: { attempts: 3, on: [5xx, reset, connect-failure], nonIdempotent: false }, ${HEALTH} }
  slow: { port: 83, timeout: 250ms, ${HEALTH} }
  narrow: { port: 84, breaker: { requests: 1, pending: 1 }, ${HEALTH} }
  sick: { port: 85, balance: round-robin, retry: { attempts: 1 }, outlier: { consecutiveErrors: 2, eject: 60s, maxEjected: 50% }, ${HEALTH} }
  guarded: { port: 86, ${HEALTH} }
  limited: { port: 87, rateLimit: { requests: 2, per: 1h, by: identity }, ${HEALTH} }
  tokens: { port: 88, ${HEALTH} }
  empty: { port: 89, ${HEALTH} }
  forbidden: { port: 90, ${HEALTH} }
security:
  issuers:
    - { name: login, issuer: "${ISSUER}", audiences: [shop], algorithms: [ES256], keys: { file: ${keysFile} }, claimHeaders: { x-user: sub } }
  access:
    default: allow
    rules:
      - { effect: deny, from: [web], to: guarded, paths: ["/private/**"] }
      - { effect: deny, from: [web], to: guarded, methods: [DELETE] }
      - { effect: deny, from: [web], to: forbidden }
      - { effect: deny, from: anyone, to: tokens, paths: ["/admin"], when: '!("sub" in claims) || claims.sub != "root"' }
routes:
  - service: shop
    rules:
      - { name: beta, match: { headers: { x-beta: "1" } }, to: { labels: { version: v2 } } }
      - { name: canary, match: { path: /canary/** }, to: [{ labels: { version: v2 }, weight: 30 }, { labels: { version: v1 }, weight: 70 }] }
      - { name: sides, match: { path: /sides }, splitBy: hash, to: [{ labels: { version: v2 }, weight: 50 }, { labels: { version: v1 }, weight: 50 }] }
      - { name: api, match: { path: "/v1/orders/{id}" }, rewrite: { path: "/orders/{id}" } }
      - { name: marked, match: { path: /marked }, headers: { request: { set: { x-caller: "%SOURCE_IDENTITY%" }, remove: [x-secret] }, response: { set: { x-answered-by: heddle } } } }
      - { name: moved, match: { path: /old/** }, redirect: { status: 308, prefix: /new, host: shop.example } }
      - { name: closed, match: { path: /closed }, respond: { status: 410, body: "gone for good" } }
      - { name: limited, match: { path: /limited }, rateLimit: { requests: 3, per: 1h, by: { header: x-user } } }
      - { name: broken, match: { path: /broken }, fault: { abort: { status: 418 } } }
      - { name: nowhere, match: { path: /nowhere }, to: { labels: { version: v9 } } }
`;

const tries = new Map<string, number>();

const echo =
  (name: string): RequestListener =>
  (request, response) => {
    void bodyOf(request).then((body) => {
      response.setHeader('x-name', name);
      response.end(JSON.stringify({ name, path: request.url, method: request.method, headers: request.headers, body }));
    });
  };

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request) text += String(part);
  return text;
}

/** Fails as often as the request says, then answers. */
const flaky: RequestListener = (request, response) => {
  const key = String(request.headers['x-key']);
  const count = (tries.get(key) ?? 0) + 1;
  tries.set(key, count);
  if (count > Number(request.headers['x-failures'])) return void response.end('well');
  if (request.url === '/break') request.socket.destroy();
  else response.writeHead(503).end('ill');
};

const slow: RequestListener = (request, response) => {
  if (request.url !== '/never') response.end('in time');
};

/** Of this caller's and this called one's placement. */
const waiting = new Map<string, (() => void)[]>();
const narrow =
  (unique: string): RequestListener =>
  (_request, response) => {
    const all = waiting.get(unique) ?? [];
    waiting.set(unique, all);
    all.push(() => response.end('through'));
  };

const ill: RequestListener = (request, response) => {
  if (request.url === '/healthz') response.end();
  else response.writeHead(500).end('ill');
};

const applications = (unique: string): readonly Application[] => [
  { instance: 'shop-1', version: 'v1', handler: echo('shop-1') },
  { instance: 'shop-2', version: 'v2', handler: echo('shop-2') },
  { instance: 'flaky-1', handler: flaky },
  { instance: 'slow-1', handler: slow },
  { instance: 'narrow-1', handler: narrow(unique) },
  { instance: 'sick-1', handler: echo('sick-1') },
  { instance: 'sick-2', handler: ill },
  { instance: 'guarded-1', handler: echo('guarded-1') },
  { instance: 'limited-1', handler: echo('limited-1') },
  { instance: 'tokens-1', handler: echo('tokens-1') },
  { instance: 'forbidden-1', handler: echo('forbidden-1') },
];

interface Row {
  readonly name: string;
  readonly run: (ask: Ask, unique: string) => Promise<unknown>;
  readonly expected: unknown;
}

interface Echoed {
  readonly name: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const said = ({ status, body }: Told): Echoed => {
  assert.equal(status, 200, body);
  return JSON.parse(body) as Echoed;
};
const outcome = ({ status, error }: Told): [number, string] => [status, error];
const at = (service: string, path = '/'): string => `http://${service}.mesh.internal${path}`;

async function tally(count: number, one: (index: number) => Promise<string>): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const name = await one(index);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const token = (claims: object, over: { readonly issuer?: string; readonly audience?: string } = {}): Promise<string> =>
  new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer(over.issuer ?? ISSUER)
    .setAudience(over.audience ?? 'shop')
    .setExpirationTime('5m')
    .sign(keys.privateKey);

const ROWS: readonly Row[] = [
  {
    name: 'both instances in turn',
    run: (ask) => tally(10, async () => said(await ask(at('shop'))).name),
    expected: { 'shop-1': 5, 'shop-2': 5 },
  },
  {
    name: 'who calls is told, and cannot be said by the caller',
    run: async (ask) =>
      said(await ask(at('shop'), { headers: { 'x-heddle-peer': 'spiffe://test/ns/default/svc/admin' } })).headers['x-heddle-peer'],
    expected: 'spiffe://test/ns/default/svc/web',
  },
  {
    name: 'method, query and body arrive',
    run: async (ask) => {
      const { path, body } = said(await ask(at('shop', '/a%20b?c=d&e'), { method: 'PUT', body: 'stuff' }));
      return { path, body };
    },
    expected: { path: '/a%20b?c=d&e', body: 'stuff' },
  },
  {
    name: 'a route by header',
    run: (ask) => tally(4, async () => said(await ask(at('shop'), { headers: { 'x-beta': '1' } })).name),
    expected: { 'shop-2': 4 },
  },
  {
    name: 'a split by weight',
    run: async (ask) => {
      const { 'shop-2': canary = 0 } = await tally(200, async () => said(await ask(at('shop', '/canary/x'))).name);
      return canary > 30 && canary < 95;
    },
    expected: true,
  },
  {
    name: 'a path is rewritten',
    run: async (ask) => said(await ask(at('shop', '/v1/orders/7?x=1'))).path,
    expected: '/orders/7?x=1',
  },
  {
    name: 'headers are changed in both directions',
    run: async (ask) => {
      const told = await ask(at('shop', '/marked'), { headers: { 'x-secret': 'a', 'x-caller': 'b' } });
      const { headers } = said(told);
      return [headers['x-secret'], headers['x-caller'], told.headers['x-answered-by']];
    },
    expected: [undefined, 'spiffe://test/ns/default/svc/web', 'heddle'],
  },
  {
    name: 'a redirect and a fixed answer',
    run: async (ask) => {
      const moved = await ask(at('shop', '/old/thing'));
      const closed = await ask(at('shop', '/closed'));
      return [moved.status, moved.headers['location'], closed.status, closed.body];
    },
    expected: [308, 'http://shop.example/new/thing', 410, 'gone for good'],
  },
  { name: 'a fault on purpose', run: async (ask) => outcome(await ask(at('shop', '/broken'))), expected: [418, 'FAULT_INJECTED'] },
  { name: 'a route to nobody', run: async (ask) => outcome(await ask(at('shop', '/nowhere'))), expected: [503, 'NO_HEALTHY_INSTANCE'] },
  { name: 'a service without instances', run: async (ask) => outcome(await ask(at('empty'))), expected: [503, 'NO_HEALTHY_INSTANCE'] },
  { name: 'a service that is not there', run: async (ask) => outcome(await ask(at('nothing'))), expected: [404, 'NO_SUCH_SERVICE'] },
  {
    name: 'failures are repeated as often as is allowed',
    run: async (ask, unique) => {
      const one = async (failures: number, path = '/', method = 'GET'): Promise<unknown> => {
        const key = `${unique} ${failures} ${path} ${method}`;
        const told = await ask(at('flaky', path), { method, headers: { 'x-key': key, 'x-failures': String(failures) } });
        return [told.status, tries.get(key)];
      };
      return [await one(2), await one(5), await one(1, '/break'), await one(1, '/', 'POST')];
    },
    expected: [
      [200, 3],
      [503, 4],
      [200, 2],
      [503, 1],
    ],
  },
  {
    name: 'a time limit',
    run: async (ask) => [outcome(await ask(at('slow', '/never'))), outcome(await ask(at('slow')))],
    expected: [
      [504, 'REQUEST_TIMEOUT'],
      [200, ''],
    ],
  },
  {
    name: 'a circuit breaker',
    run: async (ask, unique) => {
      const asked = Array.from({ length: 6 }, () => ask(at('narrow')));
      const first = Promise.race(asked);
      const refused = outcome(await first);
      let isOver = false;
      const all = Promise.all(asked).then((told) => {
        isOver = true;
        return told;
      });
      while (!isOver) {
        for (const answer of waiting.get(unique)?.splice(0) ?? []) answer();
        await new Promise(setImmediate);
      }
      const statuses = (await all).map(({ status }) => status);
      return [refused, statuses.includes(200), statuses.filter((status) => status === 503).length >= 4];
    },
    expected: [[503, 'CIRCUIT_OPEN'], true, true],
  },
  {
    name: 'an instance that fails is left out',
    run: async (ask) => {
      for (let i = 0; i < 12; i++) await ask(at('sick'));
      return tally(10, async () => said(await ask(at('sick'))).name);
    },
    expected: { 'sick-1': 10 },
  },
  {
    name: 'access rules',
    run: async (ask) => [
      outcome(await ask(at('guarded', '/open'))),
      outcome(await ask(at('guarded', '/private/x'))),
      outcome(await ask(at('guarded', '/open/../private/x'.replace('..', '%2e%2e')))),
      outcome(await ask(at('guarded', '/open'), { method: 'DELETE' })),
      outcome(await ask(at('forbidden'))),
    ],
    expected: [
      [200, ''],
      [403, 'ACCESS_DENIED'],
      [403, 'ACCESS_DENIED'],
      [403, 'ACCESS_DENIED'],
      [403, 'ACCESS_DENIED'],
    ],
  },
  {
    name: 'rate limits of the service and of a route',
    run: async (ask) => {
      const service = [];
      for (let i = 0; i < 3; i++) service.push(outcome(await ask(at('limited'))));
      const route = [];
      for (let i = 0; i < 4; i++) route.push(outcome(await ask(at('shop', '/limited'), { headers: { 'x-user': 'ann' } })));
      const other = outcome(await ask(at('shop', '/limited'), { headers: { 'x-user': 'bob' } }));
      return [service, route, other];
    },
    expected: [
      [
        [200, ''],
        [200, ''],
        [429, 'RATE_LIMITED'],
      ],
      [
        [200, ''],
        [200, ''],
        [200, ''],
        [429, 'RATE_LIMITED'],
      ],
      [200, ''],
    ],
  },
  {
    name: 'tokens',
    run: async (ask) => {
      const bearer = async (text: string, path = '/'): Promise<Told> =>
        ask(at('tokens', path), { headers: { authorization: `Bearer ${text}`, 'x-user': 'forged' } });
      const good = await bearer(await token({ sub: 'ann' }));
      return [
        said(good).headers['x-user'],
        said(await ask(at('tokens'), { headers: { 'x-user': 'forged' } })).headers['x-user'],
        outcome(await bearer(await token({ sub: 'ann' }, { audience: 'elsewhere' }))),
        outcome(await bearer(await token({ sub: 'ann' }, { issuer: 'https://other.test' }))),
        outcome(await bearer(`${await token({ sub: 'ann' })}x`)),
        outcome(await bearer('rubbish')),
        outcome(await bearer(await token({ sub: 'ann' }), '/admin')),
        outcome(await bearer(await token({ sub: 'root' }), '/admin')),
      ];
    },
    expected: [
      'ann',
      undefined,
      [401, 'TOKEN_INVALID'],
      [401, 'TOKEN_INVALID'],
      [401, 'TOKEN_INVALID'],
      [401, 'TOKEN_INVALID'],
      [403, 'ACCESS_DENIED'],
      [200, ''],
    ],
  },
];

describe('the same mesh', { concurrency: true }, () => {
  for (const placement of PLACEMENTS) {
    const { caller, called } = placement;
    const unique = `${caller} ${called}`;
    describe(`caller with its data plane ${caller}, called one with its data plane ${called}`, { concurrency: false }, () => {
      const cleanup = new Cleanup();
      after(() => cleanup.run());
      let ask: Ask;
      before(async () => {
        const directory = await temporaryDirectory(cleanup);
        const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
        await writeFile(join(directory, 'keys.json'), JSON.stringify({ keys: [jwk] }));
        ask = await startMesh(cleanup, meshFile(join(directory, 'keys.json')), applications(unique), placement);
        for (const { instance } of applications(unique)) {
          const service = instance.replace(/-\d+$/, '');
          if (service === 'narrow' || service === 'limited') continue;
          await waitFor(`an answer of ${instance}`, async () => (await isKnown(ask, instance, service)) || undefined);
        }
      });
      for (const { name, run, expected } of ROWS) test(name, async () => assert.deepEqual(await run(ask, unique), expected));
    });
  }
});

/** That the caller sends requests to this instance. */
async function isKnown(ask: Ask, instance: string, service: string): Promise<boolean> {
  if (service === 'shop')
    return (await ask(at('shop'), instance === 'shop-2' ? { headers: { 'x-beta': '1' } } : {})).headers['x-name'] === instance;
  const { error } = await ask(at(service), { headers: { 'x-key': `first ${Math.random()}`, 'x-failures': '0' } });
  return error !== 'NO_HEALTHY_INSTANCE';
}
