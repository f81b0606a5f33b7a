// Sockets that are bound here and listened on there: who may have a port, and where waiting connections go.
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { NetworkError } from '../ports/network.ts';
import { Recorder, until } from '../testing/recorder.ts';
import { bindSockets, isPortShared } from './bound-socket.ts';
import { listenOn, nodeNetwork } from './network.ts';

function isTaken(error: unknown): boolean {
  return error instanceof NetworkError && error.kind === 'address-in-use';
}

describe('bound sockets', () => {
  for (const address of ['127.0.0.1', '::1'])
    it(`share a port of ${address} among themselves and with nobody else`, async () => {
      const sockets = bindSockets({ address, port: 0 }, 3);
      const listening = await Promise.all(sockets.map((socket) => listenOn(socket)));
      try {
        const port = sockets[0]!.port;
        assert.deepEqual(
          sockets.map((socket) => socket.port),
          [port, port, port],
        );
        assert.equal(isPortShared(sockets), false);
        assert.throws(() => bindSockets({ address, port }, 1), isTaken);
        assert.throws(() => bindSockets({ address, port }, 2), isTaken);
        const other = await nodeNetwork.listen({ address, port, shared: true });
        assert.equal(isPortShared(sockets), process.platform === 'linux');
        await other.close();
      } finally {
        for (const socket of listening) await socket.close();
      }
    });

  it('are refused where the port is taken, not permitted or not of this machine', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await until(() => server.listening, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const count of [1, 2]) assert.throws(() => bindSockets({ address: '127.0.0.1', port }, count), isTaken);
    server.close();
    assert.throws(() => bindSockets({ address: '192.0.2.1', port: 0 }, 2), NetworkError);
    assert.throws(() => bindSockets({ address: 'localhost', port: 0 }, 2), NetworkError);
  });

  it('carry connections once they are listened on', async () => {
    const [socket] = bindSockets({ address: '127.0.0.1', port: 0 }, 1);
    const listening = await listenOn(socket!);
    const accepted: Recorder[] = [];
    listening.accept((connection) => {
      const recorder = new Recorder();
      connection.handler = recorder;
      recorder.connection = connection;
      accepted.push(recorder);
    });
    const client = new Recorder();
    client.connection = nodeNetwork.connect({ address: '127.0.0.1', port: listening.port, timeoutMs: 1_000 }, client);
    await until(() => accepted.length === 1, 'accepted');
    accepted[0]!.connection!.destroy();
    client.connection.destroy();
    await listening.close();
  });
});
