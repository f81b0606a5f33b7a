import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import * as undici from 'undici';
import { type Echo, echoApplication, untilGivenUp } from '../testing/echo-application.ts';
import { joinedMesh } from '../testing/joined-mesh.ts';
import { acceptWebSocket } from '../testing/web-socket.ts';
import { type Dispatching, type DispatchHandler, type DispatchOptions, joinFetch, MeshDispatcher, meshDispatcher } from './index.ts';

const { mesh, orders, ordersPort } = await joinedMesh(echoApplication);
const BASE = 'http://orders.mesh.internal';
const dispatcher = meshDispatcher(mesh);
const asUndici = dispatcher as unknown as undici.Dispatcher;
const echoOf = async (options: Partial<undici.Dispatcher.RequestOptions> = {}): Promise<Echo> => {
  const { body } = await undici.request(`${BASE}/x`, { ...options, dispatcher: asUndici } as Parameters<typeof undici.request>[1]);
  return (await body.json()) as Echo;
};

describe('MeshDispatcher for undici', () => {
  it('takes headers in every form', async () => {
    const forms: undici.Dispatcher.RequestOptions['headers'][] = [
      { 'X-A': 'one', 'x-b': ['two', 'three'], 'x-c': undefined },
      ['x-a', 'one', 'x-b', 'two', 'x-b', 'three'],
      new Map<string, string | string[]>([
        ['x-a', 'one'],
        ['x-b', ['two', 'three']],
      ]),
      new undici.Headers([
        ['x-a', 'one'],
        ['x-b', 'two'],
        ['x-b', 'three'],
      ]),
    ];
    for (const headers of forms) {
      const seen = (await echoOf({ headers: headers! })).headers;
      assert.equal(seen['x-a'], 'one');
      assert.equal(seen['x-b'], 'two, three');
      assert.equal('x-c' in seen, false);
    }
  });

  it('takes bodies in every form, and says how long they are where that is known', async () => {
    const form = new undici.FormData();
    form.append('a', 'b');
    const known: [unknown, string][] = [
      ['text', 'text'],
      [Buffer.from('bytes'), 'bytes'],
      [new Uint16Array([0x4141]), 'AA'],
      [new Uint8Array([66]).buffer, 'B'],
      [new Blob(['blob']), 'blob'],
    ];
    for (const [body, expected] of known) {
      const seen = await echoOf({ method: 'POST', body: body as never });
      assert.equal(seen.body, expected);
      assert.equal(seen.headers['content-length'], String(expected.length));
    }
    const streams: [unknown, string][] = [
      [Readable.from([Buffer.from('a'), 'b']), 'ab'],
      [ReadableStream.from([Buffer.from('cd')]), 'cd'],
      [new Set(['e', 'f']), 'ef'],
    ];
    for (const [body, expected] of streams) assert.equal((await echoOf({ method: 'POST', body: body as never })).body, expected);
    const sent = await echoOf({ method: 'POST', body: form });
    assert.match(sent.body, /name="a"\r\n\r\nb\r\n/);
    assert.equal(Number(sent.headers['content-length']), sent.body.length);
    assert.match(sent.headers['content-type']!, /^multipart\/form-data; boundary=/);
    assert.equal((await echoOf({ method: 'POST' })).headers['content-length'], '0');
    assert.equal((await echoOf()).headers['content-length'], undefined);
    assert.equal((await echoOf({ query: { q: 'a b' } })).path, '/x?q=a%20b');
  });

  it('serves stream, pipeline, compose and its own methods', async () => {
    const sink = new PassThrough();
    const { trailers } = (await undici.stream(`${BASE}/trailers`, { dispatcher: asUndici, method: 'GET' }, () => sink)) as {
      trailers: object;
    };
    assert.equal(await text(sink), 'ab');
    assert.deepEqual(trailers, { 'x-sum': '42' });
    const pipe = undici.pipeline(`${BASE}/pipe`, { dispatcher: asUndici, method: 'POST' }, ({ body }) => body);
    const sent = Buffer.alloc(1_500_000, 3);
    pipe.end(sent);
    assert.ok((await buffer(pipe)).equals(sent));
    const composed = asUndici.compose(undici.interceptors.redirect({ maxRedirections: 2 }));
    const { body, statusCode } = await composed.request({ origin: BASE, path: '/redirect', method: 'GET' });
    assert.equal(statusCode, 200);
    assert.equal(((await body.json()) as Echo).path, '/after');
  });

  it('changes protocols, and says when that is refused', async () => {
    orders.once('upgrade', acceptWebSocket);
    const key = Buffer.alloc(16).toString('base64');
    const { socket } = await undici.upgrade(`${BASE}/ws`, {
      dispatcher: asUndici,
      protocol: 'websocket',
      headers: { 'sec-websocket-key': key, 'sec-websocket-version': '13' },
    });
    assert.ok(mesh.held > 0);
    socket.write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x41]));
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.deepEqual([...answer], [0x81, 1, 0x41]);
    socket.destroy();
    await once(socket, 'close');
    assert.equal(mesh.held, 0);
    const tunnel = await asUndici.connect({ origin: BASE, path: 'cache.mesh.internal:6379' });
    tunnel.socket.write('ping');
    assert.equal(String((await once(tunnel.socket, 'data'))[0]), 'ping');
    tunnel.socket.destroy();
  });

  it('holds the time limits of a request', async () => {
    const head = undici.request(`${BASE}/never/1`, { dispatcher: asUndici, headersTimeout: 30 });
    await assert.rejects(head, (error) => error instanceof undici.errors.HeadersTimeoutError);
    await untilGivenUp('/never/1');
    const { body } = await undici.request(`${BASE}/begin/1`, { dispatcher: asUndici, bodyTimeout: 30 });
    await assert.rejects(body.text(), { name: 'BodyTimeoutError', code: 'UND_ERR_BODY_TIMEOUT' });
    await untilGivenUp('/begin/1');
  });

  it('refuses what undici refuses', async () => {
    const refused = (options: object, code: string): Promise<void> => assert.rejects(echoOf(options), { code });
    await refused({ headers: { 'transfer-encoding': 'chunked' } }, 'UND_ERR_INVALID_ARG');
    await refused({ headers: { expect: '100-continue' } }, 'UND_ERR_NOT_SUPPORTED');
    await refused({ headers: { 'x-a': 'a\r\nb: c' } }, 'UND_ERR_INVALID_ARG');
    await refused({ headers: { 'content-length': 'x' } }, 'UND_ERR_INVALID_ARG');
    await refused({ headersTimeout: -1 }, 'UND_ERR_INVALID_ARG');
    await refused({ method: 'POST', body: {} }, 'UND_ERR_INVALID_ARG');
    await refused({ method: 'A B' }, 'UND_ERR_INVALID_ARG');
    const mismatch = 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH';
    await refused({ method: 'POST', body: 'abc', headers: { 'content-length': '2' } }, mismatch);
    for (const length of ['2', '4'])
      await refused({ method: 'POST', body: Readable.from([Buffer.from('abc')]), headers: { 'content-length': length } }, mismatch);
    assert.equal(mesh.held, 0);
  });

  it('fails with what the body fails with, and destroys a body that is not wanted any more', async () => {
    const broken = new Readable({ read() {} });
    const answer = echoOf({ method: 'POST', body: broken });
    broken.push('a');
    setImmediate(() => broken.destroy(new Error('no more')));
    await assert.rejects(answer, /no more/);
    const endless = new Readable({
      read() {
        setImmediate(() => this.push(Buffer.alloc(10_000)));
      },
    });
    const { body } = await undici.request(`${BASE}/early`, { dispatcher: asUndici, method: 'POST', body: endless });
    assert.equal(await body.text(), 'enough');
    if (!endless.destroyed) await once(endless, 'close');
    assert.equal(mesh.held, 0);
  });

  it('stops reading where nobody reads, and keeps the process alive only as long as somebody does', async () => {
    const { body } = await undici.request(`${BASE}/big`, { dispatcher: asUndici });
    await once(body, 'readable');
    for (let turns = 0; turns < 100; turns++) await new Promise(setImmediate);
    assert.ok(body.readableLength < 400_000, `${body.readableLength} bytes came`);
    assert.equal(mesh.held, 0);
    assert.equal((await body.arrayBuffer()).byteLength, 3_000_000);
  });

  it('tells what it does on the channels of undici, where headers can be added', async () => {
    const heard: string[] = [];
    const names = ['create', 'headers', 'trailers'].map((name) => `undici:request:${name}`);
    const listen = (message: unknown, name: string | symbol): void => {
      heard.push(String(name));
      const { request } = message as { request: { origin: string; addHeader(name: string, value: string): void } };
      if (name === names[0]) request.addHeader('traceparent', request.origin);
    };
    for (const name of names) channel(name).subscribe(listen);
    after(() => {
      for (const name of names) channel(name).unsubscribe(listen);
    });
    assert.equal((await echoOf()).headers['traceparent'], BASE);
    assert.deepEqual(heard, names);
    for (const name of names) channel(name).unsubscribe(listen);
  });

  it('closes when its calls have ended, and destroys those that have not', async () => {
    const own = meshDispatcher(mesh);
    const call = undici.request(`${BASE}/x`, { dispatcher: own as unknown as undici.Dispatcher });
    await own.close();
    await (await call).body.text();
    await assert.rejects(undici.request(BASE, { dispatcher: own as unknown as undici.Dispatcher }), { code: 'UND_ERR_CLOSED' });
    const other = meshDispatcher(mesh);
    const pending = undici.request(`${BASE}/never/2`, { dispatcher: other as unknown as undici.Dispatcher });
    await new Promise(setImmediate);
    await other.destroy();
    await assert.rejects(pending, { code: 'UND_ERR_DESTROYED' });
    assert.equal(other.destroyed, true);
  });
});

