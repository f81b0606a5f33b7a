// What every Network driver must do, as one suite: the data plane relies on each of these sentences. Tests only.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { DEFAULT_LIMITS } from '@heddle/core';
import { NetworkError } from '../ports/network.ts';
import type { Connection, Network } from '../ports/network.ts';
import { TestAuthority } from './certificates.ts';
import { Bench, ORDERS, pair, WEB } from './network-bench.ts';
import { edgeRules } from './network-edge-contract.ts';
import { identityRules } from './network-identity-contract.ts';
import { Recorder, until } from './recorder.ts';

export function networkContract(name: string, create: () => Network): void {
  for (const tls of [false, true]) describe(`${name}, ${tls ? 'mutual TLS' : 'plain'}`, () => streamRules(new Bench(create()), tls));
  describe(`${name}, listening`, () => listeningRules(new Bench(create())));
  describe(`${name}, identities`, () => identityRules(new Bench(create())));
  describe(`${name}, TLS with others than proxies`, () => edgeRules(new Bench(create())));
}

function streamRules(bench: Bench, tls: boolean): void {
  after(() => bench.close());

  test('carries bytes both ways and says who and where the peer is', async () => {
    const { client, server, socket } = await pair(bench, tls);
    client.connection!.write(Buffer.from('ping'));
    await until(() => server.text === 'ping', 'ping arrived');
    server.connection!.write(Buffer.from('pong'));
    await until(() => client.text === 'pong', 'pong arrived');
    assert.equal(server.connection!.remoteAddress, '127.0.0.1');
    assert.equal(server.connection!.localPort, socket.port);
    assert.equal(client.connection!.remotePort, socket.port);
    assert.equal(server.connection!.remotePort, client.connection!.localPort);
    assert.deepEqual([client.connection!.peerId, server.connection!.peerId], tls ? [ORDERS, WEB] : ['', '']);
    assert.deepEqual([client.connection!.alpn, server.connection!.alpn], tls ? ['http/1.1', 'http/1.1'] : ['', '']);
  });

  test('lets one direction end while the other goes on', async () => {
    const { client, server } = await pair(bench, tls);
    client.connection!.write(Buffer.from('last words'));
    client.connection!.end();
    await until(() => server.ended, 'the server saw the end');
    assert.equal(server.text, 'last words');
    assert.equal(server.closed, 0);
    server.connection!.write(Buffer.from('answer after the end'));
    await until(() => client.text === 'answer after the end', 'the answer arrived');
    assert.equal(client.closed, 0);
    server.connection!.end();
    await until(() => client.closed === 1 && server.closed === 1, 'both closed');
    assert.deepEqual([client.error, server.error, client.ended], [undefined, undefined, true]);
  });

  test('tells a writer to stop when as many bytes are buffered as the limit says, and not before', async () => {
    const { client, server } = await pair(bench, tls);
    const limit = DEFAULT_LIMITS.connectionBufferBytesMax;
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      to.countOnly = true;
      from.connection!.cork();
      assert.equal(from.connection!.write(Buffer.alloc(limit - 1)), true);
      assert.equal(from.connection!.write(Buffer.alloc(1)), false);
      from.connection!.uncork();
      await until(() => from.drained === 1 && to.receivedBytes === limit, 'all arrived, and the writer knows');
    }
  });

  test('tells a writer to stop when the reader pauses, and when to go on', async () => {
    const { client, server } = await pair(bench, tls);
    server.countOnly = true;
    server.connection!.pause();
    const block = Buffer.alloc(64 * 1024, 120);
    let written = 0;
    while (client.connection!.write(block)) {
      written += block.length;
      assert.ok(written < 512 * 1024 * 1024, 'back-pressure must come');
      await new Promise((resolve) => setImmediate(resolve));
    }
    written += block.length;
    assert.equal(client.drained, 0);
    server.connection!.resume();
    await until(() => client.drained === 1 && server.receivedBytes === written, 'everything arrived');
  });

  test('gathers corked writes and sends them on uncork', async () => {
    const { client, server } = await pair(bench, tls);
    client.connection!.cork();
    client.connection!.write(Buffer.from('a'));
    client.connection!.write(Buffer.from('b'));
    client.connection!.uncork();
    await until(() => server.text === 'ab', 'both arrived');
  });

  test('destroying closes both sides, once, and without an error on our own', async () => {
    const { client, server } = await pair(bench, tls);
    client.connection!.destroy();
    client.connection!.destroy();
    await until(() => client.closed === 1 && (server.closed === 1 || server.ended), 'both know');
    assert.equal(client.error, undefined);
    server.connection!.destroy();
    await until(() => server.closed === 1, 'closed');
    assert.equal(client.closed, 1);
  });

  // Without TLS there is no peer on one machine that neither answers nor refuses; the timer is the same.
  if (tls)
    test('gives up connecting after the timeout', async () => {
      const silent = await bench.listen();
      silent.accept((connection) => {
        connection.handler = new Recorder();
      });
      const client = bench.connect(silent.port, bench.clientTls(), 50);
      await until(() => client.closed === 1, 'given up');
      assert.deepEqual([client.connected, client.error?.kind], [false, 'timeout']);
    });

  test('reports a port where nobody listens as refused', async () => {
    const socket = await bench.listen();
    await socket.close();
    const client = bench.connect(socket.port, tls ? bench.clientTls() : undefined);
    await until(() => client.closed === 1, 'refused');
    assert.equal(client.error?.kind, 'refused');
    assert.equal(client.connected, false);
  });

  test('stops connecting when destroyed', async () => {
    const { socket } = await bench.serve(tls ? bench.serverTls() : undefined);
    const client = bench.connect(socket.port, tls ? bench.clientTls() : undefined);
    client.connection!.destroy();
    await until(() => client.closed === 1, 'closed');
    assert.deepEqual([client.connected, client.error], [false, undefined]);
  });
}

