// Many clients share a connection between two data planes: what some of them do must not end it for the others.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_HTTP2_LIMITS } from '@heddle/wire';
import { connectFrames, data, FRAME, get, headers, post, rstStream, windowUpdate } from './testing/frames.ts';
import type { FramePeer } from './testing/frames.ts';
import { TestMesh } from './testing/mesh.ts';
import { isQuiet, pair, startApplication } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { until } from './testing/raw-http.ts';

describe('a connection that many clients share', () => {
  const mesh = new TestMesh();
  const waiting: (() => void)[] = [];
  const big = Buffer.alloc(2_000_000, 'x');
  let way: Way;

  before(async () => {
    const { port } = await startApplication(
      mesh,
      'http2',
      (request, response) => {
        request.on('error', () => {});
        response.on('error', () => {});
        if (request.url === '/wait') waiting.push(() => response.end('waited'));
        else if (request.url === '/big') response.end(big);
        else if (request.url === '/early') response.writeHead(401).end('who are you');
        else if (request.url !== '/hang') response.end('ok');
        // Megabytes: node's own limit is for one client, not for a crowd.
      },
      { maxSessionMemory: 500 },
    );
    way = await pair(mesh, 'http2', port, { route: { timeoutMs: 0 } });
  });
  after(() => mesh.close());

  /** A request that was there before, is there after, and comes to its end. */
  async function besides(run: () => Promise<void>): Promise<void> {
    const client = way.client('http2');
    // Not sent again by itself.
    const call = client.begin({ method: 'POST', path: '/wait' });
    await until(() => waiting.length === 1, 'the bystander');
    await run();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual([call.status, call.error], [0, undefined], `the bystander was cut off: ${call.text}`);
    waiting.pop()!();
    assert.equal((await call.answer).body.toString(), 'waited');
    client.close();
    await until(() => isQuiet(way.planes), 'nothing in flight');
    assert.deepEqual(
      way.planes.flatMap(({ faults }) => faults),
      [],
    );
  }

  test('survives that many of them give up their requests', async () => {
    await besides(async () => {
      // Each client stays within what one connection may do.
      for (let client = 0; client < 6; client++) {
        const peer = connectFrames(way.port);
        const { burst } = DEFAULT_HTTP2_LIMITS.resets;
        for (let id = 1; id < 2 * 0.9 * burst; id += 2) {
          peer.send(headers(id, get('/hang')));
          if (peer.closed) return assert.fail('the client itself was cut off');
          if (id % 100 === 99) {
            await until(() => way.planes[1]!.plane.status().activeRequests >= 50, 'requests over there');
            for (let each = id - 98; each <= id; each += 2) peer.send(rstStream(each, 8));
            await until(() => way.planes[1]!.plane.status().activeRequests === 1, 'them to be given up');
          }
        }
        peer.socket.destroy();
      }
    });
  });

  async function answered(peer: FramePeer, ids: readonly number[]): Promise<void> {
    try {
      await until(() => peer.closed || ids.every((id) => peer.isOver(id)), 'the answers');
      assert.equal(peer.closed, false);
    } catch {
      const open = ids.filter((id) => !peer.isOver(id));
      const counts = way.planes.map(({ plane }) => plane.status().activeRequests);
      const goaway = peer.of(FRAME.goaway).map(({ payload }) => payload.toString('latin1'));
      assert.fail(`no answer on ${open.join()}; closed: ${peer.closed} ${goaway.join()}; under way: ${counts.join()}`);
    }
  }

  /** Rounds of as many streams at once. */
  const rounds = Array.from({ length: 20 }, (_, round) => Array.from({ length: 20 }, (_each, index) => 40 * round + 2 * index + 1));

  test('survives that many of them break off downloads', async () => {
    await besides(async () => {
      for (let client = 0; client < 2; client++) {
        const peer = connectFrames(way.port);
        for (const ids of rounds) {
          peer.send(windowUpdate(0, 65_535 * ids.length), ...ids.map((id) => headers(id, get('/big'))));
          await until(() => ids.every((id) => peer.of(FRAME.data, id).length > 0), 'some of each', 20_000);
          peer.send(...ids.map((id) => rstStream(id, 8)));
          peer.frames.length = 0;
        }
        peer.socket.destroy();
      }
    });
  });

  test('survives that many of them are answered while they still send', async () => {
    await besides(async () => {
      for (let client = 0; client < 2; client++) {
        const peer = connectFrames(way.port);
        // All pieces of a round fit into what is left of the connection's window at the worst.
        const piece = Buffer.alloc(5_000);
        for (const ids of rounds) {
          peer.send(...ids.flatMap((id) => [headers(id, post('/early'), false), data(id, piece), data(id, piece), data(id, piece)]));
          await answered(peer, ids);
          peer.frames.length = 0;
        }
        peer.socket.destroy();
      }
    });
  });
});
