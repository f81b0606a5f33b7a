// Tokens on their way through data planes, on every version of HTTP and for one data plane and a pair: what is refused never reaches the application, the answer
// says nothing that helps, and the application gets what the token says and nothing that somebody else says.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ClientSessionOptions } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import type { OutboundToken, TokenIssuer } from '@heddle/core';
import { decidingPlane, guard, policy, rule } from './testing/access.ts';
import { createClient } from './testing/clients.ts';
import type { Answer, HeaderMap } from './testing/clients.ts';
import { GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { Fleet, FleetOptions } from './testing/instances.ts';
import { signingKey, TestIssuer } from './testing/issuer.ts';
import { endpoint, meshCluster, mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import type { RouteOptions } from './testing/mesh.ts';
import { isQuiet } from './testing/paths.ts';
import { RawServer, until } from './testing/raw-http.ts';
import { attacksOn, Targets } from './testing/token-attacks.ts';

const STAFF_ONLY = policy(
  'deny',
  rule('staff', 'allow', [], [{ token: { issuers: ['login'], claims: [{ claim: ['realm', 'roles'], values: ['staff'] }] } }]),
);
const STAFF = { realm: { roles: ['staff', 'sales'] } };
const CLAIM_HEADERS = [
  { claim: ['sub'], header: 'x-user' },
  { claim: ['realm', 'roles'], header: 'x-roles' },
];

describe('tokens', () => {
  let mesh = new TestMesh();
  let seen: Readonly<Record<string, string | string[] | undefined>>[] = [];
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  async function issuerOf(): Promise<TestIssuer> {
    const issuer = await TestIssuer.start('ES256');
    mesh.onClose(() => issuer.close());
    return issuer;
  }

  async function fleetOf(way: Pick<FleetOptions, 'hops' | 'version'>): Promise<Fleet> {
    seen = [];
    return startFleet(mesh, { count: 1, ...way }, ({ headers }, response) => {
      seen.push(headers);
      response.end('ok');
    });
  }

  async function start(
    way: Pick<FleetOptions, 'hops' | 'version'>,
    more: Partial<TokenIssuer> = {},
  ): Promise<{ fleet: Fleet; issuer: TestIssuer }> {
    const [issuer, fleet] = [await issuerOf(), await fleetOf(way)];
    await guard(fleet.way, { tokens: { issuers: [issuer.config({ claimHeaders: CLAIM_HEADERS, ...more })] }, access: STAFF_ONLY });
    return { fleet, issuer };
  }

  const call = (fleet: Fleet, headers: HeaderMap): Promise<Answer> => fleet.client.call({ headers });
  const bearer = (token: string): HeaderMap => ({ authorization: `Bearer ${token}` });
  const verdict = ({ status, headers }: Answer): unknown[] => [status, headers['x-heddle-error'], headers['www-authenticate']];

  for (const way of WAYS) {
    describe(way.name, () => {
      test('a request with a good token passes, and the application gets what it says in place of what the caller says', async () => {
        const { fleet, issuer } = await start(way);
        const spoofed = { 'x-user': 'root', 'X-Roles': 'admin', x_user: 'root', 'x-other': 'kept' };
        const answer = await call(fleet, { ...bearer(await issuer.token(STAFF)), ...spoofed });
        assert.equal(answer.status, 200, answer.body.toString());
        assert.deepEqual(
          [seen[0]!['x-user'], seen[0]!['x-roles'], seen[0]!['x_user'], seen[0]!['x-other']],
          ['ann', 'staff,sales', undefined, 'kept'],
        );
        assert.match(String(seen[0]!['authorization']), /^Bearer ey/);
        assert.ok(isQuiet(fleet.way.planes));
      });

      test('bad tokens, missing ones and those without the right claims are told apart, and by nothing else', async () => {
        const { fleet, issuer } = await start(way);
        const good = await issuer.token(STAFF);
        const stranger = await signingKey('ES256', issuer.keys[0]!.kid);
        const invalid = [401, 'TOKEN_INVALID', 'Bearer error="invalid_token"'];
        const bodies = new Set<string>();
        for (const token of [
          await issuer.token({ ...STAFF, exp: 1 }),
          await issuer.token({ ...STAFF, aud: 'bank' }),
          await issuer.token({ ...STAFF, iss: 'https://id.evil' }),
          await issuer.token(STAFF, {}, stranger),
          await issuer.token(STAFF, { kid: 'unknown' }),
          await issuer.token(STAFF, { jwk: stranger.jwk }, stranger),
          `${Buffer.from('{"alg":"none"}').toString('base64url')}.${good.split('.')[1]}.`,
          `${good}x`,
          'x'.repeat(17_000),
          'letmein',
        ]) {
          const answer = await call(fleet, bearer(token));
          assert.deepEqual(verdict(answer), invalid);
          bodies.add(answer.body.toString());
        }
        assert.equal(bodies.size, 1, 'the same words for all');
        assert.deepEqual(verdict(await call(fleet, { authorization: 'bearer' })), [401, 'TOKEN_INVALID', 'Bearer error="invalid_request"']);
        assert.deepEqual(verdict(await call(fleet, {})), [401, 'TOKEN_REQUIRED', 'Bearer']);
        assert.deepEqual(verdict(await call(fleet, { authorization: `Basic ${good}` })), [401, 'TOKEN_REQUIRED', 'Bearer']);
        assert.equal((await call(fleet, bearer(await issuer.token()))).status, 403);
        assert.equal(seen.length, 0);
        assert.equal((await call(fleet, { authorization: `BEARER ${good}` })).status, 200);
        const reasons = decidingPlane(fleet.way).lines.map(({ why }) => String(why));
        for (const reason of [
          /it ended/,
          /audience "bank"/,
          /none of the issuers/,
          /signature/,
          /no such key/,
          /key of its own/,
          /not signed/,
        ])
          assert.ok(
            reasons.some((why) => reason.test(why)),
            `the log says ${reason.source}`,
          );
        assert.ok(!JSON.stringify(decidingPlane(fleet.way).lines).includes(good.split('.')[2]!), 'no signature in the log');
      });

      test('no attack gets to the application, and the answer is the same for all', async () => {
        const fleet = await fleetOf(way);
        const targets = await Targets.start();
        mesh.onClose(() => targets.close());
        await guard(fleet.way, { tokens: targets.policy });
        // One that sends what it should not.
        const client = createClient(way.version, fleet.way.port, { strictSingleValueFields: false } as ClientSessionOptions);
        mesh.onClose(() => client.close());
        for (const { name, reason, headers } of attacksOn(targets)) {
          const map: Record<string, string | string[]> = {};
          for (const [header, value] of await headers()) map[header] = map[header] === undefined ? value : [map[header], value].flat();
          const answer = await client.call({ headers: map });
          assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [401, 'TOKEN_INVALID'], name);
          assert.match(String(answer.headers['www-authenticate']), /^Bearer error="invalid_(token|request)"$/, name);
          assert.doesNotMatch(answer.body.toString(), reason, name);
        }
        assert.equal(seen.length, 0);
        assert.equal((await call(fleet, bearer(await targets.login.token()))).status, 200);
      });

      test('gRPC callers send tokens as metadata, and are refused as such', async () => {
        const { fleet, issuer } = await start(way);
        const grpc = async (headers: HeaderMap): Promise<string> => {
          const answer = await fleet.client.call({ method: 'POST', path: '/a.B/C', headers: { ...GRPC_HEADERS, ...headers }, body: [] });
          return String(answer.headers['grpc-status'] ?? answer.status);
        };
        assert.equal(await grpc(bearer(await issuer.token({ exp: 1 }))), way.version === 'http2' || way.hops === 'pair' ? '16' : '401');
        assert.equal(await grpc(bearer(await issuer.token(STAFF))), '200');
        assert.equal(seen[0]!['x-user'], 'ann');
      });
    });
  }

  const PAIR = { hops: 'pair', version: 'http2' } as const;

  test('what only tokens may say is taken from requests without one, too', async () => {
    const [issuer, fleet] = [await issuerOf(), await fleetOf(PAIR)];
    await guard(fleet.way, { tokens: { issuers: [issuer.config({ claimHeaders: CLAIM_HEADERS })] } });
    assert.equal((await call(fleet, { 'x-user': 'root', x_roles: 'admin' })).status, 200);
    assert.deepEqual([seen[0]!['x-user'], seen[0]!['x_roles']], [undefined, undefined]);
  });

  test('a token that is not to be passed on stays behind, out of header and cookies', async () => {
    const { fleet, issuer } = await start(PAIR, {
      forward: false,
      sources: [
        { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
        { kind: 'cookie', name: 'session' },
      ],
    });
    const token = await issuer.token(STAFF);
    assert.equal((await call(fleet, bearer(token))).status, 200);
    assert.equal((await call(fleet, { cookie: `a=1; session=${token}; b=2` })).status, 200);
    assert.deepEqual([seen[0]!['authorization'], seen[1]!['cookie'], seen[1]!['x-user']], [undefined, 'a=1; b=2', 'ann']);
  });

  test('a request with a body waits for the keys of the issuer, and loses nothing', async () => {
    const issuer = await issuerOf();
    let open = (): void => {};
    issuer.gate = new Promise((resolve) => (open = resolve));
    let received = '';
    const fleet = await startFleet(mesh, { count: 1, ...PAIR }, (request, response) => {
      request.on('data', (chunk: Buffer) => (received += chunk.toString()));
      request.on('end', () => response.end('ok'));
    });
    await guard(fleet.way, { tokens: { issuers: [issuer.config()] } });
    const body = 'x'.repeat(300_000);
    const answer = fleet.client.call({ method: 'POST', headers: bearer(await issuer.token()), body: [body, 'end'] });
    await until(() => issuer.count('/jwks') === 1, 'the question for keys');
    open();
    assert.equal((await answer).status, 200);
    assert.equal(received, `${body}end`);
  });

  for (const way of WAYS) {
    test(`what only tokens may say is in no trailers either, also of a request that had to wait, ${way.name}`, async () => {
      const issuer = await issuerOf();
      let open = (): void => {};
      issuer.gate = new Promise((resolve) => (open = resolve));
      const received: unknown[] = [];
      const fleet = await startFleet(mesh, { count: 1, ...way }, (request, response) => {
        request.resume();
        request.on('end', () => {
          const { trailers } = request;
          received.push([trailers['x-user'], trailers['x_user'], trailers['x-kept']]);
          response.end('ok');
        });
      });
      await guard(fleet.way, { tokens: { issuers: [issuer.config({ claimHeaders: CLAIM_HEADERS })] } });
      const forged = { 'x-user': 'root', x_user: 'root', 'x-kept': 'yes' };
      const post = async (): Promise<Answer> =>
        fleet.client.call({ method: 'POST', headers: { te: 'trailers', ...bearer(await issuer.token()) }, body: ['a'], trailers: forged });
      const waiting = post();
      await until(() => issuer.count('/jwks') === 1, 'the question for keys');
      // One that comes later and needs no token is answered when the trailers of the first have come.
      assert.equal((await fleet.client.call({ method: 'POST', body: ['a'], trailers: forged })).status, 200);
      open();
      assert.equal((await waiting).status, 200);
      assert.equal((await post()).status, 200);
      assert.deepEqual(received, Array(3).fill([undefined, undefined, 'yes']));
    });
  }

  test('without keys it is 503, and the callers are not told which server is away', async () => {
    const issuer = await issuerOf();
    issuer.isDown = true;
    const fleet = await fleetOf(PAIR);
    await guard(fleet.way, { tokens: { issuers: [issuer.config()] } });
    const answer = await call(fleet, bearer(await issuer.token()));
    assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [503, 'AUTHORIZER_UNAVAILABLE']);
    assert.ok(!answer.body.toString().includes(issuer.url));
    assert.equal((await call(fleet, {})).status, 200, 'who has no token needs no issuer');
  });

  test('a new configuration keeps known tokens, and takes up its issuers at once', async () => {
    const { fleet, issuer } = await start(PAIR);
    const token = await issuer.token(STAFF);
    await call(fleet, bearer(token));
    issuer.isDown = true;
    const tokens = { issuers: [issuer.config({ claimHeaders: CLAIM_HEADERS })] };
    await guard(fleet.way, { tokens, access: policy('deny', ...STAFF_ONLY.rules, rule('more', 'deny', [{ methods: ['DELETE'] }])) });
    assert.equal((await call(fleet, bearer(token))).status, 200);
    await guard(fleet.way, { tokens: { issuers: [issuer.config({ audiences: ['bank'] })] } });
    assert.equal((await call(fleet, bearer(token))).status, 401);
  });

  test('a policy that cannot be carried out is rejected, and the last one stays', async () => {
    const { fleet, issuer } = await start(PAIR);
    for (const part of [{ audiences: [] }, { algorithms: ['HS256' as never] }, { claimHeaders: [{ claim: ['sub'], header: 'host' }] }])
      await assert.rejects(
        guard(fleet.way, { tokens: { issuers: [issuer.config(part)] } }),
        /virtual host "all": access policy, issuer "login"/,
      );
    assert.equal((await call(fleet, {})).status, 401);
    assert.equal((await call(fleet, bearer(await issuer.token(STAFF)))).status, 200);
  });

  describe('for calls', () => {
    async function attach(
      fleet: Fleet,
      issuer: TestIssuer,
      more: Partial<OutboundToken> = {},
      from: readonly string[] = [],
      route: RouteOptions = {},
    ): Promise<void> {
      const directory = await mkdtemp(join(tmpdir(), 'heddle-test-'));
      mesh.onClose(() => rm(directory, { recursive: true }));
      const clientSecretFile = join(directory, 'secret');
      await writeFile(clientSecretFile, 's3cret');
      const token: OutboundToken = {
        name: 'orders-api',
        grant: 'client-credentials',
        url: `${issuer.url}/token`,
        clientId: 'web',
        clientSecretFile,
        scopes: [],
        header: 'authorization',
        ...more,
      };
      const name = 'outbound/default/orders';
      const host = { name: 'all', domains: ['*'], routes: [routeOf(name, route)], attach: [{ from, token }] };
      await mustApply(fleet.way.planes[0]!.plane, { kind: 'route', upserts: [{ name, virtualHosts: [host] }], removed: [] });
    }
    let number = 0;
    const issue = (issuer: TestIssuer): void =>
      void issuer.replies.set('/token', ({ form }) => ({
        body: { access_token: `t-${form.get('subject_token') ?? ++number}`, token_type: 'Bearer', expires_in: 600 },
      }));

    for (const way of WAYS) {
      test(`a token is attached in place of what the application sends, ${way.name}`, async () => {
        const [issuer, fleet] = [await issuerOf(), await fleetOf(way)];
        number = 0;
        issue(issuer);
        await attach(fleet, issuer);
        assert.equal((await fleet.client.call({ method: 'POST', headers: bearer('own'), body: ['a', 'b'] })).status, 200);
        assert.equal((await call(fleet, {})).status, 200);
        assert.deepEqual(
          seen.map(({ authorization }) => authorization),
          ['Bearer t-1', 'Bearer t-1'],
        );
      });
    }

    test('only calls of the given services get one', async () => {
      const [issuer, fleet] = [await issuerOf(), await fleetOf(PAIR)];
      issue(issuer);
      await attach(fleet, issuer, {}, ['spiffe://shop.test/ns/default/svc/other']);
      await call(fleet, bearer('own'));
      assert.equal(seen[0]!['authorization'], 'Bearer own');
      assert.equal(issuer.asked.length, 0);
    });

    test('the token of a caller is exchanged, and does not leave', async () => {
      const [issuer, fleet] = [await issuerOf(), await fleetOf(PAIR)];
      issue(issuer);
      await attach(fleet, issuer, { grant: 'token-exchange', header: 'x-api-token' });
      await call(fleet, bearer('ann'));
      await call(fleet, {});
      assert.deepEqual(
        seen.map(({ authorization, 'x-api-token': exchanged }) => [authorization, exchanged]),
        [
          [undefined, 'Bearer t-ann'],
          [undefined, undefined],
        ],
      );
    });

    test('copies that go elsewhere carry neither the token that the call got nor the one that was exchanged for it', async () => {
      for (const grant of ['client-credentials', 'token-exchange'] as const) {
        const [issuer, fleet] = [await issuerOf(), await fleetOf({ hops: 'single', version: 'http1' })];
        issue(issuer);
        const copies: Readonly<Record<string, unknown>>[] = [];
        const { port } = await mesh.application(({ headers }, response) => void (copies.push(headers), response.end()));
        const endpoints = { kind: 'static', endpoints: [endpoint(port, 'shadow-1')] } as const;
        const shadow = meshCluster('shadow', { endpoints, http: 'http1', tls: undefined });
        await mustApply(fleet.way.planes[0]!.plane, { kind: 'cluster', upserts: [shadow], removed: [] });
        await attach(fleet, issuer, { grant }, [], { mirrors: [{ cluster: shadow.name, percent: 100 }] });
        await call(fleet, { ...bearer('ann'), 'x-kept': 'yes' });
        assert.match(String(seen[0]!['authorization']), /^Bearer t-/);
        await until(() => copies.length === 1, 'the copy');
        assert.deepEqual([copies[0]!['authorization'], copies[0]!['x-kept']], [undefined, 'yes']);
      }
    });

    test('without a token the call is refused here, and its secret is in no log', async () => {
      const fleet = await fleetOf(PAIR);
      const issuer = await issuerOf();
      issuer.replies.set('/token', () => ({ status: 401, body: { error: 'invalid_client' } }));
      await attach(fleet, issuer);
      const answer = await call(fleet, {});
      assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [503, 'AUTHORIZER_UNAVAILABLE']);
      assert.match(answer.body.toString(), /"orders-api"/);
      assert.equal(seen.length, 0);
      const log = JSON.stringify(fleet.way.planes[0]!.lines);
      assert.ok(log.includes('invalid_client') && !log.includes('s3cret'));
      assert.ok(!JSON.stringify(fleet.way.planes[0]!.plane.configDump()).includes('s3cret'));
    });

    describe('that the called side does not take', () => {
      /** Takes only tokens with at least this number. */
      let valid = 1;

      async function pickyFleet(way: Pick<FleetOptions, 'hops' | 'version'>): Promise<Fleet> {
        [seen, number, valid] = [[], 0, 1];
        return startFleet(mesh, { count: 1, ...way }, ({ headers }, response) => {
          seen.push(headers);
          const isGood = Number(headers.authorization?.slice('Bearer t-'.length)) >= valid;
          response.writeHead(isGood ? 200 : 401).end();
        });
      }
      const sent = (): (string | undefined)[] =>
        seen.map(({ authorization }) => authorization?.slice('Bearer '.length) as string | undefined);

      for (const way of WAYS) {
        test(`is renewed before its time, and the request is answered as it was, ${way.name}`, async () => {
          const [issuer, fleet] = [await issuerOf(), await pickyFleet(way)];
          issue(issuer);
          await attach(fleet, issuer);
          assert.equal((await call(fleet, {})).status, 200);
          valid = 2;
          assert.equal((await call(fleet, {})).status, 401, 'nothing is repeated that no policy repeats');
          assert.equal((await call(fleet, {})).status, 200);
          assert.deepEqual(sent(), ['t-1', 't-1', 't-2']);
          assert.ok(isQuiet(fleet.way.planes));
        });
      }

      test('is renewed once, however often it is refused', async () => {
        const [issuer, fleet] = [await issuerOf(), await pickyFleet(PAIR)];
        issue(issuer);
        await attach(fleet, issuer);
        valid = 100;
        for (let i = 0; i < 5; i++) assert.equal((await call(fleet, {})).status, 401);
        assert.deepEqual(sent(), ['t-1', 't-2', 't-2', 't-2', 't-2']);
        assert.equal(issuer.count('/token'), 2);
      });

      test('goes on being sent while the issuer is away, since it may be something else that was refused', async () => {
        const [issuer, fleet] = [await issuerOf(), await pickyFleet(PAIR)];
        issue(issuer);
        await attach(fleet, issuer);
        assert.equal((await call(fleet, {})).status, 200);
        [issuer.isDown, valid] = [true, 2];
        assert.equal((await call(fleet, {})).status, 401);
        valid = 1;
        assert.equal((await call(fleet, {})).status, 200);
        assert.deepEqual(sent(), ['t-1', 't-1', 't-1']);
      });

      for (const ending of ['with the head', 'in trailers'] as const) {
        test(`is renewed when gRPC says UNAUTHENTICATED ${ending}`, async () => {
          const issuer = await issuerOf();
          [seen, number] = [[], 0];
          const fleet = await startFleet(mesh, { count: 1, ...PAIR }, ({ headers }, response) => {
            seen.push(headers);
            if (ending === 'with the head') return void response.writeHead(200, { ...GRPC_HEADERS, 'grpc-status': '16' }).end();
            response.writeHead(200, { ...GRPC_HEADERS, trailer: 'grpc-status' });
            response.write('\0\0\0\0\0');
            response.addTrailers({ 'grpc-status': '16' });
            response.end();
          });
          issue(issuer);
          await attach(fleet, issuer);
          for (let i = 0; i < 2; i++) await fleet.client.call({ method: 'POST', path: '/a.B/C', headers: GRPC_HEADERS, body: [] });
          assert.deepEqual(sent(), ['t-1', 't-2']);
        });
      }

      for (const way of WAYS) {
        test(`where a policy repeats the request, it goes out with the new one, ${way.name}`, async () => {
          const [issuer, fleet] = [await issuerOf(), await pickyFleet(way)];
          issue(issuer);
          await attach(fleet, issuer, {}, [], { retry: { attempts: 1, statuses: [401], on: ['retriable-status'] } });
          assert.equal((await call(fleet, {})).status, 200);
          valid = 2;
          assert.equal((await call(fleet, {})).status, 200);
          assert.deepEqual(sent(), ['t-1', 't-1', 't-2']);
          assert.ok(isQuiet(fleet.way.planes));
        });
      }
    });

    test('a caller that gives up while a token is awaited leaves nothing behind', async () => {
      const [fleet, silent] = [await fleetOf(PAIR), await RawServer.listen()];
      mesh.onClose(() => silent.close());
      const issuer = await issuerOf();
      await attach(fleet, issuer, { url: `http://127.0.0.1:${silent.port}/token` });
      const started = fleet.client.begin({});
      await until(() => silent.peers.length === 1, 'the question for a token');
      started.cancel();
      await started.answer.catch(() => {});
      await until(() => isQuiet(fleet.way.planes), 'nothing is under way');
    });
  });
});
