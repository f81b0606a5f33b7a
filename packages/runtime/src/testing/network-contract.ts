// What every Network driver must do, as one suite: the data plane relies on each of these sentences. Tests only.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { DEFAULT_LIMITS } from '@heddle/core';
import { NetworkError } from '../ports/network.ts';
import type {
  ClientTlsOptions,
  Connection,
  ListeningSocket,
  ListenOptions,
  Network,
  RefusedHandshake,
  ServerTlsOptions,
  TlsContext,
  TlsRefusal,
} from '../ports/network.ts';
import { TestAuthority } from './certificates.ts';
import { Recorder, until } from './recorder.ts';

const ORDERS = 'spiffe://shop.test/ns/default/svc/orders';
const WEB = 'spiffe://shop.test/ns/default/svc/web';

interface Served {
  readonly socket: ListeningSocket;
  readonly accepted: Recorder[];
  readonly refused: RefusedHandshake[];
}

class Bench {
  readonly network: Network;
  readonly authority = new TestAuthority();
  private readonly sockets: ListeningSocket[] = [];
  private readonly connections: Connection[] = [];

  constructor(network: Network) {
    this.network = network;
  }

  async listen(options: Partial<ListenOptions> = {}): Promise<ListeningSocket> {
    const socket = await this.network.listen({ address: '127.0.0.1', port: 0, ...options });
    this.sockets.push(socket);
    return socket;
  }

  /** A server whose connections are all recorded. */
  async serve(tls?: TlsContext, options?: Partial<ListenOptions>): Promise<Served> {
    const socket = await this.listen(options);
    const accepted: Recorder[] = [];
    const refused: RefusedHandshake[] = [];
    socket.accept(
      (connection) => void accepted.push(this.record(connection)),
      tls,
      (one) => void refused.push(one),
    );
    return { socket, accepted, refused };
  }

  record(connection: Connection): Recorder {
    const recorder = new Recorder();
    recorder.connection = connection;
    connection.handler = recorder;
    this.connections.push(connection);
    return recorder;
  }

  connect(port: number, tls?: TlsContext, timeoutMs = 5_000): Recorder {
    const recorder = new Recorder();
    recorder.connection = this.network.connect({ address: '127.0.0.1', port, tls, timeoutMs }, recorder);
    this.connections.push(recorder.connection);
    return recorder;
  }

  serverTls(options: Partial<ServerTlsOptions> = {}): TlsContext {
    return this.network.serverTls({
      ...this.authority.service('orders'),
      rootsPem: this.authority.rootsPem,
      trustDomain: 'shop.test',
      alpn: ['http/1.1'],
      ...options,
    });
  }

  clientTls(options: Partial<ClientTlsOptions> = {}): TlsContext {
    return this.network.clientTls({
      identity: this.authority.service('web'),
      rootsPem: this.authority.rootsPem,
      peerIds: [ORDERS],
      alpn: ['http/1.1'],
      ...options,
    });
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.destroy();
    await Promise.all(this.sockets.map((socket) => socket.close()));
  }
}

async function pair(bench: Bench, tls: boolean): Promise<{ client: Recorder; server: Recorder; socket: ListeningSocket }> {
  const { socket, accepted } = await bench.serve(tls ? bench.serverTls() : undefined);
  const client = bench.connect(socket.port, tls ? bench.clientTls() : undefined);
  await until(() => client.connected && accepted.length === 1, 'both sides connected');
  return { client, server: accepted[0]!, socket };
}

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

