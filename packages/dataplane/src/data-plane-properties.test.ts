// Properties of the whole path: any body comes back as it went out, and no bytes from a client bring the data plane down.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { endpoint, TestMesh } from './testing/mesh.ts';
import type { Plane } from './testing/mesh.ts';
import { connectRaw, until } from './testing/raw-http.ts';

describe('properties of the data path', () => {
  const mesh = new TestMesh();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
  let web: Plane;
  let orders: Plane;
  let port: number;

  before(async () => {
    web = mesh.plane('web');
    orders = mesh.plane('orders');
    const application = await mesh.application((request, response) => {
      const length = request.headers['content-length'];
      if (length !== undefined) response.setHeader('content-length', length);
      request.pipe(response);
    });
    port = await mesh.outbound(web.plane, 'orders', [
      endpoint(await mesh.inbound(orders.plane, 'orders', 'orders-1', application.port), 'orders-1'),
    ]);
  });

  after(async () => {
    agent.destroy();
    await mesh.close();
    assert.deepEqual([...web.faults, ...orders.faults], []);
  });

  function echo(pieces: readonly Buffer[], chunked: boolean): Promise<Buffer> {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const headers: Record<string, string> = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(length) };
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, method: 'POST', path: '/', agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks)));
        response.on('error', reject);
      });
      request.on('error', reject);
      for (const piece of pieces) request.write(piece);
      request.end();
    });
  }

  test('any body, in any pieces, comes back as it went out', async () => {
    const body = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 200_000 })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(body, fc.boolean()), { minLength: 1, maxLength: 4 }), async (bodies) => {
        await Promise.all(
          bodies.map(async ([sizes, chunked]) => {
            const pieces = sizes.map((size) => randomBytes(size));
            const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
            assert.equal(hash(await echo(pieces, chunked)), hash(Buffer.concat(pieces)));
          }),
        );
      }),
      { numRuns: 40 },
    );
    await until(() => web.plane.status().activeRequests === 0 && orders.plane.status().activeRequests === 0, 'nothing in flight');
  });

  test('whatever a client sends, the next client is served', async () => {
    const good = 'POST /a?b HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    const mutation = fc.record({
      at: fc.nat(good.length),
      remove: fc.nat(12),
      insert: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { maxLength: 3 }), fc.nat(3), async (mutations, repeats) => {
        let text = good.repeat(repeats + 1);
        for (const { at, remove, insert } of mutations) text = text.slice(0, at) + insert + text.slice(at + remove);
        const client = connectRaw(port);
        client.send(text);
        client.socket.end();
        await client.gone();
        client.socket.destroy();
      }),
      { numRuns: 150 },
    );
    assert.equal((await echo([Buffer.from('still alive')], false)).toString(), 'still alive');
    await until(() => web.plane.status().activeRequests === 0 && orders.plane.status().activeRequests === 0, 'nothing in flight');
  });
});