describe('handlers of both kinds', () => {
  const dispatched = (
    options: Partial<DispatchOptions>,
    handler: (said: unknown[], done: () => void) => DispatchHandler,
  ): Promise<unknown[]> =>
    new Promise((resolve) => {
      const said: unknown[] = [];
      dispatcher.dispatch(
        { origin: new URL(BASE), path: '/early', method: 'GET', ...options },
        handler(said, () => resolve(said)),
      );
    });

  it('hear the same', async () => {
    const older = await dispatched({}, (said, done) => ({
      onConnect: () => void said.push('start'),
      onHeaders: (status, raw, _resume, statusText) => void said.push(status, statusText, raw.every(Buffer.isBuffer)),
      onData: (chunk) => void said.push(String(chunk)),
      onComplete: (trailers) => (said.push(trailers), done()),
    }));
    assert.deepEqual(older, ['start', 200, 'OK', true, 'enough', []]);
    const newer = await dispatched({}, (said, done) => ({
      onRequestStart: () => void said.push('start'),
      onResponseStart: (_controller, status, headers, statusText) => void said.push(status, statusText, headers['content-length']),
      onResponseData: (_controller, chunk) => void said.push(String(chunk)),
      onResponseEnd: (_controller, trailers) => (said.push(trailers), done()),
    }));
    assert.deepEqual(newer, ['start', 200, 'OK', '6', 'enough', {}]);
  });

  it('can hold back, go on and give up', async () => {
    const seen = await dispatched({ path: '/big' }, (said, done) => {
      let bytes = 0;
      return {
        onRequestStart() {},
        onResponseData(controller, chunk) {
          assert.equal(controller.paused, false);
          bytes += chunk.length;
          controller.pause();
          setImmediate(() => controller.resume());
        },
        onResponseEnd: () => (said.push(bytes), done()),
      };
    });
    assert.deepEqual(seen, [3_000_000]);
    const reason = new Error('enough');
    const gone = await dispatched({ path: '/begin/2' }, (said, done) => ({
      onRequestStart() {},
      onResponseData: (controller) => controller.abort(reason),
      onResponseError: (controller, error) => (said.push(error, controller!.aborted, controller!.reason), done()),
    }));
    assert.deepEqual(gone, [reason, true, reason]);
    await untilGivenUp('/begin/2');
    const older = await dispatched({ path: '/never/9' }, (said, done) => ({
      onConnect: (abort) => void setImmediate(abort),
      onError: (error) => (said.push((error as { code?: string }).code), done()),
    }));
    assert.deepEqual(older, ['UND_ERR_ABORTED']);
  });

  it('hear of what they throw', async () => {
    const thrown = new Error('by the handler');
    for (const handler of [{ onResponseStart: () => raise(thrown) }, { onResponseData: () => raise(thrown) }] as DispatchHandler[]) {
      const said = await dispatched({}, (heard, done) => ({
        onRequestStart() {},
        ...handler,
        onResponseError: (_controller, error) => (heard.push(error), done()),
      }));
      assert.deepEqual(said, [thrown]);
    }
  });
});

