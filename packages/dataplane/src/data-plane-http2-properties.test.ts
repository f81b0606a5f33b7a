// Properties of the whole path with HTTP/2: any bodies come back as they went out, whatever else happens on the same connection, and no bytes
// from a client or an instance bring the data plane down.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { NO_RETRY } from '@heddle/core';
import { CLIENT_PREFACE } from '@heddle/wire';
import type { Client } from './testing/clients.ts';
import {
  connectFrames,
  data,
  FrameServer,
  FRAME,
  FLAG,
  frame,
  get,
  headers,
  post,
  rstStream,
  settings,
  SETTINGS_ACK,
  windowUpdate,
} from './testing/frames.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, single, startApplication, VERSIONS } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, until } from './testing/raw-http.ts';

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

for (const application of VERSIONS) {
  for (const version of VERSIONS) {
    describe(`${version} client, pair, ${application} application`, () => {
      const mesh = new TestMesh();
      let way: Way;
      let client: Client;

      before(async () => {
        const { port } = await startApplication(mesh, application, (request, response) => {
          request.on('error', () => {});
          response.on('error', () => {});
          request.pipe(response);
        });
        way = await pair(mesh, application, port);
        client = way.client(version);
      });
      after(async () => {
        await until(() => isQuiet(way.planes), 'nothing in flight');
        assert.deepEqual(
          way.planes.flatMap(({ faults }) => faults),
          [],
        );
        await mesh.close();
      });

      test('bodies in any pieces come back as they went out, among requests that are given up', async () => {
        const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 200_000 })), { maxLength: 6 });
        const request = fc.record({ sizes, isCancelled: fc.boolean(), isPaused: fc.boolean() });
        await fc.assert(
          fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 8 }), async (requests) => {
            await Promise.all(
              requests.map(async ({ sizes: pieces, isCancelled, isPaused }) => {
                const body = pieces.map((size) => randomBytes(size));
                const call = client.begin({ method: 'POST', body });
                for (const piece of body) {
                  call.write(piece);
                  if (isPaused) await new Promise((resolve) => setImmediate(resolve));
                }
                if (isCancelled) {
                  call.cancel();
                  return;
                }
                call.end();
                assert.equal(hash((await call.answer).body), hash(Buffer.concat(body)));
              }),
            );
          }),
          { numRuns: 25 },
        );
      });
    });
  }
}

/** Changes, repeats, drops and adds bytes of frames. */
const mutation = fc.record({
  at: fc.nat(400),
  remove: fc.nat(6),
  insert: fc.uint8Array({ maxLength: 8 }),
});

function mutated(bytes: Buffer, mutations: readonly { at: number; remove: number; insert: Uint8Array }[]): Buffer {
  let result = bytes;
  for (const { at, remove, insert } of mutations) {
    const place = at % result.length;
    result = Buffer.concat([result.subarray(0, place), insert, result.subarray(place + remove)]);
  }
  return result;
}

describe('hostile bytes of HTTP/2', () => {
  const mesh = new TestMesh();
  let ways: Way[];
  let hostile: FrameServer;
  /** What the hostile instance says when a request comes. */
  let says: Buffer;

  before(async () => {
    const { port } = await startApplication(mesh, 'http1', (request, response) => {
      request.on('error', () => {});
      request.resume();
      response.end('alive');
    });
    hostile = await FrameServer.listen();
    mesh.onClose(() => hostile.close());
    hostile.onPeer = (peer) => {
      peer.onFrame = ({ type }) => {
        if (type !== FRAME.headers) return;
        peer.send(says);
        peer.socket.end();
      };
    };
    const limits = { lingerTimeoutMs: 50, requestHeadTimeoutMs: 2_000 };
    ways = [
      await pair(mesh, 'http1', port, { limits }),
      await single(mesh, 'http2', [hostile.port], { limits, route: { timeoutMs: 1_000, retry: NO_RETRY } }),
    ];
  });
  after(async () => {
    await until(() => ways.every(({ planes }) => isQuiet(planes)), 'nothing in flight');
    assert.deepEqual(
      ways.flatMap(({ planes }) => planes.flatMap(({ faults }) => faults)),
      [],
    );
    await mesh.close();
  });

  const frames: readonly Buffer[] = [
    settings(),
    SETTINGS_ACK,
    headers(1, get()),
    headers(3, post(), false),
    data(3, 'hello', true),
    headers(
      5,
      [
        [':method', 'CONNECT'],
        [':authority', 'orders:80'],
      ],
      false,
    ),
    data(5, 'x'),
    windowUpdate(0, 100),
    windowUpdate(5, 100),
    rstStream(5, 8),
    frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    frame(FRAME.headers, FLAG.endStream, 7, headers(7, get()).subarray(9)),
    frame(FRAME.continuation, FLAG.endHeaders, 7),
  ];

  test('whatever a client sends, the next client is served', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(frames.length - 1), { maxLength: 8 }),
        fc.array(mutation, { maxLength: 4 }),
        async (order, mutations) => {
          const bytes = Buffer.concat([CLIENT_PREFACE, settings(), ...order.map((index) => frames[index]!)]);
          const peer = connectFrames(ways[0]!.port, { silent: true });
          peer.send(mutations.length === 0 ? bytes : mutated(bytes, mutations));
          peer.socket.end();
          await peer.gone();
          peer.socket.destroy();
        },
      ),
      { numRuns: 150 },
    );
    const client = connectRaw(ways[0]!.port);
    client.send('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
    await client.expect('alive');
    client.socket.destroy();
  });

  test('whatever an instance answers, its client gets an answer or an end, and nothing stays', async () => {
    const answer = [
      headers(
        1,
        [
          [':status', '200'],
          ['content-length', '5'],
        ],
        false,
      ),
      data(1, 'hello', true),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.array(mutation, { maxLength: 4 }),
        fc.array(fc.nat(frames.length - 1), { maxLength: 3 }),
        async (mutations, order) => {
          const bytes = Buffer.concat([answer[0]!, ...order.map((index) => frames[index]!), answer[1]!]);
          says = mutated(bytes, mutations);
          const client = connectRaw(ways[1]!.port);
          client.send('GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
          await client.gone();
          client.socket.destroy();
        },
      ),
      { numRuns: 100 },
    );
  });
});
