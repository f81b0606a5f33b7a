// Back-pressure of HTTP, end to end and on every way: a slow reader stops its own source, holds little memory, and nobody else.
import assert from 'node:assert/strict';
import type http from 'node:http';
import { after, before, describe, test } from 'node:test';
import type { Call, Client } from './testing/clients.ts';
import { TestMesh } from './testing/mesh.ts';
import { HOPS, isQuiet, startApplication, startWay, VERSIONS } from './testing/paths.ts';
import type { Way } from './testing/paths.ts';
import { KERNEL_BYTES_MAX, until } from './testing/raw-http.ts';

const CHUNK = Buffer.alloc(100_000, 'x');
/** What windows and buffers may hold of one stream on the whole way; in truth far less. */
const HELD_BYTES_MAX = 30_000_000;
const TRIED_BYTES = HELD_BYTES_MAX + 4 * KERNEL_BYTES_MAX;

/** Writes while it is taken, up to TRIED_BYTES; how much was taken. */
class Pump {
  writtenBytes = 0;
  private readonly write: (bytes: Buffer) => boolean;
  private readonly isFull: () => boolean;

  constructor(write: (bytes: Buffer) => boolean, isFull: () => boolean) {
    this.write = write;
    this.isFull = isFull;
  }

  /** True once the other side has stopped it: nothing was taken for a while. */
  async stopped(): Promise<boolean> {
    let quietRounds = 0;
    while (this.writtenBytes < TRIED_BYTES && quietRounds < 100) {
      if (this.isFull()) {
        quietRounds++;
        await new Promise((resolve) => setTimeout(resolve, 2));
      } else {
        quietRounds = 0;
        this.write(CHUNK);
        this.writtenBytes += CHUNK.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    return quietRounds >= 100;
  }
}

for (const hops of HOPS) {
  for (const application of VERSIONS) {
    for (const version of VERSIONS) {
      const heldBytesMax = HELD_BYTES_MAX + (hops === 'pair' ? 3 : 2) * KERNEL_BYTES_MAX;
      describe(`flow: ${version} client, ${hops === 'pair' ? 'pair' : 'one data plane'}, ${application} application`, () => {
        const mesh = new TestMesh();
        let way: Way;
        let client: Client;
        const answers: http.ServerResponse[] = [];
        const uploads: http.IncomingMessage[] = [];

        before(async () => {
          const { port } = await startApplication(mesh, application, (request, response) => {
            response.on('error', () => {});
            request.on('error', () => {});
            if (request.url === '/download') {
              response.writeHead(200);
              response.write('begin');
              answers.push(response);
            } else if (request.url === '/upload') {
              request.pause();
              uploads.push(request);
              request.on('end', () => response.end('taken'));
            } else if (request.url === '/echo') request.pipe(response);
            else response.end('quick');
          });
          way = await startWay(mesh, hops, application, port, { route: { timeoutMs: 0 } });
          client = way.client(version);
        });
        after(async () => {
          try {
            client.close();
            for (const request of uploads) request.destroy();
            for (const response of answers) response.destroy();
            await until(() => isQuiet(way.planes), 'nothing in flight');
            assert.deepEqual(
              way.planes.flatMap(({ faults }) => faults),
              [],
            );
          } finally {
            await mesh.close();
          }
        });

        async function othersGoOn(): Promise<void> {
          for (let count = 0; count < 20; count++) assert.equal((await client.call()).body.toString(), 'quick');
          const body = Array.from({ length: 20 }, () => CHUNK);
          assert.equal((await client.call({ method: 'POST', path: '/echo', body })).body.length, 2_000_000);
        }

        test('a client that does not read stops the application, and no other request', async () => {
          const call: Call = client.begin({ path: '/download' });
          await until(() => call.status === 200 && answers.length === 1, 'the head');
          call.pause();
          const answer = answers.pop()!;
          const pump = new Pump(
            (bytes) => answer.write(bytes),
            () => answer.writableLength > 1_000_000,
          );
          assert.equal(await pump.stopped(), true, `${pump.writtenBytes} bytes were taken`);
          assert.ok(pump.writtenBytes < heldBytesMax, `${pump.writtenBytes} bytes were taken`);
          await othersGoOn();
          call.resume();
          answer.end();
          assert.equal((await call.answer).body.length, pump.writtenBytes + 5);
        });

        test('an application that does not read stops the client, and no other request', async () => {
          const call = client.begin({ method: 'POST', path: '/upload', body: [] });
          await until(() => uploads.length === 1, 'the request');
          const pump = new Pump(
            (bytes) => call.write(bytes),
            () => call.heldBytes() > 1_000_000,
          );
          assert.equal(await pump.stopped(), true, `${pump.writtenBytes} bytes were taken`);
          assert.ok(pump.writtenBytes < heldBytesMax, `${pump.writtenBytes} bytes were taken`);
          await othersGoOn();
          let received = 0;
          const upload = uploads.pop()!;
          upload.on('data', (chunk: Buffer) => (received += chunk.length));
          upload.resume();
          call.end();
          assert.equal((await call.answer).body.toString(), 'taken');
          assert.equal(received, pump.writtenBytes);
        });
      });
    }
  }
}
