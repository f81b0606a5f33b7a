// Probes against real sockets: what passes, and the words for what does not.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import type { Cluster } from '@heddle/core';
import { nodeNetwork } from '@heddle/runtime/node';
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

function cluster(port: number, kind: 'http' | 'tcp'): Cluster {
  const base = localCluster('orders', 'orders-1', port);
  return { ...base, health: { ...base.health!, kind, path: kind === 'http' ? '/healthz' : undefined } };
}

const probe = (port: number, kind: 'http' | 'tcp') =>
  new Promise<string | undefined>((resolve) => void sendProbe({ network: nodeNetwork }, cluster(port, kind), resolve));

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
  const running = sendProbe({ network: nodeNetwork }, cluster(server.port, 'http'), () => {
    said = true;
  });
  await until(() => server.peers.length === 1 && server.peers[0]!.receivedBytes > 0, 'asked');
  running.abandon();
  await server.peers[0]!.gone();
  assert.equal(said, false);
});