function listeningRules(bench: Bench): void {
  after(() => bench.close());

  test('a reserved socket closes what arrives, and serves once it is told how', async () => {
    const socket = await bench.listen();
    const early = bench.connect(socket.port);
    await until(() => early.ended || early.closed === 1, 'turned away');
    early.connection!.destroy();
    const accepted: Recorder[] = [];
    socket.accept((connection) => {
      const recorder = new Recorder();
      connection.handler = recorder;
      accepted.push(recorder);
    });
    const late = bench.connect(socket.port);
    await until(() => accepted.length === 1, 'accepted');
    socket.accept(undefined);
    late.connection!.write(Buffer.from('still here'));
    await until(() => accepted[0]!.text === 'still here', 'live connections are untouched');
    const refused = bench.connect(socket.port);
    await until(() => refused.ended || refused.closed === 1, 'turned away again');
    assert.equal(accepted.length, 1);
  });

  test('says that a port is in use, and frees it on close', async () => {
    const first = await bench.listen();
    await assert.rejects(bench.network.listen({ address: '127.0.0.1', port: first.port }), (error: unknown) => {
      assert.ok(error instanceof NetworkError);
      assert.equal(error.kind, 'address-in-use');
      assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${first.port}`));
      return true;
    });
    await first.close();
    const second = await bench.network.listen({ address: '127.0.0.1', port: first.port });
    assert.equal(second.port, first.port);
    await second.close();
  });

  test('sockets that share a port each get connections, and nobody else may have the port', async () => {
    const first = await bench.serve(undefined, { shared: true });
    const { port } = first.socket;
    const second = await bench.serve(undefined, { shared: true, port });
    assert.equal(second.socket.port, port);
    await assert.rejects(bench.listen({ port }), (error: unknown) => error instanceof NetworkError && error.kind === 'address-in-use');
    const alone = await bench.listen();
    await assert.rejects(
      bench.listen({ port: alone.port, shared: true }),
      (error: unknown) => error instanceof NetworkError && error.kind === 'address-in-use',
    );
    // Which socket gets a connection is drawn from its addresses: that one gets none of 64 is as likely as heads 64 times.
    for (let opened = 0; opened < 64; opened++) bench.connect(port);
    await until(() => first.accepted.length + second.accepted.length === 64, 'all accepted');
    assert.ok(first.accepted.length > 0 && second.accepted.length > 0);
  });

  test('calls back after events, once and in order', async () => {
    const order: number[] = [];
    bench.network.afterEvents(() => order.push(1));
    bench.network.afterEvents(() => order.push(2));
    order.push(0);
    await until(() => order.length === 3, 'both called');
    assert.deepEqual(order, [0, 1, 2]);
  });

  test('closing leaves live connections alone', async () => {
    const { client, server, socket } = await pair(bench, false);
    await socket.close();
    client.connection!.write(Buffer.from('hello'));
    await until(() => server.text === 'hello', 'still carried');
  });

  test('a new TLS context serves new connections while old ones go on', async () => {
    const { client, server, socket } = await pair(bench, true);
    const other = new TestAuthority('next root');
    const accepted: Connection[] = [];
    socket.accept(
      (connection) => {
        connection.handler = new Recorder();
        accepted.push(connection);
      },
      bench.serverTls({ ...other.service('orders'), rootsPem: other.rootsPem }),
    );
    const stranger = bench.connect(socket.port, bench.clientTls());
    await until(() => stranger.closed === 1, 'the old root is refused now');
    const fresh = bench.connect(socket.port, bench.clientTls({ identity: other.service('web'), rootsPem: other.rootsPem }));
    await until(() => fresh.connected && accepted.length === 1, 'the new root is accepted');
    client.connection!.write(Buffer.from('old one'));
    await until(() => server.text === 'old one', 'the old connection still carries');
  });
}