function raise(error: Error): never {
  throw error;
}

describe('joinFetch', () => {
  const place = Symbol.for('undici.globalDispatcher.2');
  const older = Symbol.for('undici.globalDispatcher.1');
  const globals = globalThis as unknown as Record<symbol, Dispatching>;

  it('sets the global dispatchers once, and takes that back', async () => {
    void globalThis.Headers;
    const before = [globals[place], globals[older]];
    const undo = joinFetch(mesh);
    assert.equal(joinFetch(mesh), undo);
    assert.ok(globals[place] instanceof MeshDispatcher && globals[older] instanceof MeshDispatcher);
    assert.equal((await undici.request(BASE)).statusCode, 200);
    undo();
    undo();
    assert.deepEqual([globals[place], globals[older]], before);
    await assert.rejects(undici.request(BASE), { code: 'ENOTFOUND' });
  });

  it('leaves alone what somebody else has set since, and is no part of it any more', async () => {
    const before = undici.getGlobalDispatcher();
    const undo = joinFetch(mesh);
    const composed = undici.getGlobalDispatcher().compose((dispatch) => (options, handler) => dispatch(options, handler));
    undici.setGlobalDispatcher(composed);
    assert.equal((await undici.request(BASE)).statusCode, 200);
    undo();
    assert.equal(undici.getGlobalDispatcher(), composed);
    await assert.rejects(undici.request(BASE), { code: 'ENOTFOUND' });
    undici.setGlobalDispatcher(before);
  });

  it('passes other requests on as they are', () => {
    const passed: unknown[][] = [];
    const others: Dispatching = {
      dispatch: (...args) => passed.push(args) === 0,
      close() {},
      destroy() {},
    };
    const own = meshDispatcher(mesh, { others });
    const handler = {};
    const requests = [
      { origin: `http://127.0.0.1:${ordersPort}`, path: '/', method: 'GET' },
      { path: '/', method: 'GET' },
      { origin: 'unix:x', path: '/', method: 'GET' },
    ];
    for (const options of requests) assert.equal(own.dispatch(options, handler), false);
    assert.equal(passed.length, 3);
    for (const [at, [options, passedHandler]] of passed.entries()) {
      assert.equal(options, requests[at]);
      assert.equal(passedHandler, handler);
    }
  });
});
