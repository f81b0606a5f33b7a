import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import http, { get as namedGet } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import axios from 'axios';
import got from 'got';
import { MeshError } from '../errors.ts';
import { type Echo, echoApplication, untilGivenUp } from '../testing/echo-application.ts';
import { joinedMesh } from '../testing/joined-mesh.ts';
import { acceptWebSocket } from '../testing/web-socket.ts';
import { joinHttp, meshAgent } from './index.ts';

const { mesh, orders, ordersPort } = await joinedMesh(echoApplication);
after(joinHttp(mesh));
const BASE = 'http://orders.mesh.internal';

async function ask(
  path: string,
  options: http.RequestOptions = {},
  body?: string | Buffer,
): Promise<{ response: http.IncomingMessage; body: Buffer }> {
  const request = http.request(`${BASE}${path}`, options);
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return { response, body: await buffer(response) };
}

const echoOf = async (options: http.RequestOptions = {}): Promise<Echo> => JSON.parse((await ask('/x', options)).body.toString()) as Echo;
/** Agents that keep connections do so after the answer. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe('node:http to a host of the mesh', () => {
  it('goes through the mesh, whatever agent there is', async () => {
    class OwnAgent extends http.Agent {}
    const agents = [
      undefined,
      false,
      new http.Agent(),
      new http.Agent({ keepAlive: true }),
      new OwnAgent({ keepAlive: true }),
      meshAgent(mesh),
    ] as const;
    for (const agent of agents) {
      const { headers, path } = await echoOf({ agent, headers: { 'X-One': '1' } });
      assert.equal(headers['x-heddle-peer'], 'spiffe://shop.test/ns/default/svc/web');
      assert.equal(headers['x-one'], '1');
      assert.equal(headers['host'], 'orders.mesh.internal');
      assert.equal(path, '/x');
      if (agent) agent.destroy();
    }
    const request = namedGet({ hostname: 'orders.mesh.internal', path: '/named' });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    assert.equal((JSON.parse(await text(response)) as Echo).path, '/named');
  });

  it('serves axios and got, with their own agents, redirects and streams', async () => {
    const { data, status } = await axios.post<Echo>(`${BASE}/ax`, { a: 1 }, { proxy: false });
    assert.deepEqual([status, data.body, data.headers['content-type']], [200, '{"a":1}', 'application/json']);
    const form = new FormData();
    form.append('f', new Blob(['content']), 'n.txt');
    assert.match((await axios.post<Echo>(BASE, form, { proxy: false })).data.body, /content/);
    const redirected = await axios.get<Echo>(`${BASE}/redirect`, { proxy: false, httpAgent: new http.Agent({ keepAlive: true }) });
    assert.equal(redirected.data.path, '/after');
    const aborted = axios.get(`${BASE}/never/ax`, { proxy: false, signal: AbortSignal.timeout(30) });
    await assert.rejects(aborted, { code: 'ERR_CANCELED' });
    await untilGivenUp('/never/ax');
    await assert.rejects(axios.get(`${BASE}/never/late`, { proxy: false, timeout: 30 }), { code: 'ECONNABORTED' });
    const gotten = await got.post(`${BASE}/got`, { json: { b: 2 }, agent: { http: new http.Agent() } }).json<Echo>();
    assert.equal(gotten.body, '{"b":2}');
    assert.equal((await got(`${BASE}/redirect`).json<Echo>()).path, '/after');
    assert.equal((await buffer(got.stream(`${BASE}/big`))).length, 3_000_000);
    await assert.rejects(got(`${BASE}/never/got`, { timeout: { request: 50 }, retry: { limit: 0 } }), { code: 'ETIMEDOUT' });
  });

  it('carries large bodies in both directions, as fast as they are read', async () => {
    const sent = Buffer.alloc(2_000_000, 5);
    assert.ok((await ask('/pipe', { method: 'POST' }, sent)).body.equals(sent));
    const request = http.get(`${BASE}/big`);
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    for (let turns = 0; turns < 100; turns++) await turn();
    assert.ok(response.readableLength < 400_000);
    assert.equal((await buffer(response)).length, 3_000_000);
  });

  it('brings 1xx answers, trailers, and empty answers', async () => {
    const request = http.get(`${BASE}/hints`);
    const [[information], [hinted]] = (await Promise.all([once(request, 'information'), once(request, 'response')])) as [
      [http.InformationEvent],
      [http.IncomingMessage],
    ];
    assert.equal(information.statusCode, 103);
    assert.equal(await text(hinted), 'hinted');
    const { response } = await ask('/trailers');
    assert.deepEqual({ ...response.trailers }, { 'x-sum': '42' });
    assert.equal((await ask('/nothing')).response.statusCode, 204);
    assert.equal((await ask('/x', { method: 'HEAD' })).body.length, 0);
    const waiting = http.request(`${BASE}/pipe`, { method: 'POST', headers: { expect: '100-continue' } });
    waiting.flushHeaders();
    await once(waiting, 'continue');
    waiting.end('now');
    const [answer] = (await once(waiting, 'response')) as [http.IncomingMessage];
    assert.equal(await text(answer), 'now');
  });

  it('changes protocols, and makes tunnels', async () => {
    orders.once('upgrade', acceptWebSocket);
    const key = Buffer.alloc(16).toString('base64');
    const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': key, 'sec-websocket-version': '13' };
    const request = http.get(`${BASE}/socket`, { headers, agent: new http.Agent() });
    const [response, socket] = (await once(request, 'upgrade')) as [http.IncomingMessage, Duplex];
    assert.equal(response.statusCode, 101);
    assert.ok(mesh.held > 0, 'an open connection keeps the process alive');
    socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x41]));
    assert.deepEqual([...((await once(socket, 'data')) as [Buffer])[0]], [0x81, 1, 0x41]);
    socket.destroy();
    await once(socket, 'close');
    const connect = http.request({ host: 'orders.mesh.internal', method: 'CONNECT', path: 'cache.mesh.internal:6379' }).end();
    const [, tunnel] = (await once(connect, 'connect')) as [http.IncomingMessage, Duplex];
    tunnel.write('ping');
    assert.equal(String((await once(tunnel, 'data'))[0]), 'ping');
    tunnel.destroy();
  });

  it('ends with what the called side, or the caller, does', async () => {
    const broken = http.get(`${BASE}/breaks`).on('error', () => {});
    const [response] = (await once(broken, 'response')) as [http.IncomingMessage];
    await assert.rejects(text(response), { code: 'ECONNRESET' });
    const request = http.get(`${BASE}/never/1`);
    setImmediate(() => request.destroy());
    await assert.rejects(once(request, 'response'), { code: 'ECONNRESET' });
    const reason = new Error('given up');
    const destroyed = http.get(`${BASE}/begin/1`);
    const [begun] = (await once(destroyed, 'response')) as [http.IncomingMessage];
    const said = once(destroyed, 'error');
    destroyed.destroy(reason);
    await assert.rejects(text(begun));
    assert.deepEqual(await said, [reason]);
    await untilGivenUp('/begin/1');
    const nobody = await new Promise<http.IncomingMessage>((resolve) => http.get('http://nobody.mesh.internal/', resolve));
    assert.equal(nobody.headers['x-heddle-error'], 'NO_SUCH_SERVICE');
    nobody.resume();
  });

  it('says that it takes too long', async () => {
    for (const limit of [(request: http.ClientRequest) => request.setTimeout(20), undefined]) {
      const request = http.get(`${BASE}/never/t`, limit === undefined ? { timeout: 20 } : {});
      limit?.(request);
      await once(request, 'timeout');
      request.destroy();
      await assert.rejects(once(request, 'response'), { code: 'ECONNRESET' });
    }
  });

  it('keeps to the limits of the agent, uses connections again, and keeps no process alive for idle ones', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
    let open = 0;
    const requests = Array.from({ length: 6 }, () => {
      const request = http.get(`${BASE}/x`, { agent });
      open = Math.max(open, Object.values(agent.sockets).flat().length);
      return request;
    });
    await Promise.all(
      requests.map(async (request) => {
        const [response] = (await once(request, 'response')) as [http.IncomingMessage];
        await text(response);
      }),
    );
    assert.equal(open, 2);
    await turn();
    const again = http.get(`${BASE}/x`, { agent });
    assert.equal(again.reusedSocket, true);
    const [response] = (await once(again, 'response')) as [http.IncomingMessage];
    assert.ok(mesh.held > 0);
    await text(response);
    await turn();
    assert.equal(Object.values(agent.freeSockets).flat().length, 2);
    assert.equal(mesh.held, 0);
    agent.destroy();
    await turn();
    assert.equal(Object.values(agent.freeSockets).flat().length, 0);
  });

  it('lets go of a connection that the data plane has closed', async () => {
    const agent = new http.Agent({ keepAlive: true });
    await ask('/x', { agent });
    await turn();
    const [idle] = Object.values(agent.freeSockets).flat();
    (idle as unknown as { connection: { destroy(): void } }).connection.destroy();
    await once(idle!, 'close');
    assert.equal(Object.values(agent.freeSockets).flat().length, 0);
    assert.equal((await ask('/x', { agent })).response.statusCode, 200);
    agent.destroy();
  });

  it('runs every listener in the context of its request', async () => {
    const storage = new AsyncLocalStorage<number>();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 3 });
    const one = (id: number): Promise<void> =>
      storage.run(
        id,
        () =>
          new Promise<void>((resolve, reject) => {
            const seen: unknown[] = [];
            const note = (): void => void seen.push(storage.getStore());
            const path = ['/x', '/breaks', '/pipe', '/never/context'][id % 4]!;
            const request = http.request(`${BASE}${path}`, { agent, method: 'POST', timeout: 30 }, (response) => {
              note();
              response.on('data', note).on('end', note).on('error', note);
            });
            request.on('socket', note).on('error', note).on('finish', note);
            request.on('timeout', () => {
              note();
              request.destroy();
            });
            request.on('close', () => {
              note();
              const others = seen.filter((store) => store !== id);
              if (others.length === 0) resolve();
              else reject(new Error(`${path} of ${id} heard of ${others.join()}`));
            });
            request.end('body');
          }),
      );
    await Promise.all(Array.from({ length: 40 }, (_, id) => one(id)));
    agent.destroy();
  });

  it('says that the mesh is not ready, and waits where it becomes so', async () => {
    mesh.isReady = false;
    mesh.becomesReady = Promise.reject(new MeshError('NOT_READY', 'not part of the mesh within 10 ms'));
    const failing = http.get(`${BASE}/x`);
    const [error] = (await once(failing, 'error')) as [NodeJS.ErrnoException & { meshCode: string }];
    assert.equal(error.code, 'ECONNREFUSED');
    assert.equal(error.meshCode, 'NOT_READY');
    assert.ok(error.cause instanceof MeshError);
    await assert.rejects(axios.get(`${BASE}/x`, { proxy: false }), { code: 'ECONNREFUSED' });
    const { promise, resolve } = Promise.withResolvers<void>();
    mesh.becomesReady = promise;
    const slow = http.get(`${BASE}/x`, { timeout: 20 });
    await once(slow, 'timeout');
    slow.destroy();
    await once(slow, 'error');
    const answer = ask('/x');
    resolve();
    assert.equal((await answer).response.statusCode, 200);
    assert.equal(mesh.isReady, true);
  });
});

describe('another host', () => {
  it('is called as ever', async (test) => {
    const agent = new http.Agent();
    const create = test.mock.method(agent, 'createConnection');
    const request = http.get(`http://127.0.0.1:${ordersPort}/x`, { agent });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    assert.equal((JSON.parse(await text(response)) as Echo).headers['x-heddle-peer'], undefined);
    assert.equal(create.mock.callCount(), 1);
    assert.equal(create.mock.calls[0]!.this, agent);
    const nobody = http.get('http://nobody.invalid/');
    const [error] = (await once(nobody, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ENOTFOUND');
  });

  it('is called through the connection that the caller makes, even with a name of the mesh', async (test) => {
    const createConnection = test.mock.fn(() => {
      throw new Error('as asked');
    });
    const request = http.get(`${BASE}/x`, { createConnection });
    await assert.rejects(once(request, 'response'), /as asked/);
  });
});

describe('joinHttp', () => {
  it('is once, and can be taken back', async () => {
    const { addRequest, createSocket } = http.Agent.prototype as unknown as Record<string, unknown>;
    const other = Object.assign(Object.create(mesh) as typeof mesh, { serves: () => false });
    const undo = joinHttp(other);
    assert.equal(joinHttp(other), undo);
    undo();
    undo();
    const now = http.Agent.prototype as unknown as Record<string, unknown>;
    assert.equal(now['addRequest'], addRequest);
    assert.equal(now['createSocket'], createSocket);
  });

  it('makes https to a service that speaks HTTP fail with words', async () => {
    const request = https.get('https://orders.mesh.internal/');
    await assert.rejects(once(request, 'response'), /NO_SUCH_SERVICE.*call http:\/\/orders\.mesh\.internal, without TLS/);
  });
});
