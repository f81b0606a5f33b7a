// Who called is believed only where the data plane of this process says so; how long the caller waits, and that it has gone, is known of every request.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo, type Server } from 'node:net';
import { after, describe, test } from 'node:test';
import { memoryLink } from '@heddle/runtime/inside';
import { meshOf } from './mesh-of.ts';
import { AskedRequest, type MeshRequest, peerOf } from './mesh-request.ts';

const LOOPBACK = '127.0.0.1';
const ID = 'spiffe://shop/ns/default/svc/web';
const CLAIMS = Buffer.from(JSON.stringify({ sub: 'ada', realm: { roles: ['clerk'] } })).toString('base64url');
const HEAD = `GET / HTTP/1.1\r\nhost: a\r\nx-heddle-peer: ${ID}\r\nx-heddle-claims: ${CLAIMS}\r\nx-request-timeout: 5s\r\n\r\n`;
const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listening<S extends Server>(server: S): Promise<S> {
  servers.push(server);
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A connection from the data plane, by which these bytes come. */
function enter(server: Server, bytes: string, isOwnHttp: boolean): { destroy(): void } {
  const place = { remoteAddress: LOOPBACK, remotePort: 0, localAddress: LOOPBACK, localPort: 80 };
  const { connection, stream } = memoryLink({ ...place, server, ...(isOwnHttp && { isOwnHttp }) });
  server.emit('connection', stream);
  connection.write(Buffer.from(bytes, 'latin1'));
  return connection;
}

function recording(): { readonly server: http.Server; next(): Promise<MeshRequest> } {
  const waiting: ((request: MeshRequest) => void)[] = [];
  const server = http.createServer((request, response) => {
    const mesh = meshOf(request, response);
    assert.equal(meshOf(request, response), mesh);
    waiting.shift()?.(mesh);
    response.end();
  });
  return { server, next: () => new Promise((resolve) => void waiting.push(resolve)) };
}

describe('who called', () => {
  test('is told by the data plane of this process alone', async () => {
    const { server, next } = recording();
    await listening(server);
    let asked = next();
    const connection = enter(server, HEAD, true);
    const told = await asked;
    assert.deepEqual(told.peer, { id: ID, trustDomain: 'shop', namespace: 'default', service: 'web' });
    assert.deepEqual(told.claims, { sub: 'ada', realm: { roles: ['clerk'] } });
    assert.ok(Object.isFrozen(told.claims?.['realm']));
    connection.destroy();
    // The same bytes as those of somebody behind the data plane, as with services of `protocol: tcp`.
    asked = next();
    enter(server, HEAD, false);
    const passedOn = await asked;
    assert.deepEqual([passedOn.peer, passedOn.claims], [undefined, undefined]);
    // And to the port of the application.
    asked = next();
    const socket = net.connect(portOf(server), LOOPBACK);
    socket.write(HEAD);
    const direct = await asked;
    assert.deepEqual([direct.peer, direct.claims], [undefined, undefined]);
    assert.ok(direct.timeLeftMs! > 0);
    socket.destroy();
  });

  test('is told of streams of HTTP/2, too', async () => {
    const server = http2.createServer();
    const seen: (MeshRequest | undefined)[] = [];
    server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
      seen.push(meshOf(stream, headers));
      stream.respond({ ':status': 200 });
      stream.end();
    });
    await listening(server);
    for (const isOwnHttp of [true, undefined] as const) {
      const place = { remoteAddress: LOOPBACK, remotePort: 0, localAddress: LOOPBACK, localPort: 80 };
      const { connection, stream } = memoryLink({ ...place, server, ...(isOwnHttp && { isOwnHttp }) });
      server.emit('connection', stream);
      const client = memoryLink(place);
      join(connection, client.connection);
      const session = http2.connect('http://a', { createConnection: () => client.stream as unknown as net.Socket });
      const request = session.request({ ':path': '/', 'x-heddle-peer': ID }).resume();
      await once(request, 'close');
      session.destroy();
    }
    const direct = http2.connect(`http://${LOOPBACK}:${portOf(server)}`);
    await once(direct.request({ ':path': '/', 'x-heddle-peer': ID }).resume(), 'close');
    direct.close();
    assert.deepEqual(
      seen.map((request) => request?.peer?.id),
      [ID, undefined, undefined],
    );
  });

  test('is not what a header says that came twice, or what no SPIFFE id of ours says of its parts', () => {
    assert.equal(peerOf([ID, ID]), undefined);
    assert.equal(peerOf(''), undefined);
    assert.deepEqual(peerOf('spiffe://other/web/1'), {
      id: 'spiffe://other/web/1',
      trustDomain: 'other',
      namespace: undefined,
      service: undefined,
    });
  });

  test('comes with claims only where they are an object', () => {
    const { stream } = memoryLink({ remoteAddress: LOOPBACK, remotePort: 0, localAddress: LOOPBACK, localPort: 80, isOwnHttp: true });
    const claimsOf = (text: string): unknown =>
      new AskedRequest({ headers: { 'x-heddle-claims': text }, socket: stream, answer: AbortSignal.abort(), arrivedMs: 0 }).claims;
    for (const json of ['[1]', '"a"', 'null', '{"a":']) assert.equal(claimsOf(Buffer.from(json).toString('base64url')), undefined, json);
    assert.deepEqual(claimsOf(CLAIMS), { sub: 'ada', realm: { roles: ['clerk'] } });
  });
});

/** Both ends of the data plane, as if it passed everything on. */
function join(a: ReturnType<typeof memoryLink>['connection'], b: ReturnType<typeof memoryLink>['connection']): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const)
    from.handler = {
      onBytes: (bytes) => void to.write(bytes),
      onDrained() {},
      onEnd: () => to.end(),
      onClose: () => to.destroy(),
    };
}

describe('the signal of a request', () => {
  async function signalOf(
    act: (request: http.ClientRequest) => void,
    headers: Record<string, string> = {},
    answers = false,
  ): Promise<AbortSignal> {
    let tell!: (signal: AbortSignal) => void;
    const told = new Promise<AbortSignal>((resolve) => void (tell = resolve));
    const server = await listening(
      http.createServer((request, response) => {
        tell(meshOf(request, response).signal);
        if (answers) response.end('whole');
      }),
    );
    const request = http.get({ port: portOf(server), host: LOOPBACK, headers, agent: false });
    request.on('error', () => {});
    const signal = await told;
    act(request);
    return signal;
  }

  test('is aborted when the caller goes', async () => {
    const signal = await signalOf((request) => void request.destroy());
    if (!signal.aborted) await once(signal, 'abort');
    assert.equal((signal.reason as Error).name, 'AbortError');
  });

  test('is aborted when the caller waits no longer', async () => {
    const signal = await signalOf(() => {}, { 'x-request-timeout': '20ms' });
    if (!signal.aborted) await once(signal, 'abort');
    assert.equal((signal.reason as Error).name, 'TimeoutError');
    servers.at(-1)!.close();
    (servers.at(-1) as http.Server).closeAllConnections();
  });

  test('is not aborted when the answer was sent', async () => {
    let ended!: () => void;
    const whole = new Promise<void>((resolve) => void (ended = resolve));
    const signal = await signalOf((request) => request.on('response', (response) => response.resume().on('close', ended)), {}, true);
    await whole;
    assert.equal(signal.aborted, false);
  });
});
