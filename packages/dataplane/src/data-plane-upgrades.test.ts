// WebSocket and other upgrades on every way: HTTP/1.1 or HTTP/2 in front, in between and behind.
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { TestMesh } from './testing/mesh.ts';
import { HOPS, isQuiet, startApplication, startWay, VERSIONS } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { connectRaw, until } from './testing/raw-http.ts';
import { acceptOf, ask, untilAgreed, untilEachStopsTheOther, upgradingApplication } from './testing/upgrades.ts';
import type { Asked } from './testing/upgrades.ts';

/** The application's end of an upgrade. */
class Far {
  readonly asked: Asked;
  readonly stream: Duplex;
  text = '';
  receivedBytes = 0;
  ended = false;
  failed = false;
  closed = false;

  constructor(asked: Asked) {
    this.asked = asked;
    this.stream = asked.agree(asked.path === '/greet' ? 'welcome ' : '');
    this.stream.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (this.receivedBytes < 100_000) this.text += chunk.toString('latin1');
    });
    this.stream.on('end', () => void (this.ended = true));
    this.stream.on('error', () => void (this.failed = true));
    this.stream.on('close', () => {
      this.closed = true;
      // Node says nothing about a CANCEL.
      this.failed ||= ((this.stream as { rstCode?: number }).rstCode ?? 0) !== 0;
    });
  }
}

for (const hops of HOPS) {
  for (const application of VERSIONS) {
    for (const version of VERSIONS) {
      describe(`upgrade: ${version} client, ${hops === 'pair' ? 'pair' : 'one data plane'}, ${application} application`, () => {
        const mesh = new TestMesh();
        const fars: Far[] = [];
        let way: Way;

        before(async () => {
          const { port } = await upgradingApplication(mesh, application, (asked) => {
            if (asked.path.startsWith('/refuse/')) asked.refuse(Number(asked.path.slice(8)), 'no thanks');
            else fars.push(new Far(asked));
          });
          way = await startWay(mesh, hops, application, port, { route: { timeoutMs: 1_000 } });
        });
        after(async () => {
          try {
            await until(() => isQuiet(way.planes), 'nothing in flight');
            assert.deepEqual(
              way.planes.flatMap(({ faults }) => faults),
              [],
            );
          } finally {
            await mesh.close();
          }
        });

        async function agreed(options: Parameters<typeof ask>[3] = {}): Promise<{ near: ReturnType<typeof ask>; far: Far }> {
          const near = ask(mesh, version, way.port, options);
          await untilAgreed(near, version);
          return { near, far: fars.pop()! };
        }

        test('is agreed on, and bytes go both ways', async () => {
          const { near, far } = await agreed({ headers: { 'sec-websocket-protocol': 'chat' } });
          assert.equal(far.asked.headers['sec-websocket-protocol'], 'chat');
          assert.equal(far.asked.protocol, 'websocket');
          assert.equal(near.headers['x-app'], 'yes');
          if (version === 'http1') {
            assert.equal(near.headers['sec-websocket-accept'], acceptOf('dGhlIHNhbXBsZSBub25jZQ=='));
            assert.deepEqual([near.headers.upgrade, near.headers.connection?.toLowerCase()], ['websocket', 'upgrade']);
          } else assert.equal(near.headers['sec-websocket-accept'], undefined);
          near.write('ping');
          await until(() => far.text === 'ping', 'the ping');
          far.stream.write('pong');
          await until(() => near.text === 'pong', 'the pong');
          near.end();
          await until(() => far.ended, 'the end');
          far.stream.end();
          await until(() => near.ended, 'the end back');
        });

        const keyed = async (): Promise<void> => {
          const key = 'dGhlIHNhbXBsZSBub25jZQ==';
          const { near, far } = await agreed({ headers: { 'sec-websocket-key': key } });
          assert.deepEqual([near.headers['sec-websocket-accept']].flat(), [acceptOf(key)]);
          near.end();
          far.stream.end();
          await until(() => near.ended && far.ended, 'the ends');
        };
        if (version === 'http2') test('a key that came over HTTP/2 is answered, as Envoy passes it on (RFC 8441 §5 does without)', keyed);

        test('another protocol than WebSocket is passed on, too', async () => {
          const { near, far } = await agreed({ protocol: 'telegram' });
          assert.equal(far.asked.protocol, 'telegram');
          assert.equal(far.asked.headers['sec-websocket-key'], undefined);
          near.end();
          far.stream.end();
          await until(() => near.ended && far.ended, 'the ends');
        });

        test('bytes right behind the request, and right behind the agreement, are kept', async () => {
          const { near, far } = await agreed({ path: '/greet', first: 'early ' });
          near.write('late');
          await until(() => far.text === 'early late', 'what was sent');
          await until(() => near.text === 'welcome ', 'the greeting');
          near.end();
          far.stream.end();
          await until(() => near.ended && far.ended, 'the ends');
        });

        test('a client that has ended still hears the rest', async () => {
          const { near, far } = await agreed();
          near.write('question');
          near.end();
          await until(() => far.ended, 'the end');
          assert.equal(far.text, 'question');
          far.stream.end('answer');
          await until(() => near.ended, 'the end back');
          assert.equal(near.text, 'answer');
        });

        test('an application that has ended still hears the rest', async () => {
          const { near, far } = await agreed();
          far.stream.end('done');
          await until(() => near.ended, 'the end');
          assert.equal(near.text, 'done');
          // More than windows and buffers hold, so that it waits in queues when the end comes.
          far.stream.pause();
          near.write(Buffer.alloc(3_000_000, 'x'));
          near.end();
          far.stream.resume();
          await until(() => far.ended, 'the end back');
          assert.equal(far.receivedBytes, 3_000_000);
        });

        test('a reset is passed on as one, both ways', async () => {
          const first = await agreed();
          first.far.stream.write('half of it');
          await until(() => first.near.text !== '', 'some bytes');
          if (application === 'http1') (first.far.stream as unknown as { resetAndDestroy(): void }).resetAndDestroy();
          else first.far.stream.destroy(new Error('on purpose'));
          await until(() => first.near.failed || first.near.ended, 'the client to hear of it');
          assert.equal(first.near.failed, true, 'it looked like an end');
          const second = await agreed();
          second.near.reset();
          await until(() => second.far.closed, 'the application to hear of it');
          assert.equal(second.far.failed, true, 'it looked like an end');
        });

        test('a refusal is passed on with its body', async () => {
          for (const status of [403, 302, 500]) {
            const near = ask(mesh, version, way.port, { path: `/refuse/${status}` });
            await until(() => near.status !== 0, 'the answer');
            assert.equal(near.status, status);
            await until(() => near.text.includes('no thanks'), 'its body');
          }
        });

        test('the time limit of the route ends with the agreement', async () => {
          const { near, far } = await agreed();
          await new Promise((resolve) => setTimeout(resolve, 1_300));
          near.write('still here');
          await until(() => far.text === 'still here', 'bytes after the limit');
          near.end();
          far.stream.end();
          await until(() => near.ended && far.ended, 'the ends');
        });

        test('a slow reader stops the other side, in both directions', async () => {
          const { near, far } = await agreed();
          await untilEachStopsTheOther(near, far, far.stream);
          near.end();
          far.stream.end();
          await until(() => near.ended && far.ended, 'the ends');
        });
      });
    }
  }
}

