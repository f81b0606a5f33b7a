// Handlers in the style of fetch behind node:http: bodies flow both ways, and what goes wrong is told as HTTP tells it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type FetchHandler, listenerOf } from './fetch-handler.ts';

async function serving(t: TestContext, fetch: FetchHandler): Promise<string> {
  const server = http.createServer(listenerOf({ fetch })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a handler in the style of fetch', () => {
  test('gets the request as it is, and its response is sent as it is', async (t) => {
    const url = await serving(t, async (request, { incoming }) => {
      const headers = new Headers([
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-seen', `${request.method} ${new URL(request.url).pathname} ${request.headers.get('x-a')} ${incoming.url}`],
      ]);
      return new Response(`${await request.text()}!`, { status: 201, headers });
    });
    const response = await fetch(`${url}/path?x=1`, { method: 'POST', body: 'text', headers: { 'x-a': 'b' } });
    assert.equal(response.status, 201);
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2']);
    assert.equal(response.headers.get('x-seen'), 'POST /path b /path?x=1');
    assert.equal(await response.text(), 'text!');
  });

  test('sends what it has of a body before it has all, and reads the same way', async (t) => {
    const url = await serving(t, (request) => new Response(request.body));
    const body = new TransformStream<Uint8Array, Uint8Array>();
    const writer = body.writable.getWriter();
    const init = { method: 'POST', body: body.readable, duplex: 'half' } as RequestInit;
    void writer.write(Buffer.from('first'));
    const reader = (await fetch(url, init)).body!.getReader();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'first');
    await writer.write(Buffer.from('last'));
    await writer.close();
    assert.equal(Buffer.from((await reader.read()).value!).toString(), 'last');
    assert.equal((await reader.read()).done, true);
  });

  test('answers HEAD and 204 without a body', async (t) => {
    const url = await serving(t, ({ method }) => (method === 'HEAD' ? new Response('hidden') : new Response(null, { status: 204 })));
    assert.equal(await (await fetch(url, { method: 'HEAD' })).text(), '');
    assert.equal((await fetch(url)).status, 204);
  });

  test('that throws is a 500, and is told on standard error', async (t) => {
    const told = t.mock.method(process.stderr, 'write', () => true);
    const url = await serving(t, () => Promise.reject(new Error('broken')));
    assert.equal((await fetch(url)).status, 500);
    assert.match(String(told.mock.calls[0]!.arguments[0]), /^Error: broken/);
  });

  test('whose body breaks off breaks the response off', async (t) => {
    t.mock.method(process.stderr, 'write', () => true);
    const url = await serving(t, () => {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from('begun'));
        },
        pull(controller) {
          controller.error(new Error('broken'));
        },
      });
      return new Response(body);
    });
    await assert.rejects(async () => (await fetch(url)).text());
  });

  test('hears of it when the caller goes, and its body is given up', async (t) => {
    let aborted!: () => void;
    let cancelled!: () => void;
    const isAborted = new Promise<void>((resolve) => void (aborted = resolve));
    const isCancelled = new Promise<void>((resolve) => void (cancelled = resolve));
    const url = await serving(t, (request) => {
      request.signal.addEventListener('abort', aborted);
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from('begun')),
          cancel: cancelled,
        }),
      );
    });
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    await response.body!.getReader().read();
    controller.abort();
    await Promise.all([isAborted, isCancelled]);
  });
});
