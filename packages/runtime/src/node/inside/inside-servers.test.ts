// Servers of Node that get connections within the process: they count them, close with them, and see of them what they see of sockets.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo, type Server } from 'node:net';
import { describe, test } from 'node:test';
import type { Connection, ConnectionHandler, ConnectOptions } from '../../ports/network.ts';
import { nodeNetwork } from '../index.ts';
import { InsideServers, type InsideServerLife, insideNetwork, isOwnHttp } from './index.ts';

const LOOPBACK = '127.0.0.1';

/** The data plane's end, with what came of it. */
class Client implements ConnectionHandler {
  text = '';
  isConnected = false;
  hasEnded = false;
  readonly closed: Promise<void>;
  connection!: Connection;
  private hasClosed!: () => void;
  private waiting: (() => void)[] = [];

  constructor() {
    this.closed = new Promise((resolve) => void (this.hasClosed = resolve));
  }

  onConnected(): void {
    this.isConnected = true;
    this.wake();
  }

  onBytes(bytes: Buffer): void {
    this.text += bytes.toString('latin1');
    this.wake();
  }

  onDrained(): void {}

  onEnd(): void {
    this.hasEnded = true;
    this.wake();
  }

  onClose(): void {
    this.hasClosed();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => void this.waiting.push(resolve));
  }

  private wake(): void {
    for (const run of this.waiting.splice(0)) run();
  }
}

interface Inside {
  readonly servers: InsideServers;
  readonly port: number;
  connect(more?: Partial<ConnectOptions>): Client;
}

