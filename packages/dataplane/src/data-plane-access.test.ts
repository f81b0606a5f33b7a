// Who may do what, decided beside the called instance, on every version of HTTP and for one data plane and a pair: what is refused never reaches the
// application, and what is let through is what was decided on.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type { AccessPolicy, Listener } from '@heddle/core';
import { decidingPlane, decisions, guard, policy, rule, WEB } from './testing/access.ts';
import { connectFrames, FRAME, get, headers } from './testing/frames.ts';
import { GRPC_HEADERS, startFleet, WAYS } from './testing/instances.ts';
import type { Fleet, FleetOptions } from './testing/instances.ts';
import { endpoint, mustApply, routeOf, TestMesh } from './testing/mesh.ts';
import { isQuiet, pair } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, RawServer, until } from './testing/raw-http.ts';

const under = (value: string) => ({ kind: 'segments', value }) as const;
const OPEN_BUT_ADMIN = policy('allow', rule('no admin', 'deny', [{ paths: [under('/admin')] }]));
const ONLY_PUBLIC = policy('deny', rule('public', 'allow', [{ paths: [under('/public')] }]));
const NOBODY = policy('deny');
const EVERYBODY = policy('allow');

/** Each leads to `/admin` for some server. */
const DISGUISES = [
  ...['/admin', '/admin/', '/admin?x=/public', '/ADMIN', '/Admin/x', '/%61dmin', '/%41DMIN', '/a%64min/x', '/admin%2fx', '/admin%5cx'],
  ...['//admin', '///admin', '/./admin', '/.//admin', '/x/../admin', '/../admin', '/x/..//admin', '/admin/.', '/admin/x/..', '/admin//x'],
  ...['/%2e/admin', '/x/%2e%2e/admin', '/x/.%2E/admin', '/%2fadmin', '/x%2f..%2fadmin', '/x/..%2fadmin', '/%2e%2e%2fadmin'],
  ...['/\\admin', '/x/..\\admin', '/x\\..\\admin', '/%5cadmin', '/x/..%5cadmin', '/x/%2e%2e%5cadmin'],
  ...['/%2561dmin', '/x/%252e%252e/admin', '/%252fadmin', '/x%252f..%252fadmin', '/%25%36%31dmin'],
  ...['/admin;x=1', '/admin;/x', '/;x/admin', '/x;/../admin', '/x/..;/admin', '/x/..;a=b/admin', '/admin%3bx', '/x/..%3b/admin'],
  ...['/x/%c0%ae%c0%ae/admin', '/x/%c0%ae./admin', '/%c0%afadmin', '/%e0%80%afadmin', '/x/..%c0%afadmin'],
  ...['/admin%00', '/admin%00/x', '/admin%20', '/admin%09', '/admin%0d%0ax', '/admin.', '/admin%2e', '/admin#x', '/%u0061dmin', '/admin%'],
];

/** How servers read paths: each of these, and all of them one after the other. */
const READINGS: readonly ((path: string) => string)[] = [
  (path) => path,
  (path) => path.toLowerCase(),
  (path) => unescaped(path),
  (path) => unescaped(unescaped(path)),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
  (path) => path.replace(/\/{2,}/g, '/'),
  resolved,
];

