// TLS with others than data planes, as every Network driver must do it. Tests only.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { ClientTlsOptions, ServerTlsOptions, TlsContext } from '../ports/network.ts';
import { TestAuthority } from './certificates.ts';
import type { Bench } from './network-bench.ts';
import { Recorder, until } from './recorder.ts';

export function edgeRules(bench: Bench): void {
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