async function inside(server: Server, life: InsideServerLife = 'while-listening'): Promise<Inside> {
  await new Promise<void>((resolve) => void server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  const servers = new InsideServers();
  servers.add(port, server, life);
  const network = insideNetwork(nodeNetwork, servers);
  return {
    servers,
    port,
    connect(more) {
      const client = new Client();
      client.connection = network.connect({ address: LOOPBACK, port, timeoutMs: 1_000, ...more }, client);
      return client;
    },
  };
}

const request = (more = ''): Buffer => Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\n${more}\r\n`);
const connections = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))));
const closing = (server: Server): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));

describe('a server that is reached within the process', () => {
  test('counts these connections and does not end before them', async () => {
    let answer!: () => void;
    const server = http.createServer((_request, response) => void (answer = () => void response.end('late')));
    const { connect } = await inside(server);
    const asked = once(server, 'request');
    const client = connect();
    client.connection.write(request());
    await asked;
    assert.equal(await connections(server), 1);
    const closed = closing(server);
    let isClosed = false;
    void closed.then(() => void (isClosed = true));
    await new Promise(setImmediate);
    assert.equal(isClosed, false);
    answer();
    await client.until(() => client.text.includes('late'));
    server.closeIdleConnections();
    await closed;
    await client.closed;
    assert.equal(await connections(server), 0);
  });

  test('ends idle ones when it closes', async () => {
    const server = http.createServer((_request, response) => response.end('ok'));
    const { connect } = await inside(server);
    const client = connect();
    client.connection.write(request());
    await client.until(() => client.text.includes('ok'));
    await closing(server);
    await client.closed;
  });

  test('drops all of them when it is told to', async () => {
    const server = http.createServer(() => {});
    const { connect } = await inside(server);
    const asked = once(server, 'request');
    const client = connect();
    client.connection.write(request());
    await asked;
    const closed = closing(server);
    server.closeAllConnections();
    await closed;
    await client.closed;
  });

  test('ends a connection that was busy when it closed by its own time limit', async () => {
    let answer!: () => void;
    const server = http.createServer({ keepAliveTimeout: 1, keepAliveTimeoutBuffer: 0 }, (_request, response) => {
      answer = () => void response.end('ok');
    });
    const { connect } = await inside(server);
    const asked = once(server, 'request');
    const client = connect();
    client.connection.write(request());
    await asked;
    const closed = closing(server);
    answer();
    await closed;
    await client.closed;
  });

  test('ends no idle connection by a time limit while it is open', async () => {
    const server = http.createServer({ keepAliveTimeout: 1, keepAliveTimeoutBuffer: 0 }, (_request, response) => response.end('ok'));
    server.timeout = 1;
    const { connect } = await inside(server);
    const client = connect();
    client.connection.write(request());
    await client.until(() => client.text.includes('ok'));
    let isClosed = false;
    void client.closed.then(() => void (isClosed = true));
    // Timers fire in the order of their times.
    await new Promise((resolve) => void setTimeout(resolve, 5));
    assert.equal(isClosed, false);
    await closing(server);
  });

  test('takes no more connections than it wants', async () => {
    const server = http.createServer(() => {});
    server.maxConnections = 1;
    const { connect } = await inside(server);
    const first = connect();
    await first.until(() => first.isConnected);
    const dropped = new Promise<unknown>((resolve) => void server.once('drop', resolve));
    const second = connect();
    await second.closed;
    assert.equal(second.isConnected, false);
    assert.deepEqual(((await dropped) as { localAddress: string }).localAddress, LOOPBACK);
    first.connection.destroy();
    await closing(server);
  });

  test('is not reached when it has stopped listening, as with a socket', async () => {
    const server = http.createServer();
    const { connect } = await inside(server);
    await closing(server);
    const client = connect();
    await client.closed;
    assert.equal(client.isConnected, false);
  });

  test('of bytes ends its direction when the other has ended, unless it wants otherwise', async () => {
    for (const allowHalfOpen of [false, true]) {
      const server = net.createServer({ allowHalfOpen }, (socket) => {
        socket.resume();
        socket.on('end', () => allowHalfOpen && socket.write('still here'));
      });
      const { connect } = await inside(server);
      const client = connect();
      await client.until(() => client.isConnected);
      client.connection.end();
      await client.until(() => (allowHalfOpen ? client.text === 'still here' : client.hasEnded));
      client.connection.destroy();
      await client.closed;
      await closing(server);
    }
  });

  test('of HTTP/2 closes with its sessions and knows their addresses', async () => {
    const server = http2.createServer();
    const sessions: http2.ServerHttp2Session[] = [];
    server.on('session', (session) => sessions.push(session));
    const { connect, port } = await inside(server);
    const client = connect({ isOwnHttp: true });
    client.connection.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1'));
    await client.until(() => client.text.length > 0);
    const { socket } = sessions[0]!;
    assert.equal(socket.remoteAddress, LOOPBACK);
    assert.equal(socket.localPort, port);
    assert.equal(isOwnHttp(socket), true);
    assert.equal(await connections(server), 1);
    const closed = closing(server);
    await client.until(() => client.hasEnded);
    client.connection.destroy();
    await closed;
    await client.closed;
  });

  test('sees of whom the bytes are', async () => {
    const seen: boolean[] = [];
    const server = http.createServer(({ socket }, response) => {
      seen.push(isOwnHttp(socket));
      response.end('ok');
    });
    const { connect, port } = await inside(server);
    for (const more of [{ isOwnHttp: true }, {}] as const) {
      const client = connect(more);
      client.connection.write(request());
      await client.until(() => client.text.includes('ok'));
    }
    await new Promise<void>(
      (resolve, reject) => void http.get({ port, host: LOOPBACK }, (response) => response.resume().on('end', resolve)).on('error', reject),
    );
    assert.deepEqual(seen, [true, false, false]);
    await closing(server);
  });

  test('handles requests in the context in which it was added, and not in that of whoever needed a connection', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const server = http.createServer((asked, response) => {
      seen.push(storage.getStore());
      asked.on('data', () => seen.push(storage.getStore())).on('end', () => response.end('ok'));
    });
    const { connect } = await inside(server);
    const client = storage.run('somebody', () => connect());
    storage.run('somebody', () => client.connection.write(Buffer.from('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx')));
    await client.until(() => client.text.includes('ok'));
    assert.deepEqual(seen, [undefined, undefined]);
    await closing(server);
  });
});
