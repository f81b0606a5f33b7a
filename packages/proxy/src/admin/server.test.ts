// The admin API of a real data plane, whose control plane is not there: what it answers to whom.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { NetworkError } from '@heddle/runtime';
import { type LogLine, recordingLogger, TestRoot, testToken, until } from '../../../dataplane/src/identity/testing/control.ts';
import { type ProxyOptions, ProxyOptionsError, type RunningProxy, startProxy } from '../start.ts';
import { lonelyProxy, TOKEN } from './testing/lonely-proxy.ts';

const ADDRESSES = { application: { address: '127.0.0.1', port: 8081 }, inbound: { address: '127.0.0.1', port: 0 } };
const lines: LogLine[] = [];

const options = (over: Partial<ProxyOptions> = {}): ProxyOptions => lonelyProxy({ logger: recordingLogger(lines), ...over });

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly error: string;
}

async function ask(
  proxy: RunningProxy,
  method: string,
  path: string,
  init: { token?: string; body?: string; accept?: string } = {},
): Promise<Answer> {
  const { token = TOKEN, body, accept } = init;
  const response = await fetch(`http://127.0.0.1:${proxy.admin.port}${path}`, {
    method,
    headers: { ...(token !== '' && { authorization: `Bearer ${token}` }), ...(accept !== undefined && { accept }) },
    body,
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type') === 'application/json';
  return {
    status: response.status,
    headers: response.headers,
    text,
    error: isJson && text !== '' ? ((JSON.parse(text) as { error?: string }).error ?? '') : '',
  };
}

const put = (proxy: RunningProxy, name: string, body: unknown = ADDRESSES): Promise<Answer> =>
  ask(proxy, 'PUT', `/workloads/${name}`, { body: JSON.stringify(body) });

describe('the admin API', () => {
  let proxy: RunningProxy;
  before(async () => {
    proxy = await startProxy(options());
  });
  after(() => proxy.stop());

  it('is open for readiness, liveness and metrics only', async () => {
    assert.equal((await ask(proxy, 'GET', '/healthz', { token: '' })).status, 200);
    assert.equal((await ask(proxy, 'GET', '/metrics', { token: '' })).status, 200);
    assert.equal((await ask(proxy, 'GET', '/ready', { token: '' })).status, 503);
    const closed = [
      ['GET', '/config_dump'],
      ['GET', '/status'],
      ['GET', '/workloads'],
      ['PUT', '/workloads/a/b/c'],
      ['DELETE', '/workloads/a/b/c'],
      ['POST', '/drain'],
    ] as const;
    for (const [method, path] of closed) {
      for (const token of ['', 'wrong', `${TOKEN}x`, TOKEN.slice(0, -1)]) {
        const answer = await ask(proxy, method, path, { token });
        assert.equal(answer.status, 401, `${method} ${path} with "${token}"`);
        assert.match(answer.error, /authorization: Bearer/);
        assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
      }
    }
  });

  it('says what is missing while it is not ready', async () => {
    const { missing } = JSON.parse((await ask(proxy, 'GET', '/ready')).text) as { missing: string[] };
    assert.deepEqual(missing, ['control plane: no certificate yet']);
  });

  it('answers 404 with what there is, and 405 with what is allowed', async () => {
    for (const path of ['/', '/nothing', '/workloads/a', '/workloads/a/b/c/d', '/metrics/x']) {
      const answer = await ask(proxy, 'GET', path);
      assert.equal(answer.status, 404, path);
      assert.match(answer.error, /\/workloads\/\*\/\*\/\*/);
    }
    const wrong = await ask(proxy, 'POST', '/workloads/a/b/c');
    assert.equal(wrong.status, 405);
    assert.equal(wrong.headers.get('allow'), 'PUT, DELETE');
    assert.equal((await ask(proxy, 'PUT', '/metrics')).headers.get('allow'), 'GET');
    assert.equal((await ask(proxy, 'DELETE', '/workloads/default/orders/nobody')).status, 404);
    assert.equal((await ask(proxy, 'GET', '/%')).status, 400);
  });

  it('answers HEAD like GET, without the body', async () => {
    const answer = await ask(proxy, 'HEAD', '/metrics');
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '');
    assert.ok(Number(answer.headers.get('content-length')) > 0);
  });

  it('refuses bodies that are not JSON, not a workload, or too large, and says why', async () => {
    const path = '/workloads/default/orders/orders-1';
    for (const body of ['', '{', '\u0000', 'undefined']) {
      const answer = await ask(proxy, 'PUT', path, { body });
      assert.equal(answer.status, 400);
      assert.match(answer.error, /^body must be JSON: /);
    }
    assert.match((await put(proxy, 'default/orders/orders-1', {})).error, /^application must be an object/);
    assert.match((await put(proxy, 'default/orders/%20x')).error, /^instance must be a name/);
    for (const size of [256 * 1024 + 1, 5_000_000]) {
      const answer = await ask(proxy, 'PUT', path, { body: `"${'x'.repeat(size)}"` });
      assert.equal(answer.status, 413);
      assert.match(answer.error, /at most 262144 bytes/);
    }
    assert.equal((await ask(proxy, 'GET', '/workloads')).text.includes('orders-1'), false);
  });

  it('does not mind a client that goes away in the middle of its body', async () => {
    const before = lines.filter(({ level }) => level === 'error').length;
    const socket = connect(proxy.admin.port, '127.0.0.1');
    socket.write(
      `PUT /workloads/default/orders/orders-1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: 1000\r\n\r\n{"a`,
    );
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    socket.resetAndDestroy();
    assert.equal((await ask(proxy, 'GET', '/healthz')).status, 200);
    assert.equal(lines.filter(({ level }) => level === 'error').length, before);
  });

  it('exposes OpenMetrics to who asks for it', async () => {
    const { text, headers } = await ask(proxy, 'GET', '/metrics', { accept: 'application/openmetrics-text; version=1.0.0' });
    assert.match(headers.get('content-type') ?? '', /^application\/openmetrics-text; version=1\.0\.0/);
    assert.match(text, /# TYPE heddle_active_requests gauge\n[^]*\n# EOF\n$/);
  });

  it('exposes metrics in the text format of Prometheus', async () => {
    const { text, headers } = await ask(proxy, 'GET', '/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    assert.ok(text.endsWith('\n'));
    const typed = new Set<string>();
    const seen = new Set<string>();
    for (const line of text.trimEnd().split('\n')) {
      const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
      if (comment !== null) {
        if (comment[1] === 'TYPE') {
          assert.ok(!typed.has(comment[2] ?? ''), `${line} twice`);
          assert.match(comment[3] ?? '', /^(counter|gauge|histogram)$/);
          typed.add(comment[2] ?? '');
        }
        continue;
      }
      const sample = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|\+Inf|NaN)$/.exec(line);
      assert.ok(sample !== null, `not a sample: ${line}`);
      assert.ok(!seen.has(`${sample[1]}${sample[2] ?? ''}`), `twice: ${line}`);
      seen.add(`${sample[1]}${sample[2] ?? ''}`);
      assert.ok(typed.has(sample[1]?.replace(/_(bucket|sum|count)$/, '') ?? '') || typed.has(sample[1] ?? ''), `no type: ${line}`);
    }
    assert.ok(seen.has('heddle_control_connected'));
  });

  it('hosts a workload as soon as its sockets are bound, shows what it waits for, and gives the ports back', async () => {
    const name = 'default/orders/orders-2';
    const first = await put(proxy, name, {
      ...ADDRESSES,
      outbounds: [{ namespace: 'default', service: 'web', listen: { address: '127.0.0.1', port: 0 } }],
    });
    assert.equal(first.status, 200);
    const { inbound, outbounds, proxyCredential } = JSON.parse(first.text);
    assert.ok(inbound.port > 0 && outbounds[0].listen.port > 0);
    assert.ok(proxyCredential.length >= 32);
    const { workloads } = JSON.parse((await ask(proxy, 'GET', '/workloads')).text);
    assert.equal(workloads[0].problem, 'has no certificate and no join token; make one with `heddle token create --service orders`');
    const { missing } = JSON.parse((await ask(proxy, 'GET', '/ready')).text) as { missing: string[] };
    assert.ok(
      missing.some((line) =>
        line.startsWith(`${name}: port 127.0.0.1:${inbound.port} waits for its configuration: the workload has no certificate`),
      ),
      missing.join('\n'),
    );
    assert.doesNotMatch((await ask(proxy, 'GET', '/config_dump')).text, new RegExp(proxyCredential));
    assert.equal((await ask(proxy, 'DELETE', `/workloads/${name}`)).status, 200);
    const again = createServer();
    await new Promise<void>((resolve, reject) => again.on('error', reject).listen(inbound.port, '127.0.0.1', resolve));
    again.close();
  });

  it('takes a workload out of rotation and puts it back, however often it is asked to, and says how far that is', async () => {
    const name = 'default/orders/orders-2';
    assert.equal((await put(proxy, name, ADDRESSES)).status, 200);
    const drain = (body?: object) =>
      ask(proxy, 'POST', `/workloads/${name}/drain`, body === undefined ? {} : { body: JSON.stringify(body) });
    const first = await drain();
    assert.equal(first.status, 200);
    assert.deepEqual([JSON.parse(first.text).phase, JSON.parse(first.text).outcome], ['telling', 'waiting']);
    // It has no certificate, so there is nobody whom it could tell.
    const left = JSON.parse((await drain({ tellMs: 1_000, finishMs: 0, waitMs: 30_000 })).text);
    assert.deepEqual([left.phase, left.outcome, left.activeRequests], ['left', 'untold', 0]);
    const { workloads } = JSON.parse((await ask(proxy, 'GET', '/workloads')).text);
    assert.deepEqual(workloads[0].leave, left);
    assert.equal((await ask(proxy, 'DELETE', `/workloads/${name}/drain`)).status, 200);
    assert.equal(JSON.parse((await ask(proxy, 'GET', '/workloads')).text).workloads[0].leave, undefined);
    for (const wrong of [{ tellMs: -1 }, { finishMs: 'soon' }, { forever: true }, { waitMs: 1e9 }])
      assert.equal((await drain(wrong)).status, 400);
    for (const method of ['POST', 'DELETE']) assert.equal((await ask(proxy, method, '/workloads/default/web/web-1/drain')).status, 404);
    assert.equal((await ask(proxy, 'DELETE', `/workloads/${name}`)).status, 200);
  });

  it('says 409 where a port is taken, by others or by its own workloads, and keeps nothing of the refused', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const taken = { address: '127.0.0.1', port: (other.address() as AddressInfo).port };
    const refused = await put(proxy, 'default/orders/orders-3', {
      ...ADDRESSES,
      outbounds: [{ namespace: 'default', service: 'web', listen: taken }],
    });
    other.close();
    assert.equal(refused.status, 409);
    assert.match(refused.error, new RegExp(`127\\.0\\.0\\.1:${taken.port}`));
    const { inbound } = JSON.parse((await put(proxy, 'default/orders/orders-4')).text);
    const same = await put(proxy, 'default/orders/orders-5', { ...ADDRESSES, inbound });
    assert.equal(same.status, 409);
    assert.match(same.error, /belongs to default\/orders\/orders-4 already/);
    const { workloads } = JSON.parse((await ask(proxy, 'GET', '/workloads')).text) as { workloads: { workload: string }[] };
    assert.deepEqual(
      workloads.map(({ workload }) => workload),
      ['default/orders/orders-4'],
    );
    const { listeners } = JSON.parse((await ask(proxy, 'GET', '/status')).text) as { listeners: unknown[] };
    assert.equal(listeners.length, 1);
    await ask(proxy, 'DELETE', '/workloads/default/orders/orders-4');
  });

  it('refuses a second service while it has no identity of its own, and keeps a workload whose change it refuses', async () => {
    assert.equal((await put(proxy, 'default/orders/orders-6')).status, 200);
    const foreign = await put(proxy, 'default/web/web-1');
    assert.equal(foreign.status, 409);
    assert.match(foreign.error, /speaks as default\/orders/);
    const badToken = await put(proxy, 'default/orders/orders-6', {
      ...ADDRESSES,
      weight: 2,
      joinToken: testToken(new TestRoot(), { service: 'web' }),
    });
    assert.equal(badToken.status, 400);
    const { workloads } = JSON.parse((await ask(proxy, 'GET', '/workloads')).text) as { workloads: { workload: string }[] };
    assert.equal(workloads.length, 1);
    await ask(proxy, 'DELETE', '/workloads/default/orders/orders-6');
    assert.equal((await put(proxy, 'default/web/web-1')).status, 200);
    await ask(proxy, 'DELETE', '/workloads/default/web/web-1');
  });
});

describe('a data plane', () => {
  it('drains once it is asked to, and takes no workload from then on', async () => {
    const proxy = await startProxy(options());
    assert.equal((await put(proxy, 'default/orders/orders-1')).status, 200);
    assert.equal((await ask(proxy, 'POST', '/drain')).status, 202);
    await proxy.drainRequested;
    const stopped = proxy.stop();
    const late = await put(proxy, 'default/orders/orders-2');
    assert.equal(late.status, 503);
    assert.match(late.error, /draining/);
    assert.equal(proxy.stop(), stopped);
    await stopped;
    await assert.rejects(ask(proxy, 'GET', '/healthz'));
  });

  it('that cannot have its admin port says so, leaves nothing open, and has not spent its token', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const control = createServer();
    let contacts = 0;
    control.on('connection', (socket) => {
      contacts += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const outboundProxy = { address: '127.0.0.1', port: (free.address() as AddressInfo).port };
    await new Promise((resolve) => free.close(resolve));
    const joinToken = testToken(new TestRoot(), { namespace: 'heddle-system', service: 'operator' });
    const start = startProxy(
      options({
        admin: { address: '127.0.0.1', port },
        control: { address: '127.0.0.1', port: (control.address() as AddressInfo).port },
        joinToken,
        outboundProxy,
      }),
    );
    await assert.rejects(
      start,
      (error) =>
        error instanceof NetworkError &&
        error.kind === 'address-in-use' &&
        error.message.includes(`admin API cannot listen on 127.0.0.1:${port}`),
    );
    await new Promise<void>((resolve, reject) => free.on('error', reject).listen(outboundProxy.port, '127.0.0.1', resolve));
    assert.equal(contacts, 0);
    for (const server of [other, control, free]) server.close();
  });

  it('refuses options that cannot work', async () => {
    for (const [over, message] of [
      [{ node: '' }, /cannot name a data plane/],
      [{ node: 'a b' }, /"a b" cannot name a data plane/],
      [{ anonymousCalls: true }, /it has none: give it a join token/],
      [{ joinToken: 'hello' }, /does not begin with/],
    ] as const) {
      await assert.rejects(
        startProxy(options(over)),
        (error) => error instanceof ProxyOptionsError && message.test(error.message),
        String(message),
      );
    }
  });

  it('says why it has no identity of its own yet', async () => {
    const joinToken = testToken(new TestRoot(), { namespace: 'heddle-system', service: 'operator' });
    const proxy = await startProxy(options({ joinToken, outboundProxy: { address: '127.0.0.1', port: 0 } }));
    await until('the reason', () =>
      proxy.missing().some((line) => /^control plane: no certificate yet: .*127\.0\.0\.1:1 cannot be reached/.test(line)),
    );
    const shared = proxy.outboundProxy;
    assert.ok(shared !== undefined);
    const stolen = await put(proxy, 'default/orders/orders-1', { ...ADDRESSES, inbound: shared });
    assert.equal(stolen.status, 409);
    assert.match(stolen.error, /belongs to the shared HTTP proxy already/);
    await proxy.stop();
  });

  it('whose admin API is spoken to in something else than HTTP answers 400', async () => {
    const proxy = await startProxy(options());
    const socket = connect(proxy.admin.port, '127.0.0.1', () => socket.write('\x16\x03\x01\x02\r\n\r\n'));
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 400 /);
    const bad = request({ port: proxy.admin.port, host: '127.0.0.1', path: '/healthz', headers: { authorization: 'Basic x' } });
    const status = await new Promise((resolve) => bad.on('response', (response) => resolve(response.resume().statusCode)).end());
    assert.equal(status, 200);
    await proxy.stop();
  });
});
