// Mutual TLS between data planes, as every Network driver must do it: who is refused and told why, on both sides. Tests only.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { NetworkError } from '../ports/network.ts';
import type { Connection, RefusedHandshake, TlsContext, TlsRefusal } from '../ports/network.ts';
import { TestAuthority } from './certificates.ts';
import { ORDERS, WEB } from './network-bench.ts';
import type { Bench } from './network-bench.ts';
import { type Recorder, until } from './recorder.ts';

export function identityRules(bench: Bench): void {
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
