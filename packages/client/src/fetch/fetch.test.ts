import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { after, describe, it } from 'node:test';
import { EventSource } from 'undici';
import { MeshError } from '../errors.ts';
import { type Echo, echoApplication, untilGivenUp, uploaded } from '../testing/echo-application.ts';
import { joinedMesh } from '../testing/joined-mesh.ts';
import { acceptWebSocket } from '../testing/web-socket.ts';
import { joinFetch } from './index.ts';

const joined = await joinedMesh(echoApplication);
const { mesh, ordersPort } = joined;
after(joinFetch(mesh));

const BASE = 'http://orders.mesh.internal';
const echoed = async (response: Response): Promise<Echo> => (await response.json()) as Echo;
const causeOf = (code: string) => (error: Error) => {
  assert.equal(error.name, 'TypeError');
  assert.equal((error.cause as { code?: string }).code, code);
  return true;
};

describe('fetch to a host of the mesh', () => {
  it('is a call of the mesh, with method, path and headers', async () => {
    const { begun } = mesh;
    const response = await fetch(`${BASE}/a?b=c#d`, { method: 'PUT', headers: { 'X-One': '1', 'x-two': 'ü' }, body: 'text' });
    assert.equal(response.status, 200);
    assert.equal(response.statusText, 'OK');
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    const { method, path, headers, body } = await echoed(response);
    assert.deepEqual([method, path, body], ['PUT', '/a?b=c', 'text']);
    assert.equal(headers['x-one'], '1');
    assert.equal(headers['x-two'], 'ü');
    assert.equal(headers['host'], 'orders.mesh.internal');
    assert.equal(headers['content-length'], '4');
    assert.equal(headers['content-type'], 'text/plain;charset=UTF-8');
    assert.equal(headers['x-heddle-peer'], 'spiffe://shop.test/ns/default/svc/web');
    assert.equal(mesh.begun, begun + 1);
    assert.equal(mesh.held, 0);
  });

  it('takes Request objects, forms, blobs and streams', async () => {
    assert.equal((await echoed(await fetch(new Request(`${BASE}/r`, { method: 'POST', body: 'x' })))).body, 'x');
    const form = new FormData();
    form.append('field', 'value');
    form.append('file', new Blob(['content'], { type: 'text/plain' }), 'name.txt');
    const { body, headers } = await echoed(await fetch(BASE, { method: 'POST', body: form }));
    assert.match(headers['content-type']!, /^multipart\/form-data; boundary=/);
    assert.match(body, /name="field"\r\n\r\nvalue\r\n/);
    assert.match(body, /filename="name.txt"\r\ncontent-type: text\/plain\r\n\r\ncontent\r\n/i);
    assert.equal((await echoed(await fetch(BASE, { method: 'POST', body: new Blob(['blob']) }))).body, 'blob');
    const stream = ReadableStream.from([Buffer.from('a'), Buffer.from('b')]);
    const streamed = await echoed(await fetch(BASE, { method: 'POST', body: stream, duplex: 'half' } as RequestInit));
    assert.equal(streamed.body, 'ab');
    assert.equal(streamed.headers['transfer-encoding'], 'chunked');
  });

  it('carries large bodies in both directions', async () => {
    const sent = randomBytes(2_000_000);
    const response = await fetch(`${BASE}/pipe`, { method: 'POST', body: sent });
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(sent));
  });

  it('follows redirects, decodes, and has no body where there is none', async () => {
    const redirected = await fetch(`${BASE}/redirect`);
    assert.equal(redirected.redirected, true);
    assert.equal(redirected.url, `${BASE}/after`);
    assert.equal((await echoed(redirected)).path, '/after');
    assert.equal(await (await fetch(`${BASE}/gzip`)).text(), 'squeezed');
    const empty = await fetch(`${BASE}/nothing`);
    assert.equal(empty.status, 204);
    assert.equal(empty.body, null);
    const head = await fetch(`${BASE}/x`, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(await head.text(), '');
    assert.equal(await (await fetch(`${BASE}/hints`)).text(), 'hinted');
  });

  it('is answered by the mesh where a service does not exist', async () => {
    const response = await fetch('http://nobody.mesh.internal/');
    assert.equal(response.status, 404);
    assert.equal(response.headers.get('x-heddle-error'), 'NO_SUCH_SERVICE');
  });

  it('can be aborted before the answer, which the called side sees', async () => {
    const controller = new AbortController();
    const answer = fetch(`${BASE}/never/1`, { signal: controller.signal });
    setImmediate(() => controller.abort());
    await assert.rejects(answer, { name: 'AbortError' });
    await assert.rejects(fetch(`${BASE}/never/2`, { signal: AbortSignal.timeout(50) }), { name: 'TimeoutError' });
    await untilGivenUp('/never/2');
    assert.equal(mesh.held, 0);
  });

  it('can be aborted in the middle of the answer, or of the request', async () => {
    const controller = new AbortController();
    const response = await fetch(`${BASE}/begin/1`, { signal: controller.signal });
    const reader = response.body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'begun');
    controller.abort();
    await assert.rejects(reader.read(), { name: 'AbortError' });
    await untilGivenUp('/begin/1');
    const upload = new AbortController();
    const endless = ReadableStream.from(
      (async function* () {
        while (!upload.signal.aborted) {
          yield Buffer.alloc(1_000);
          await new Promise(setImmediate);
          if (uploaded.has('/stalls/1')) upload.abort();
        }
      })(),
    );
    await assert.rejects(
      fetch(`${BASE}/stalls/1`, { method: 'POST', body: endless, duplex: 'half', signal: upload.signal } as RequestInit),
      {
        name: 'AbortError',
      },
    );
    await untilGivenUp('/stalls/1');
    assert.equal(mesh.held, 0);
  });

  it('fails in the middle of the answer when that breaks off', async () => {
    const response = await fetch(`${BASE}/breaks`);
    await assert.rejects(response.text(), causeOf('UPSTREAM_RESET'));
  });

  it('says in the style of fetch that the mesh is not ready, and waits where it becomes so', async () => {
    mesh.isReady = false;
    mesh.becomesReady = Promise.reject(new MeshError('NOT_READY', 'not part of the mesh within 10 ms'));
    await assert.rejects(fetch(BASE), (error: Error) => {
      assert.equal(error.message, 'fetch failed');
      assert.ok(error.cause instanceof MeshError);
      return causeOf('NOT_READY')(error);
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    mesh.becomesReady = promise;
    const answers = [fetch(`${BASE}/1`), fetch(`${BASE}/2`, { method: 'POST', body: 'x' })];
    const aborted = fetch(BASE, { signal: AbortSignal.timeout(20) });
    await assert.rejects(aborted, { name: 'TimeoutError' });
    resolve();
    assert.deepEqual(
      (await Promise.all(answers)).map(({ status }) => status),
      [200, 200],
    );
    assert.equal(mesh.isReady, true);
    assert.equal(mesh.held, 0);
  });

  it('keeps the context of its caller, however many there are', async () => {
    const storage = new AsyncLocalStorage<number>();
    const one = (id: number): Promise<void> =>
      storage.run(id, async () => {
        const response = await fetch(`${BASE}/${id}`);
        assert.equal(storage.getStore(), id);
        const stream = response.body!.pipeThrough(
          new TransformStream({
            transform(chunk, controller) {
              assert.equal(storage.getStore(), id);
              controller.enqueue(chunk);
            },
          }),
        );
        assert.equal(((await new Response(stream).json()) as Echo).path, `/${id}`);
        assert.equal(storage.getStore(), id);
      });
    await Promise.all(Array.from({ length: 50 }, (_, id) => one(id)));
  });
});

describe('https to a host of the mesh', () => {
  it('fails with words where the service speaks HTTP', async () => {
    await assert.rejects(fetch('https://orders.mesh.internal/'), (error: Error) => {
      assert.match((error.cause as Error).message, /NO_SUCH_SERVICE.*call http:\/\/orders\.mesh\.internal, without TLS/);
      return true;
    });
  });
});

describe('fetch to another host', () => {
  it('goes its usual way', async () => {
    const { begun } = mesh;
    const { headers } = await echoed(await fetch(`http://127.0.0.1:${ordersPort}/x`));
    assert.equal(headers['x-heddle-peer'], undefined);
    assert.equal(mesh.begun, begun);
    await assert.rejects(fetch('http://nobody.invalid/'), causeOf('ENOTFOUND'));
    assert.equal(await (await fetch('data:,text')).text(), 'text');
  });
});

describe('EventSource and WebSocket', () => {
  it('get events', async () => {
    // Node has it behind a flag.
    const source = new EventSource(`${BASE}/events/1`);
    const event = await new Promise<{ data: unknown }>((resolve) => source.addEventListener('tick', resolve as () => void));
    assert.equal(event.data, 'one');
    source.close();
    await untilGivenUp('/events/1');
  });

  it('talk', async () => {
    const { orders } = joined;
    orders.on('upgrade', acceptWebSocket);
    const socket = new WebSocket(`ws://orders.mesh.internal/socket`);
    const texts: string[] = [];
    socket.addEventListener('open', () => socket.send('hello'));
    socket.addEventListener('message', ({ data }) => {
      texts.push(data as string);
      socket.close();
    });
    const closed = await new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
    assert.equal(closed.code, 1005);
    assert.deepEqual(texts, ['hello']);
    const refused = new WebSocket(`ws://orders.mesh.internal/never/${'x'.repeat(3)}`);
    orders.off('upgrade', acceptWebSocket);
    orders.on('upgrade', (_request, stream: Duplex) => void stream.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'));
    await new Promise<void>((resolve) => refused.addEventListener('error', () => resolve()));
    assert.equal(refused.readyState, WebSocket.CLOSED);
  });
});
