// Probes against real sockets: what passes, and the words for what does not.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import type { Cluster, HealthCheckPolicy } from '@heddle/core';
import { nodeClock, nodeNetwork } from '@heddle/runtime/node';
import { localCluster } from '../testing/mesh.ts';
import { RawServer, until } from '../testing/raw-http.ts';
import { sendProbe } from './probe.ts';

const servers: RawServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(answer: string | undefined): Promise<RawServer> {
  const server = await RawServer.listen();
  servers.push(server);
  server.onPeer = (peer) => peer.socket.on('data', () => (answer === undefined ? peer.socket.destroy() : peer.send(answer)));
  return server;
}

function cluster(port: number, kind: 'http' | 'tcp' | 'grpc', more: Partial<HealthCheckPolicy> = {}): Cluster {
  const base = localCluster('orders', 'orders-1', port);
  return { ...base, health: { ...base.health!, kind, path: kind === 'http' ? '/healthz' : undefined, ...more } };
}

const deps = { network: nodeNetwork, clock: nodeClock };
const probe = (...args: Parameters<typeof cluster>) =>
  new Promise<string | undefined>((resolve) => void sendProbe(deps, cluster(...args), resolve));

test('an HTTP probe asks for the path and passes on 2xx', async () => {
  const server = await serve('HTTP/1.1 204 No Content\r\n\r\n');
  assert.equal(await probe(server.port, 'http'), undefined);
  assert.match(server.peers[0]!.text, new RegExp(`^GET /healthz HTTP/1\\.1\r\nhost: 127\\.0\\.0\\.1:${server.port}\r\n`));
});

test('an HTTP probe says what was wrong', async () => {
  assert.equal(await probe((await serve('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n')).port, 'http'), 'answered 503');
  assert.match((await probe((await serve('SSH-2.0-x\r\n')).port, 'http')) ?? '', /^answered with something that is not HTTP/);
  assert.match((await probe((await serve(undefined)).port, 'http')) ?? '', /closed the connection|reset the connection/);
});

test('a TCP probe passes when the connection is made, and says when not', async () => {
  const server = await serve(undefined);
  assert.equal(await probe(server.port, 'tcp'), undefined);
  const { port } = server;
  await server.close();
  servers.length = 0;
  assert.equal(await probe(port, 'tcp'), `nothing listens on 127.0.0.1:${port}`);
});

test('an abandoned probe says nothing and closes its connection', async () => {
  const server = await RawServer.listen();
  servers.push(server);
  let said = false;
  const running = sendProbe(deps, cluster(server.port, 'http'), () => {
    said = true;
  });
  await until(() => server.peers.length === 1 && server.peers[0]!.receivedBytes > 0, 'asked');
  running.abandon();
  await server.peers[0]!.gone();
  assert.equal(said, false);
});

test('an HTTP probe passes on the statuses that were asked for, and goes to the port that was', async () => {
  const server = await serve('HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n');
  const nobody = await serve(undefined);
  const statuses = [
    [200, 204],
    [302, 302],
  ] as const;
  assert.equal(await probe(nobody.port, 'http', { port: server.port, statuses }), undefined);
  assert.equal(await probe(server.port, 'http', { statuses: [[200, 301]] }), 'answered 302');
});

/** A server of the gRPC library whose health service gives these statuses by service; `undefined`: it has no health service. */
async function serveHealth(statuses: Readonly<Record<string, number>> | undefined): Promise<{ port: number; close: () => void }> {
  const server = new grpc.Server();
  const check: grpc.handleUnaryCall<{ service: string }, number> = ({ request }, callback) => {
    const found = statuses?.[request.service];
    if (found === undefined) callback({ code: grpc.status.NOT_FOUND, details: 'who?' });
    else if (found < 0) callback({ code: grpc.status.INTERNAL, details: 'out of 100 % order' });
    else callback(null, found);
  };
  const method = {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ service }: { service: string }) => Buffer.from(service),
    requestDeserialize: (bytes: Buffer) => ({ service: bytes.subarray((bytes[1] ?? 0) < 0x80 ? 2 : 3).toString() }),
    responseSerialize: (status: number) => Buffer.from(status === 0 ? [] : [8, status]),
    responseDeserialize: (bytes: Buffer) => bytes[1] ?? 0,
  } as const;
  if (statuses !== undefined) server.addService({ check: method }, { check });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { port, close: () => server.forceShutdown() };
}

test('a gRPC probe asks the health service, and passes when it says SERVING', async () => {
  const long = `${'x'.repeat(200)}.Orders`;
  const server = await serveHealth({ '': 1, 'shop.Orders': 1, [long]: 1, 'shop.Old': 2, 'shop.New': 0, 'shop.Broken': -1 });
  try {
    assert.equal(await probe(server.port, 'grpc'), undefined);
    assert.equal(await probe(server.port, 'grpc', { grpcService: 'shop.Orders' }), undefined);
    assert.equal(await probe(server.port, 'grpc', { grpcService: long }), undefined);
    assert.equal(await probe(server.port, 'grpc', { grpcService: 'shop.Old' }), 'shop.Old says NOT_SERVING');
    assert.equal(await probe(server.port, 'grpc', { grpcService: 'shop.New' }), 'shop.New says UNKNOWN');
    assert.equal(await probe(server.port, 'grpc', { grpcService: 'shop.Broken' }), 'answered INTERNAL: out of 100 % order');
    assert.equal(
      await probe(server.port, 'grpc', { grpcService: 'shop.Nobody' }),
      'the application\'s health service does not know "shop.Nobody"',
    );
  } finally {
    server.close();
  }
});

test('a gRPC probe says when the application offers no health service, or speaks something else', async () => {
  const server = await serveHealth(undefined);
  try {
    assert.equal(await probe(server.port, 'grpc'), 'the application does not offer grpc.health.v1.Health');
  } finally {
    server.close();
  }
  assert.match((await probe((await serve('HTTP/1.1 400 Bad Request\r\n\r\n')).port, 'grpc')) ?? '', /not HTTP\/2/);
  assert.match((await probe((await serve(undefined)).port, 'grpc')) ?? '', /closed the connection|reset the connection/);
});