function unescaped(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function resolved(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** Every path that a server could take this one for. */
function readingsOf(url: string): Set<string> {
  const found = new Set([url.split('?')[0]!]);
  for (let round = 0; round < 3; round++) for (const path of [...found]) for (const read of READINGS) found.add(read(path));
  return found;
}

function isUnder(path: string, base: string): boolean {
  return path === base || path.startsWith(`${base}/`) || path.startsWith(`${base};`) || path.startsWith(`${base}?`);
}

/** 0: there is no answer, since the request is none. */
async function statusOf(fleet: Fleet, path: string, more: Readonly<Record<string, string>> = {}): Promise<number> {
  return fleet.client.call({ path, headers: more }).then(
    ({ status }) => status,
    () => 0,
  );
}

const ids = (identity: string) => [{ identities: [{ kind: 'exact', id: identity } as const] }];

describe('access', () => {
  let mesh = new TestMesh();
  let seen: { url: string; method: string; host: string; headers: Readonly<Record<string, unknown>> }[] = [];
  afterEach(async () => {
    await mesh.close();
    mesh = new TestMesh();
  });

  async function start(options: Pick<FleetOptions, 'hops' | 'version'>): Promise<Fleet> {
    seen = [];
    return startFleet(mesh, { count: 1, ...options }, ({ url = '', method = '', headers: received }, response) => {
      const host = String(received[':authority'] ?? received.host);
      seen.push({ url, method, host, headers: received });
      response.end('ok');
    });
  }

  for (const way of WAYS) {
    describe(way.name, () => {
      test('no disguise of a path gets past a rule that denies', async () => {
        const fleet = await start(way);
        await guard(fleet.way, { access: OPEN_BUT_ADMIN });
        for (const path of DISGUISES) {
          seen.length = 0;
          const status = await statusOf(fleet, path);
          assert.ok([0, 200, 400, 403].includes(status), `${path}: ${status}`);
          assert.equal(seen.length, status === 200 ? 1 : 0, path);
          for (const { url } of seen)
            for (const reading of readingsOf(url))
              assert.ok(!isUnder(reading, '/admin'), `${path} came as ${url}, which is ${reading} to some`);
        }
        assert.equal(await statusOf(fleet, '/administration'), 200);
        assert.ok(isQuiet(fleet.way.planes));
      });

      test('no disguise of a path gets past rules that allow others', async () => {
        const fleet = await start(way);
        await guard(fleet.way, { access: ONLY_PUBLIC });
        for (const disguise of DISGUISES) {
          for (const path of [disguise, `/public${disguise}`, `/public/..${disguise}`]) {
            seen.length = 0;
            const status = await statusOf(fleet, path);
            assert.equal(seen.length, status === 200 ? 1 : 0, path);
            for (const { url } of seen)
              for (const reading of readingsOf(url))
                assert.ok(isUnder(reading.toLowerCase(), '/public'), `${path} came as ${url}: ${reading}`);
          }
        }
        seen.length = 0;
        assert.equal(await statusOf(fleet, '//public/./a%62/../%7Eme?q=%2e'), 200);
        assert.equal(seen[0]?.url, '/public/~me?q=%2e');
      });

      test('what is refused says the code and the rule, and is counted and logged without its query', async () => {
        const fleet = await start(way);
        await guard(fleet.way, { access: OPEN_BUT_ADMIN });
        const answer = await fleet.client.call({ path: '/admin/keys?secret=1' });
        assert.deepEqual(
          [answer.status, answer.headers['x-heddle-error'], answer.headers['www-authenticate']],
          [403, 'ACCESS_DENIED', undefined],
        );
        assert.match(answer.body.toString(), /rule "no admin"/);
        await fleet.client.call({ path: '/fine' });
        const plane = decidingPlane(fleet.way);
        assert.deepEqual(decisions(plane), { 'denied rule no admin': 1, 'allowed default': 1 });
        const lines = plane.lines.filter((line) => line['decision'] !== undefined);
        assert.equal(lines.length, 1);
        const { decision, rule: by, source, method, path, why } = lines[0]!;
        assert.deepEqual([decision, by, method, path, why], ['denied', 'no admin', 'GET', '/admin/keys', 'rule "no admin"']);
        assert.equal(source, way.hops === 'pair' ? WEB : 'unknown');
        assert.doesNotMatch(JSON.stringify(lines), /secret/);
        assert.match(plane.metrics.expose(), /heddle_requests_total\{[^}]*error="ACCESS_DENIED"[^}]*\} 1/);
      });

      test('a policy that only watches refuses nothing, changes nothing, and says what it would do', async () => {
        const fleet = await start(way);
        await guard(fleet.way, { access: { ...OPEN_BUT_ADMIN, audit: true } });
        assert.equal(await statusOf(fleet, '/x/..//admin'), 200);
        assert.equal(await statusOf(fleet, '/a;b'), 200);
        assert.deepEqual(
          seen.map(({ url }) => url),
          ['/x/..//admin', '/a;b'],
        );
        const counted = decisions(decidingPlane(fleet.way));
        assert.equal(counted['would-deny rule no admin'], 2, 'what cannot be understood fits what is denied');
        assert.equal(decidingPlane(fleet.way).lines.filter(({ decision }) => decision === 'would-deny').length, 2);
      });

      test('rules change for connections that are open, in both directions', async () => {
        const fleet = await start(way);
        const expected: [AccessPolicy | undefined, number][] = [
          [undefined, 200],
          [NOBODY, 403],
          [EVERYBODY, 200],
          [OPEN_BUT_ADMIN, 200],
          [NOBODY, 403],
          [undefined, 200],
        ];
        for (const [access, status] of expected) {
          await guard(fleet.way, access === undefined ? {} : { access });
          assert.equal(await statusOf(fleet, '/'), status);
        }
        assert.equal(fleet.instances[0]!.connections, 1, 'what is refused costs no connection, and breaks none');
      });

      test('methods in another case are not those that rules allow, and are those that rules deny', async () => {
        const fleet = await start(way);
        await guard(fleet.way, { access: policy('deny', rule('read', 'allow', [{ methods: ['GET'] }])) });
        assert.equal(await statusOf(fleet, '/'), 200);
        for (const method of ['get', 'Get', 'POST']) assert.equal(await rawStatus(fleet.way, way.version, method, '/'), 403, method);
        await guard(fleet.way, { access: policy('allow', rule('no delete', 'deny', [{ methods: ['DELETE'] }])) });
        for (const method of ['DELETE', 'delete', 'Delete'])
          assert.equal(await rawStatus(fleet.way, way.version, method, '/'), 403, method);
        assert.deepEqual(
          seen.map(({ method }) => method),
          ['GET'],
        );
      });

      test('a header under a name that reads like one of the rules is refused, and one that claims to be of a data plane is dropped', async () => {
        const fleet = await start(way);
        await guard(fleet.way, {
          access: policy(
            'allow',
            rule('no guests', 'deny', [{ headers: [{ name: 'X-Tenant-Id', match: { kind: 'exact', value: 'guest' } }] }]),
          ),
        });
        for (const name of ['x-tenant-id', 'X-TENANT-ID'])
          assert.equal(await statusOf(fleet, '/', { [name.toLowerCase()]: 'guest' }), 403, name);
        for (const name of ['x_tenant_id', 'x-tenant_id', 'x_tenant-id'])
          assert.equal(await statusOf(fleet, '/', { [name]: 'guest' }), 400, name);
        seen.length = 0;
        assert.equal(
          await statusOf(fleet, '/', {
            'x-tenant-id': 'a',
            other_name: 'b',
            x_heddle_peer: 'spiffe://forged',
            'x-heddle-peer': 'spiffe://forged',
          }),
          200,
        );
        const [{ headers: received } = { headers: {} }] = seen as { headers: Record<string, unknown> }[];
        assert.deepEqual([received!['other_name'], received!['x_heddle_peer']], ['b', undefined]);
        assert.notEqual(received!['x-heddle-peer'], 'spiffe://forged');
      });

      test('what a caller may not say in headers it cannot say in trailers', async () => {
        const trailers: unknown[] = [];
        const fleet = await startFleet(mesh, { count: 1, ...way }, (request, response) => {
          request.resume();
          request.on('end', () => {
            trailers.push(Object.fromEntries(Object.entries(request.trailers)));
            response.end('ok');
          });
        });
        const forged = { 'x-heddle-peer': 'spiffe://forged', x_heddle_peer: 'spiffe://forged', 'x-sum': '1' };
        const headers = { te: 'trailers', trailer: 'x-sum' };
        assert.equal((await fleet.client.call({ method: 'POST', headers, body: ['a'], trailers: forged })).status, 200);
        assert.deepEqual(trailers, [{ 'x-sum': '1' }]);
      });

      test('a header that rules look at must not get lost on the way to the application', async () => {
        if (way.version === 'http2') return;
        const fleet = await start(way);
        await guard(fleet.way, { access: policy('deny', rule('approved', 'allow', [{ headers: [{ name: 'x-approved' }] }])) });
        const ask = (connection: string) => `GET / HTTP/1.1\r\nHost: orders\r\nX-Approved: yes\r\nConnection: ${connection}\r\n\r\n`;
        assert.match(await rawText(fleet.way, ask('close')), / 200 /);
        // The first of a pair drops it, and then it is not there.
        assert.match(await rawText(fleet.way, ask('close, X-Approved')), way.hops === 'pair' ? / 403 / : / 400 /);
        assert.equal(seen.length, 1);
      });

      test('of several lines of a header each may be the one that a rule denies', async () => {
        const fleet = await start(way);
        await guard(fleet.way, {
          access: policy('allow', rule('no guests', 'deny', [{ headers: [{ name: 'x-role', match: { kind: 'exact', value: 'guest' } }] }])),
        });
        const call = async (values: string[]) => (await fleet.client.call({ headers: { 'x-role': values } })).status;
        assert.deepEqual([await call(['admin', 'guest']), await call(['guest', 'admin']), await call(['admin', 'boss'])], [403, 403, 200]);
      });

      test('gRPC calls are refused in the words of gRPC, and by method', async () => {
        if (way.version === 'http1') return;
        const fleet = await start(way);
        const method = { kind: 'exact', value: '/shop.Billing/Get' } as const;
        await guard(fleet.way, { access: policy('deny', rule('get', 'allow', [{ methods: ['POST'], paths: [method] }])) });
        const call = (path: string) => fleet.client.call({ method: 'POST', path, headers: GRPC_HEADERS, body: ['\0\0\0\0\0'] });
        assert.equal((await call('/shop.Billing/Get')).headers['grpc-status'], undefined);
        for (const path of ['/shop.Billing/Delete', '/shop.billing/Get', '/shop.Billing/Get/', '/shop.Billing/Get%2f']) {
          const { status, headers: got } = await call(path);
          assert.deepEqual(
            [status, got['grpc-status'] === '7' || got['grpc-status'] === '3', got['x-heddle-error'] !== undefined],
            [200, true, true],
            path,
          );
        }
        await call('/shop.Billing//Get');
        await call('/x/../shop.Billing/./Get');
        assert.deepEqual([...new Set(seen.map(({ url }) => url))], ['/shop.Billing/Get']);
      });

      test('authorities are compared whatever their case, port, root dot and form; a request that names two is refused or means one', async () => {
        const fleet = await start(way);
        await guard(fleet.way, {
          access: policy('allow', rule('no admin', 'deny', [{ authorities: [{ kind: 'exact', value: 'admin.mesh.internal' }] }])),
        });
        for (const host of [
          'admin.mesh.internal',
          'ADMIN.mesh.internal',
          'admin.mesh.internal:80',
          'admin.mesh.internal:8443',
          'admin.mesh.internal.',
        ])
          assert.equal(await statusOf(fleet, '/', { host }), 403, host);
        seen.length = 0;
        if (way.version === 'http1') {
          const absolute = (target: string, host: string) =>
            rawText(fleet.way, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
          assert.match(await absolute('http://admin.mesh.internal/', 'orders.mesh.internal'), / 403 /);
          assert.match(await absolute('http://orders.mesh.internal/', 'admin.mesh.internal'), / 200 /);
          assert.match(await absolute('HTTP://Admin.Mesh.Internal/', 'orders.mesh.internal'), / 403 /);
          assert.match(await absolute('/', 'orders.mesh.internal\r\nHost: admin.mesh.internal'), / 400 /);
          await guard(fleet.way, { access: OPEN_BUT_ADMIN });
          assert.match(await absolute('http://orders.mesh.internal/x/..//admin', 'orders.mesh.internal'), / 403 /);
          assert.match(await absolute('http://orders.mesh.internal?/admin', 'orders.mesh.internal'), / 200 /);
          assert.deepEqual(
            seen.map(({ host }) => host),
            ['orders.mesh.internal', 'orders.mesh.internal'],
            'what the rules have seen is what the application gets',
          );
        } else {
          const answer = await frameStatus(fleet.way, get('/', [['host', 'admin.mesh.internal']]));
          assert.equal(answer, 'reset');
          assert.equal(seen.length, 0);
        }
      });
    });
  }

  /** Byte for byte. */
  async function rawText(way: Way, text: string): Promise<string> {
    const client = connectRaw(way.port);
    client.send(text);
    const got = await client.gone();
    client.socket.destroy();
    return got;
  }

  async function frameStatus(way: Way, fields: Parameters<typeof headers>[1]): Promise<number | 'reset'> {
    const peer = connectFrames(way.port);
    peer.send(headers(1, fields));
    await until(() => peer.isOver(1) || peer.closed || peer.of(FRAME.headers, 1).length > 0, 'an answer');
    const status = peer.of(FRAME.headers, 1)[0]?.fields[':status'];
    peer.socket.destroy();
    return status === undefined ? 'reset' : Number(status);
  }

  async function rawStatus(way: Way, version: 'http1' | 'http2', method: string, path: string): Promise<number> {
    if (version === 'http2') {
      const status = await frameStatus(
        way,
        get(path).map(([name, value]) => [name, name === ':method' ? method : value]),
      );
      return status === 'reset' ? 0 : status;
    }
    const text = await rawText(way, `${method} ${path} HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n`);
    return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
  }

  test('whatever a path is made of, the application gets what was decided on, or nothing (property)', async () => {
    const fleet = await start({ hops: 'single', version: 'http1' });
    await guard(fleet.way, { access: ONLY_PUBLIC });
    const pieces = [
      '/',
      '/',
      '.',
      '..',
      'public',
      'admin',
      '%2e',
      '%2E',
      '%2f',
      '%5c',
      '\\',
      ';',
      '%25',
      '%70',
      '%',
      '?',
      'x',
      'PUBLIC',
      '%c0%ae',
    ];
    const paths = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => `/${parts.join('')}`);
    let admitted = 0;
    const holds = async (path: string): Promise<void> => {
      seen.length = 0;
      const status = await statusOf(fleet, path);
      assert.equal(seen.length, status === 200 ? 1 : 0);
      admitted += seen.length;
      for (const { url } of seen)
        for (const reading of readingsOf(url)) assert.ok(isUnder(reading.toLowerCase(), '/public'), `${url}: ${reading}`);
    };
    await fc.assert(fc.asyncProperty(paths, holds), { numRuns: 150 });
    await fc.assert(
      fc.asyncProperty(
        paths.map((path) => `/public${path}`),
        holds,
      ),
      { numRuns: 150 },
    );
    assert.ok(admitted > 0);
  });

  test('pseudo-headers of HTTP/2 that say two things, or nothing that is a path, get nowhere', async () => {
    const fleet = await start({ hops: 'pair', version: 'http2' });
    await guard(fleet.way, { access: ONLY_PUBLIC });
    const with_ = (change: Readonly<Record<string, string>>) =>
      get('/public').map(([name, value]) => [name, change[name] ?? value] as [string, string]);
    const refused = [
      [...get('/public'), [':path', '/admin']],
      [[':path', '/admin'], ...get('/public')],
      with_({ ':path': 'http://orders.mesh.internal/public' }),
      with_({ ':path': 'public' }),
      with_({ ':path': '' }),
      with_({ ':path': '/public /../admin' }),
      with_({ ':method': 'GET ' }),
      [...get('/public').slice(0, 3), ['x-a', 'b'], [':path', '/public']],
    ] as [string, string][][];
    for (const fields of refused) assert.ok([400, 403, 'reset'].includes(await frameStatus(fleet.way, fields)), JSON.stringify(fields));
    assert.equal(await frameStatus(fleet.way, with_({ ':path': '*', ':method': 'OPTIONS' })), 403);
    assert.deepEqual(seen, []);
    assert.equal(await frameStatus(fleet.way, get('/public')), 200);
  });

  test('an upgrade is decided on like the GET that it is, by extended CONNECT and by HTTP/1.1, and so is h2c', async () => {
    const fleet = await start({ hops: 'single', version: 'http1' });
    await guard(fleet.way, { access: ONLY_PUBLIC });
    const connect = (path: string) => [
      ...get(path).map(([name, value]) => [name, name === ':method' ? 'CONNECT' : value] as [string, string]),
    ];
    const extended = (path: string) => [connect(path)[0]!, [':protocol', 'websocket'] as [string, string], ...connect(path).slice(1)];
    assert.equal(await frameStatus(fleet.way, extended('/public/../chat')), 403);
    const ask = (path: string, upgrade: string, more = '') =>
      `GET ${path} HTTP/1.1\r\nHost: orders\r\nConnection: upgrade${more === '' ? '' : ', http2-settings'}\r\nUpgrade: ${upgrade}\r\n${more}\r\n`;
    const websocket = connectRaw(fleet.way.port).send(ask('/chat', 'websocket', ''));
    await websocket.expect(/^HTTP\/1\.1 403 /);
    websocket.socket.destroy();
    const h2c = connectRaw(fleet.way.port).send(ask('//admin', 'h2c', 'HTTP2-Settings: \r\n'));
    await h2c.expect(/^HTTP\/1\.1 101 /);
    h2c.socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    await h2c.expect('ACCESS_DENIED');
    h2c.socket.destroy();
    assert.deepEqual(seen, []);
  });

  test('who calls is what counts, and what a header says of it does not', async () => {
    const fleet = await start({ hops: 'pair', version: 'http2' });
    await guard(fleet.way, { access: policy('deny', rule('web', 'allow', [], ids(WEB))) });
    assert.equal(await statusOf(fleet, '/'), 200);
    await guard(fleet.way, { access: policy('deny', rule('billing', 'allow', [], ids('spiffe://shop.test/ns/default/svc/billing'))) });
    const forged = {
      'x-heddle-peer': 'spiffe://shop.test/ns/default/svc/billing',
      'x-forwarded-client-cert': 'URI=spiffe://shop.test/ns/default/svc/billing',
    };
    assert.equal(await statusOf(fleet, '/', forged), 403);
    assert.match((await fleet.client.call({})).body.toString(), /no rule allows it/);
  });

  test('a stream of bytes is refused before the application hears of it', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const web = mesh.plane('web');
    const store = mesh.plane('store');
    const instance = await mesh.inbound(store.plane, 'store', 'store-1', application.port, { tcp: true });
    const port = await mesh.outbound(web.plane, 'store', [endpoint(instance, 'store-1')], { tcp: true });
    const apply = (access: AccessPolicy) => {
      const routes = [routeOf('local/default/store/store-1', { connect: 'terminate' })];
      const host = { name: 'all', domains: ['*'], routes, access };
      return mustApply(store.plane, {
        kind: 'route',
        upserts: [{ name: 'inbound/default/store/store-1', virtualHosts: [host] }],
        removed: [],
      });
    };
    await apply(policy('deny', rule('path', 'allow', [{ paths: [under('/')] }]), rule('get', 'allow', [{ methods: ['GET'] }])));
    const refused = connectRaw(port).send('hello');
    await refused.gone();
    assert.equal(refused.text, '');
    assert.equal(application.peers.length, 0);
    const line = store.lines.find(({ decision }) => decision === 'denied');
    assert.deepEqual([line?.['method'], line?.['source']], ['CONNECT', WEB]);
    await apply(policy('deny', rule('web', 'allow', [], ids(WEB))));
    const admitted = connectRaw(port).send('hello');
    await until(() => application.peers[0]?.text === 'hello', 'the bytes');
    // A stream lives for days: it must not outlive the rule that let it in.
    await apply(
      policy('deny', rule('others', 'allow', [], ids('spiffe://shop.test/ns/default/svc/billing')), rule('web', 'allow', [], ids(WEB))),
    );
    admitted.send(', again');
    await until(() => application.peers[0]?.text === 'hello, again', 'more bytes');
    await apply(NOBODY);
    await admitted.gone();
    await until(() => application.peers[0]!.closed || application.peers[0]!.ended, 'the other end');
    await until(() => isQuiet([web, store]), 'nothing under way');
    assert.deepEqual(decisions(store), { 'denied default': 2, 'allowed rule web': 1 });
    refused.socket.destroy();
  });

  test('bytes that come without TLS and without a tunnel are asked the same, as nobody', async () => {
    const application = await RawServer.listen();
    mesh.onClose(() => application.close());
    const store = mesh.plane('store');
    const port = await mesh.inbound(store.plane, 'store', 'store-1', application.port, { tcp: true });
    const name = 'inbound/default/store/store-1';
    const local = 'local/default/store/store-1';
    const listener: Listener = {
      name,
      direction: 'inbound',
      address: '127.0.0.1',
      port,
      workload: 'default/store/store-1',
      tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.test', plaintext: true },
      filter: { kind: 'http', routeConfigName: name, otherwise: { kind: 'tcp', cluster: local } },
    };
    await mustApply(store.plane, { kind: 'listener', upserts: [listener], removed: [] });
    const apply = (access: AccessPolicy) => {
      const host = { name: 'all', domains: ['*'], routes: [routeOf(local, { connect: 'terminate' })], access };
      return mustApply(store.plane, { kind: 'route', upserts: [{ name, virtualHosts: [host] }], removed: [] });
    };
    await apply(policy('deny', rule('web', 'allow', [], ids(WEB))));
    const refused = connectRaw(port).send('\x01\x02 bytes');
    await refused.gone();
    assert.equal(application.peers.length, 0);
    assert.deepEqual(decisions(store), { 'denied default': 1 });
    await apply(policy('deny', rule('here', 'allow', [], [{ networks: ['127.0.0.0/8'] }])));
    const admitted = connectRaw(port).send('\x01\x02 bytes');
    await until(() => application.peers[0]?.text === '\x01\x02 bytes', 'the bytes');
    admitted.socket.destroy();
    refused.socket.destroy();
  });

  test('a caller that would be refused whatever it asks is refused on its own side, without a connection', async () => {
    const way = await pair(mesh, 'http2', 1);
    const [web] = way.planes;
    const name = 'outbound/default/orders';
    const told = (callers: object) =>
      mustApply(web!.plane, {
        kind: 'route',
        upserts: [{ name, virtualHosts: [{ name: 'all', domains: ['*'], routes: [routeOf(name)], callers: callers as never }] }],
        removed: [],
      });
    await told({ allowed: [{ kind: 'exact', id: 'spiffe://shop.test/ns/default/svc/billing' }], denied: [] });
    const client = way.client('http1');
    const answer = await client.call({ path: '/a?b' });
    assert.deepEqual([answer.status, answer.headers['x-heddle-error']], [403, 'ACCESS_DENIED']);
    assert.doesNotMatch(web!.metrics.expose(), /heddle_upstream_connections_opened_total\{[^}]*\} [1-9]/);
    assert.deepEqual(decisions(web!), { 'denied caller': 1 });
    await told({ allowed: 'everyone', denied: [{ kind: 'exact', id: WEB }] });
    assert.equal((await client.call()).status, 403);
    await told({ allowed: [{ kind: 'any' }], denied: [] });
    assert.equal((await client.call()).headers['x-heddle-error'], 'APPLICATION_REFUSED');
  });

  test('a flood of refusals costs neither connections nor a full disk', async () => {
    const fleet = await start({ hops: 'single', version: 'http2' });
    await guard(fleet.way, { access: NOBODY });
    const statuses = await Promise.all(Array.from({ length: 1_000 }, () => statusOf(fleet, '/')));
    assert.ok(statuses.every((status) => status === 403));
    assert.equal(fleet.instances[0]!.connections, 0);
    const plane = decidingPlane(fleet.way);
    assert.deepEqual(decisions(plane), { 'denied default': 1_000 });
    const lines = plane.lines.filter(({ decision }) => decision === 'denied').length;
    assert.ok(lines <= 300, String(lines));
    assert.equal(Number(/heddle_access_log_suppressed_total (\d+)/.exec(plane.metrics.expose())?.[1]), 1_000 - lines);
  });

  test('a policy that cannot be applied is rejected, and the last one stays', async () => {
    const fleet = await start({ hops: 'single', version: 'http1' });
    await guard(fleet.way, { access: NOBODY });
    await assert.rejects(
      guard(fleet.way, { access: policy('allow', rule('r', 'allow', [{ paths: [{ kind: 'regex', value: '(' }] }])) }),
      /rule "r"/,
    );
    await assert.rejects(guard(fleet.way, { access: policy('allow', { ...rule('r', 'allow', []), when: 'source.' }) }), /rule "r"/);
    assert.equal(await statusOf(fleet, '/'), 403);
  });

  test('conditions see the request as it was decided on, and the service that it is for', async () => {
    const fleet = await start({ hops: 'pair', version: 'http1' });
    const when = 'destination.service == "orders" && source.service == "web" && request.path == "/a" && request.headers["x-tenant"] == "t"';
    await guard(fleet.way, { access: policy('deny', { ...rule('attributes', 'allow', []), when }) });
    assert.equal(await statusOf(fleet, '/x/../a', { 'x-tenant': 't' }), 200);
    assert.equal(await statusOf(fleet, '/a', { 'x-tenant': 'u' }), 403);
    assert.equal(await statusOf(fleet, '/a', { 'x-tenant': 't', x_tenant: 'u' }), 400);
    assert.deepEqual(
      seen.map(({ url }) => url),
      ['/a'],
    );
  });
});