describe('upgrades that are not agreed on', () => {
  const mesh = new TestMesh();
  const seen: string[] = [];
  const ways: Way[] = [];
  after(async () => {
    await until(() => ways.every(({ planes }) => isQuiet(planes)), 'nothing in flight');
    assert.deepEqual(
      ways.flatMap(({ planes }) => planes.flatMap(({ faults }) => faults)),
      [],
    );
    await mesh.close();
  });

  before(async () => {
    const { port } = await startApplication(mesh, 'http1', (request, response) => {
      seen.push(`${request.method} ${request.headers.upgrade ?? 'no upgrade'}`);
      request.resume();
      response.end('ignored');
    });
    for (const hops of HOPS) ways.push(await startWay(mesh, hops, 'http1', port));
  });

  test('an application may ignore the upgrade of an HTTP/1.1 client (RFC 9110 §7.8)', async () => {
    const client = connectRaw(ways[0]!.port);
    client.send('GET / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: telegram\r\n\r\n');
    await client.expect(/^HTTP\/1\.1 200 [\s\S]*ignored/);
    client.send('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
    await client.expect(/ignored[\s\S]*ignored/);
    client.socket.destroy();
    assert.deepEqual(seen.splice(0), ['GET telegram', 'GET no upgrade']);
  });

  test('of a request with a body it is left out', async () => {
    const client = connectRaw(ways[1]!.port);
    client.send('POST / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: telegram\r\nContent-Length: 4\r\n\r\nbody');
    await client.expect(/^HTTP\/1\.1 200 [\s\S]*ignored/);
    client.socket.destroy();
    assert.deepEqual(seen.splice(0), ['POST no upgrade']);
  });

  test('between data planes the first of several protocols is asked for, and none where the first is none', async () => {
    const ask = async (protocols: string, answer: RegExp): Promise<void> => {
      const client = connectRaw(ways[1]!.port);
      client.send(`GET / HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: ${protocols}\r\n\r\n`);
      await client.expect(answer);
      client.socket.destroy();
    };
    await ask('telegram, other/1', /^HTTP\/1\.1 502 /);
    await ask('tele\xe9gram', /^HTTP\/1\.1 200 [\s\S]*ignored/);
    assert.deepEqual(seen.splice(0), ['GET telegram', 'GET no upgrade']);
  });

  test('one that ignores an extended CONNECT is named: what it answered is no agreement', async () => {
    for (const { port } of ways) {
      const near = ask(mesh, 'http2', port);
      await until(() => near.status !== 0, 'an answer');
      assert.deepEqual([near.status, near.headers['x-heddle-error']], [502, 'UPSTREAM_PROTOCOL']);
    }
  });

  test('h2c is between the client and the first data plane, with a body and without one', async () => {
    seen.length = 0;
    for (const { port } of ways) {
      const posting = connectRaw(port);
      posting.send(
        'POST / HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 4\r\n\r\nbody',
      );
      await posting.expect(/^HTTP\/1\.1 200 [\s\S]*ignored/);
      posting.socket.destroy();
      const getting = connectRaw(port);
      getting.send(
        'GET / HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
      );
      await getting.expect(/^HTTP\/1\.1 101 [\s\S]*upgrade: h2c\r\n\r\n/i);
      getting.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
      await getting.expect('ignored');
      getting.socket.destroy();
    }
    assert.deepEqual(seen, ['POST no upgrade', 'GET no upgrade', 'POST no upgrade', 'GET no upgrade']);
  });

  test('h2c asked for with CONNECT opens no way past the routes', async () => {
    const client = connectRaw(ways[0]!.port);
    client.send(
      'CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n',
    );
    await client.expect(/^HTTP\/1\.1 (?!101)/);
    assert.deepEqual(
      seen.filter((line) => line.startsWith('CONNECT')),
      [],
    );
    client.socket.destroy();
  });

  test('h2c with settings that are none ends in a protocol error', async () => {
    const client = connectRaw(ways[0]!.port);
    client.send('GET / HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n');
    await client.gone();
    client.socket.destroy();
  });
});
