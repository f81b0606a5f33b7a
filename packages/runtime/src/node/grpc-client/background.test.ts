import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { authority, CONTROL_ID, reply, SERVER_NAME, startPeer } from './testing/peer.ts';

/** Calls twice, on a channel that it never closes; then it has nothing left to do. */
const GUEST = `
const { backgroundGrpc } = await import(process.env.DRIVER);
const channel = backgroundGrpc.open(JSON.parse(process.env.CHANNEL));
const wait = setInterval(() => {}, 1000);
channel.bidi('/shop.Orders/Follow', { onMessage() {}, onEnd() {} });
const answer = await channel.unary('/shop.Orders/Get', Buffer.from('q'));
clearInterval(wait);
console.log(String(answer));
`;

test('a channel in the background does not keep its process alive', async (t) => {
  const { port, sessions } = await startPeer(t, (stream, headers) => {
    if (headers[':path'] === '/shop.Orders/Get') reply(stream, ['here']);
  });
  const channel = {
    ...{ address: '127.0.0.1', port, keepalive: { timeMs: 10, timeoutMs: 5_000 }, messageBytesMax: 1_000 },
    tls: { rootsPem: authority.rootsPem, peerId: CONTROL_ID, serverName: SERVER_NAME },
  };
  const args = ['--conditions=heddle-source', '--input-type=module', '-e', GUEST];
  const env = { ...process.env, DRIVER: new URL('index.ts', import.meta.url).href, CHANNEL: JSON.stringify(channel) };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, timeout: 10_000, cwd: import.meta.dirname });
  assert.equal(stdout, 'here\n');
  assert.equal(sessions.length, 1);
});