function identityRules(bench: Bench): void {
  after(() => bench.close());

  async function refusedByServer(clientTls: TlsContext | undefined, reason: TlsRefusal, serverTls = bench.serverTls()): Promise<void> {
    const { socket, accepted, refused } = await bench.serve(serverTls);
    const client = bench.connect(socket.port, clientTls);
    if (clientTls === undefined) client.connection!.write(Buffer.from('GET / HTTP/1.1\r\nhost: orders\r\n\r\n'));
    await until(() => client.closed === 1 || client.ended, 'the client is cut off');
    await until(() => refused.length === 1, 'the refusal is told');
    assert.deepEqual([accepted.length, refused[0]!.reason, refused[0]!.remoteAddress], [0, reason, '127.0.0.1'], refused[0]!.detail);
    assert.equal(refused[0]!.remotePort, client.connection!.localPort || refused[0]!.remotePort);
  }

  async function refusedByClient(serverTls: TlsContext, kinds: readonly string[], reason?: TlsRefusal): Promise<void> {
    const { socket } = await bench.serve(serverTls);
    const client = bench.connect(socket.port, bench.clientTls());
    await until(() => client.closed === 1, 'the client gave up');
    assert.equal(client.connected, false);
    assert.ok(kinds.includes(client.error!.kind), String(client.error));
    if (reason !== undefined) assert.equal(client.error!.refusal, reason);
  }

  test('a server refuses bytes that are not TLS', () => refusedByServer(undefined, 'no-tls'));

  test('a server refuses a client without a certificate', async () => {
    const { connect } = await import('node:tls');
    const { socket, accepted, refused } = await bench.serve(bench.serverTls());
    const raw = connect({
      host: '127.0.0.1',
      port: socket.port,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.3',
    });
    let closed = false;
    raw.on('error', () => {});
    raw.on('close', () => {
      closed = true;
    });
    await until(() => closed, 'cut off');
    assert.deepEqual([accepted.length, ...refused.map(({ reason }) => reason)], [0, 'no-certificate']);
  });

  test('a server speaks nothing below TLS 1.3', async () => {
    const { connect } = await import('node:tls');
    const { socket, accepted } = await bench.serve(bench.serverTls());
    const { certificatePem, keyPem } = bench.authority.service('web');
    const raw = connect({
      host: '127.0.0.1',
      port: socket.port,
      rejectUnauthorized: false,
      cert: certificatePem,
      key: keyPem,
      ALPNProtocols: ['http/1.1'],
      maxVersion: 'TLSv1.2',
      minVersion: 'TLSv1.2',
    });
    let failure: Error | undefined;
    raw.on('error', (error) => {
      failure = error;
    });
    await until(() => failure !== undefined, 'refused');
    assert.equal(accepted.length, 0);
  });

  test('a server refuses a client of another root', () => {
    const other = new TestAuthority('test root');
    return refusedByServer(bench.clientTls({ identity: other.service('web') }), 'unknown-authority');
  });

  test('a server refuses a client of another trust domain, though the root signed it', () =>
    refusedByServer(bench.clientTls({ identity: bench.authority.service('web', 'elsewhere.test') }), 'trust-domain'));

  test('a server refuses certificates with two URIs, with none of our form, and expired ones', async () => {
    await refusedByServer(bench.clientTls({ identity: bench.authority.leaf({ uris: [WEB, ORDERS] }) }), 'no-spiffe-id');
    await refusedByServer(bench.clientTls({ identity: bench.authority.leaf({ uris: ['https://shop.test/web'] }) }), 'no-spiffe-id');
    await refusedByServer(
      bench.clientTls({
        identity: bench.authority.leaf({ uris: [WEB], notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 }),
      }),
      'expired',
    );
    await refusedByServer(
      bench.clientTls({ identity: bench.authority.leaf({ uris: [WEB], notBeforeMs: Date.now() + 3_600_000 }) }),
      'not-yet-valid',
    );
  });

  test('a server refuses a client that offers another protocol, or none', async () => {
    await refusedByServer(bench.clientTls({ alpn: ['heddle-tcp'] }), 'no-common-protocol');
    await refusedByServer(bench.clientTls({ alpn: [] }), 'no-common-protocol');
  });

  test('a client refuses a server of another service, another root, or past its time', async () => {
    await refusedByClient(bench.serverTls(bench.authority.service('payments')), ['identity'], 'wrong-identity');
    const other = new TestAuthority('test root');
    await refusedByClient(bench.serverTls(other.service('orders')), ['identity'], 'unknown-authority');
    await refusedByClient(
      bench.serverTls(bench.authority.leaf({ uris: [ORDERS], notAfterMs: Date.now() - 3_600_000 })),
      ['identity'],
      'expired',
    );
  });

  test('a client refuses a server that speaks no TLS or another protocol', async () => {
    const { socket } = await bench.serve();
    const client = bench.connect(socket.port, bench.clientTls(), 200);
    await until(() => client.closed === 1, 'given up');
    assert.equal(client.connected, false);
    await refusedByClient(bench.serverTls({ alpn: ['heddle-tcp'] }), ['tls', 'reset']);
    await refusedByClient(bench.serverTls({ alpn: [] }), ['tls']);
  });

  test('unusable PEM is said at once', () => {
    const web = bench.authority.service('web');
    for (const make of [
      () => bench.serverTls({ keyPem: 'nonsense' }),
      () => bench.serverTls({ rootsPem: undefined }),
      () => bench.clientTls({ identity: { ...web, certificatePem: 'nonsense' } }),
      () => bench.clientTls({ identity: { ...web, keyPem: bench.authority.service('web').keyPem } }),
      () => bench.clientTls({ serverName: 'shop.test' }),
    ])
      assert.throws(make, (error: unknown) => error instanceof NetworkError && error.kind === 'tls');
  });

  test('the peer is told why by the TLS alert that fits', async () => {
    const other = new TestAuthority('next root');
    const past = { uris: [WEB], notBeforeMs: Date.now() - 7_200_000, notAfterMs: Date.now() - 3_600_000 };
    for (const [shown, alert] of [
      [undefined, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'],
      [other.service('web'), 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'],
      [bench.authority.leaf(past), 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED'],
      [bench.authority.leaf({ uris: [WEB], notBeforeMs: Date.now() + 3_600_000 }), 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED'],
      [bench.authority.leaf({ uris: [], dns: ['web'] }), 'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN'],
      [bench.authority.service('web', 'elsewhere.test'), 'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED'],
    ] as const) {
      const { socket } = await bench.serve(bench.serverTls());
      const outcome = await foreignClient(socket.port, { ...shown });
      assert.equal(outcome.error, alert);
    }
  });

  test('a server is told by an alert why its client left', async () => {
    const { createServer } = await import('node:tls');
    for (const [shown, alert] of [
      [bench.authority.service('payments'), 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE'],
      [new TestAuthority('next root').service('orders'), 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'],
    ] as const) {
      const errors: unknown[] = [];
      const server = createServer({ cert: shown.certificatePem, key: shown.keyPem, ALPNProtocols: ['http/1.1'] }, (socket) => {
        socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code));
        socket.resume();
      });
      server.on('tlsClientError', (error: NodeJS.ErrnoException) => errors.push(error.code));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const client = bench.connect((server.address() as { port: number }).port, bench.clientTls());
      await until(() => client.closed === 1 && errors.length === 1, 'both sides know');
      server.close();
      assert.deepEqual(errors, [alert]);
    }
  });

  test('a guard refuses the identities that it denies, on both sides, and knows the connections with the others', async () => {
    const open = new Set<Connection>();
    const denied = new Set<string>();
    const guard = {
      isDenied: (id: string) => denied.has(id),
      opened: (connection: Connection) => void open.add(connection),
      closed: (connection: Connection) => void open.delete(connection),
    };
    const { socket, refused } = await bench.serve(bench.serverTls({ guard }));
    const client = bench.connect(socket.port, bench.clientTls({ guard }));
    await until(() => client.connected && open.size === 2, 'both sides are open');
    assert.deepEqual([...open].map(({ peerId }) => peerId).sort(), [ORDERS, WEB]);
    for (const connection of open) connection.reset();
    await until(() => open.size === 0, 'both sides are closed');
    denied.add(WEB);
    const refusedClient = bench.connect(socket.port, bench.clientTls());
    await until(() => refusedClient.closed === 1 || refusedClient.ended, 'cut off');
    assert.deepEqual(
      refused.map(({ reason }) => reason),
      ['denied'],
    );
    denied.add(ORDERS);
    denied.delete(WEB);
    const refusing = bench.connect(socket.port, bench.clientTls({ guard }));
    await until(() => refusing.closed === 1, 'not connected');
    assert.equal(refusing.error?.refusal, 'denied');
  });

  /** Of a client that is not ours: what it got, and the newest session that it could resume. */
  async function foreignClient(
    port: number,
    options: {
      readonly certificatePem?: string;
      readonly keyPem?: string;
      readonly session?: Buffer | undefined;
      readonly maxVersion?: 'TLSv1.2';
    },
  ): Promise<{ readonly error: string; readonly session: Buffer | undefined; readonly isReused: boolean; readonly text: string }> {
    const { connect } = await import('node:tls');
    const { certificatePem, keyPem, session, maxVersion } = options;
    const raw = connect({
      host: '127.0.0.1',
      port,
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
      ...(certificatePem && { cert: certificatePem, key: keyPem }),
      ...(session && { session }),
      ...(maxVersion && { maxVersion }),
    });
    const got = { error: '', session: undefined as Buffer | undefined, isReused: false, text: '' };
    let done = false;
    raw.on('session', (bytes) => (got.session = bytes));
    raw.on('secureConnect', () => {
      got.isReused = raw.isSessionReused();
      raw.write('x');
    });
    raw.on('data', (bytes: Buffer) => {
      got.text += bytes.toString();
      done = true;
    });
    raw.on('error', (error: NodeJS.ErrnoException) => (got.error = error.code ?? error.message));
    raw.on('close', () => (done = true));
    await until(() => done, 'an outcome');
    raw.destroy();
    return got;
  }

  for (const version of ['1.2', '1.3'] as const)
    test(`a TLS ${version} session from before a rotation of the roots, or from another trust domain, is worth nothing`, async () => {
      const old = bench.authority;
      const next = new TestAuthority('next root');
      const socket = await bench.listen();
      const refused: RefusedHandshake[] = [];
      const peers: string[] = [];
      const serve = (authority: TestAuthority, trustDomain = 'shop.test'): void => {
        const tls = bench.serverTls({
          ...authority.service('orders', trustDomain),
          rootsPem: authority.rootsPem,
          trustDomain,
          minVersion: '1.2',
        });
        socket.accept(
          (connection) => {
            peers.push(connection.peerId);
            bench.record(connection);
            connection.write(Buffer.from('hello'));
          },
          tls,
          (one) => void refused.push(one),
        );
      };
      const maxVersion = version === '1.2' ? ({ maxVersion: 'TLSv1.2' } as const) : {};
      serve(old);
      const web = old.service('web');
      const first = await foreignClient(socket.port, { ...web, ...maxVersion });
      assert.deepEqual([first.text, peers.length], ['hello', 1]);
      assert.ok(first.session !== undefined, 'there is something to try');
      const again = await foreignClient(socket.port, { ...web, ...maxVersion, session: first.session });
      assert.deepEqual([again.text, again.isReused], ['hello', false], 'proven anew');
      serve(next);
      // With the certificate of before, and with none: what the session was made with is not asked about when it is resumed.
      for (const shown of [web, {}]) await foreignClient(socket.port, { ...shown, ...maxVersion, session: first.session });
      await until(() => refused.length === 2, 'both are refused');
      assert.deepEqual(
        refused.map(({ reason }) => reason),
        ['unknown-authority', 'no-certificate'],
      );
      serve(old, 'elsewhere.test');
      for (const shown of [web, {}]) await foreignClient(socket.port, { ...shown, ...maxVersion, session: first.session });
      await until(() => refused.length === 4, 'both are refused');
      assert.deepEqual(
        refused.slice(2).map(({ reason }) => reason),
        ['trust-domain', 'no-certificate'],
      );
      assert.equal(peers.length, 2);
    });

  test('an accepted connection goes on with TLS, with what has come of it', async () => {
    for (const cut of [0, 1, 100]) {
      const socket = await bench.listen();
      const accepted: Recorder[] = [];
      const refused: RefusedHandshake[] = [];
      const context = bench.serverTls();
      socket.accept((connection) => {
        let received = Buffer.alloc(0);
        const secure = (): void =>
          bench.network.secure(
            connection,
            received,
            context,
            (secured) => void accepted.push(bench.record(secured)),
            (one) => void refused.push(one),
          );
        connection.handler = {
          onBytes: (bytes) => {
            received = Buffer.concat([received, bytes]);
            if (received.length >= cut) secure();
          },
          onDrained: () => assert.fail('nothing was written'),
          onEnd: () => assert.fail('it is not told any more'),
          onClose: () => assert.fail('it is not told any more'),
        };
        if (cut === 0) secure();
      });
      const client = bench.connect(socket.port, bench.clientTls());
      await until(() => client.connected && accepted.length === 1, 'both sides connected');
      const [server] = accepted;
      assert.deepEqual([server!.connection!.peerId, server!.connection!.alpn], [WEB, 'http/1.1']);
      client.connection!.write(Buffer.from('ping'));
      await until(() => server!.text === 'ping', 'ping arrived');
      server!.connection!.write(Buffer.from('pong'));
      await until(() => client.text === 'pong', 'pong arrived');
      const stranger = bench.connect(socket.port, bench.clientTls({ identity: new TestAuthority('next root').service('web') }));
      await until(() => refused.length === 1, 'a stranger is refused');
      assert.deepEqual([refused[0]!.reason, refused[0]!.remoteAddress], ['unknown-authority', '127.0.0.1']);
      await until(() => stranger.closed === 1 || stranger.ended, 'and cut off');
      client.connection!.end();
      await until(() => server!.ended, 'the end arrived');
    }
  });
}

function edgeRules(bench: Bench): void {
  after(() => bench.close());
  const own = bench.authority.leaf({ uris: [], dns: ['shop.test'], ips: ['127.0.0.1'] });
  const edge = (options: Partial<ServerTlsOptions> = {}): TlsContext =>
    bench.network.serverTls({ ...own, alpn: ['h2', 'http/1.1'], ...options });
  const named = (options: Partial<ClientTlsOptions> = {}): TlsContext =>
    bench.clientTls({ identity: undefined, peerIds: [], serverName: 'shop.test', ...options });

  async function outcome(server: TlsContext, client: TlsContext): Promise<{ client: Recorder; server: Recorder | undefined }> {
    const { socket, accepted } = await bench.serve(server);
    const recorder = bench.connect(socket.port, client);
    await until(() => recorder.closed === 1 || (recorder.connected && accepted.length === 1), 'an outcome');
    return { client: recorder, server: accepted[0] };
  }

  test('a server without roots takes clients without a certificate, known by nothing', async () => {
    const { client, server } = await outcome(edge(), named());
    assert.deepEqual([client.connection!.alpn, server!.connection!.alpn, server!.connection!.peerId], ['http/1.1', 'http/1.1', '']);
    server!.connection!.write(Buffer.from('hello'));
    await until(() => client.text === 'hello', 'carried');
  });

  test('a client may offer no protocol where HTTP/1.1 is spoken, and not where it is not', async () => {
    const { client, server } = await outcome(edge(), named({ alpn: [] }));
    assert.deepEqual([client.connection!.alpn, server!.connection!.alpn], ['', '']);
    const { socket, accepted, refused } = await bench.serve(edge({ alpn: ['h2'] }));
    const silent = bench.connect(socket.port, named({ alpn: [] }));
    await until(() => silent.closed === 1 || silent.ended, 'cut off');
    assert.deepEqual([accepted.length, ...refused.map(({ reason }) => reason)], [0, 'no-common-protocol']);
  });

  test('a server that agrees on no protocol is taken to speak HTTP/1.1, and refused where that will not do', async () => {
    const { client } = await outcome(edge({ alpn: [] }), named());
    assert.equal(client.connection!.alpn, '');
    const other = await outcome(edge({ alpn: [] }), named({ alpn: ['h2'] }));
    assert.equal(other.client.error?.kind, 'tls');
  });

  test('a client checks the name of the server, also when that is an address', async () => {
    assert.equal((await outcome(edge(), named({ serverName: 'other.test' }))).client.error?.kind, 'identity');
    assert.equal((await outcome(edge(), named({ serverName: '127.0.0.1' }))).client.connected, true);
    assert.equal((await outcome(edge(), named({ serverName: '127.0.0.2' }))).client.error?.kind, 'identity');
    const stranger = new TestAuthority('next root');
    assert.equal((await outcome(edge(), named({ rootsPem: stranger.rootsPem }))).client.error?.kind, 'identity');
  });

  test('a server with roots and no trust domain takes any name that leads to them, and nobody else', async () => {
    const strict = (): TlsContext => edge({ rootsPem: bench.authority.rootsPem });
    const identity = bench.authority.leaf({ uris: [], dns: ['client.test'] });
    const { server } = await outcome(strict(), named({ identity }));
    assert.equal(server!.connection!.peerId, '');
    for (const unknown of [undefined, new TestAuthority('next root').leaf({ uris: [], dns: ['client.test'] })]) {
      const { socket, accepted, refused } = await bench.serve(strict());
      const client = bench.connect(socket.port, named({ identity: unknown }));
      await until(() => client.closed === 1 || client.ended, 'cut off');
      assert.deepEqual([accepted.length, refused.length], [0, 1]);
    }
  });

  test('TLS 1.2 is spoken where it is asked for, 1.1 is not', async () => {
    const { connect } = await import('node:tls');
    const { socket, accepted } = await bench.serve(edge({ minVersion: '1.2' }));
    const versions: (string | null)[] = [];
    for (const version of ['TLSv1.2', 'TLSv1.1'] as const) {
      const raw = connect({
        host: '127.0.0.1',
        port: socket.port,
        servername: 'shop.test',
        ca: bench.authority.rootsPem,
        minVersion: version,
        maxVersion: version,
      });
      let done = false;
      raw.once('secureConnect', () => {
        versions.push(raw.getProtocol());
        done = true;
      });
      raw.on('error', () => {
        done = true;
      });
      await until(() => done, `an outcome with ${version}`);
      raw.destroy();
    }
    assert.deepEqual([versions, accepted.length], [['TLSv1.2'], 1]);
  });

  test('a client that resets right after its handshake is gone, although something waits to be written to it', async () => {
    const { connect } = await import('node:net');
    const { connect: secured } = await import('node:tls');
    const server = new (class extends Recorder {
      override onBytes(bytes: Buffer): void {
        super.onBytes(bytes);
        this.connection!.write(bytes);
      }
    })();
    const socket = await bench.listen();
    socket.accept((connection) => {
      connection.handler = server;
      server.connection = connection;
      // Once bytes can be read, the session tickets have failed.
      connection.pause();
      setImmediate(() => connection.resume());
    }, edge());
    const raw = connect(socket.port, '127.0.0.1').on('error', () => {});
    const client = secured({ socket: raw, servername: 'shop.test', ca: bench.authority.rootsPem }).on('error', () => {});
    client.once('secureConnect', () => {
      client.write('x');
      setImmediate(() => raw.resetAndDestroy());
    });
    await until(() => server.closed === 1, 'the server knows');
    assert.equal(server.error?.kind, 'reset');
  });
}
