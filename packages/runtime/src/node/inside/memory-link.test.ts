import assert from 'node:assert/strict';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { once } from 'node:events';
import { it } from 'node:test';
import { memoryLink } from './index.ts';

const link = () => memoryLink({ remoteAddress: '127.0.0.1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 });

it('a stream that nobody reads ends when its other side closes', async () => {
  const { connection, stream } = link();
  stream.allowHalfOpen = false;
  connection.destroy();
  await once(stream, 'close');
  assert.equal(stream.destroyed, true);
});

it('what was written before a reset is read before the error', async () => {
  const { connection, stream } = link();
  const heard: string[] = [];
  stream.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
  connection.write(Buffer.from('last words'));
  connection.reset();
  const [error] = (await once(stream, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNRESET');
  assert.deepEqual(heard, ['last words']);
});

it('events come in the context that the stream has at the time', async () => {
  const { connection, stream } = link();
  const storage = new AsyncLocalStorage<string>();
  const heard: unknown[] = [];
  stream.on('data', () => heard.push(storage.getStore()));
  for (const name of ['one', 'two']) {
    storage.run(name, () => (stream.context = new AsyncResource('TEST')));
    storage.run('data plane', () => connection.write(Buffer.from('x')));
    await new Promise((resolve) => void setImmediate(resolve));
  }
  const closed = new Promise((resolve) => stream.on('close', () => resolve(storage.getStore())));
  stream.allowHalfOpen = false;
  storage.run('data plane', () => connection.destroy());
  assert.equal(await closed, 'two');
  assert.deepEqual(heard, ['one', 'two']);
});
