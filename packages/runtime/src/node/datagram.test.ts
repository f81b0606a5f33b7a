import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { NetworkError } from '../ports/network.ts';
import { until } from '../testing/recorder.ts';
import { nodeDatagrams } from './datagram.ts';
import { followTextFile } from './text-file.ts';

const LOOPBACK = '127.0.0.1';

describe('datagrams', () => {
  it('go from a talk to a bound socket and back, also when sent before the socket is ready', async () => {
    const server = await nodeDatagrams.bind({
      address: LOOPBACK,
      port: 0,
      onMessage: (bytes, address, port) => server.send(Buffer.concat([bytes, Buffer.from('!')]), address, port),
    });
    const received: string[] = [];
    const talk = nodeDatagrams.talk({
      address: LOOPBACK,
      port: server.port,
      onMessage: (bytes) => received.push(bytes.toString()),
      onError: assert.fail,
    });
    talk.send(Buffer.from('early'));
    await until(() => received.length === 1, 'the first answer');
    talk.send(Buffer.from('late'));
    await until(() => received.length === 2, 'the second answer');
    assert.deepEqual(received, ['early!', 'late!']);
    talk.close();
    talk.close();
    talk.send(Buffer.from('closed'));
    await server.close();
    await server.close();
    server.send(Buffer.from('closed'), LOOPBACK, 9);
  });

  it('of strangers never reach a talk', async () => {
    const ports: number[] = [];
    const peer = await nodeDatagrams.bind({ address: LOOPBACK, port: 0, onMessage: (_bytes, _address, port) => ports.push(port) });
    const stranger = await nodeDatagrams.bind({ address: LOOPBACK, port: 0, onMessage: () => {} });
    const received: string[] = [];
    const talk = nodeDatagrams.talk({
      address: LOOPBACK,
      port: peer.port,
      onMessage: (bytes) => received.push(bytes.toString()),
      onError: assert.fail,
    });
    talk.send(Buffer.from('hello'));
    await until(() => ports.length === 1, 'the question');
    stranger.send(Buffer.from('forged'), LOOPBACK, ports[0]!);
    peer.send(Buffer.from('true'), LOOPBACK, ports[0]!);
    await until(() => received.length > 0, 'the answer');
    assert.deepEqual(received, ['true']);
    talk.close();
    await Promise.all([peer.close(), stranger.close()]);
  });

  it('to a port where nobody listens are an error, once', { skip: process.platform !== 'linux' && 'Linux reports it' }, async () => {
    const gone = await nodeDatagrams.bind({ address: LOOPBACK, port: 0, onMessage: () => {} });
    const { port } = gone;
    await gone.close();
    const errors: NetworkError[] = [];
    const talk = nodeDatagrams.talk({ address: LOOPBACK, port, onMessage: () => assert.fail(), onError: (error) => errors.push(error) });
    talk.send(Buffer.from('anybody?'));
    await until(() => errors.length > 0, 'the refusal');
    talk.send(Buffer.from('really?'));
    assert.equal(errors[0]?.kind, 'refused');
    talk.close();
    assert.equal(errors.length, 1);
  });

  it('have a port for one socket alone, unless both say that they share it', async () => {
    const alone = await nodeDatagrams.bind({ address: LOOPBACK, port: 0, onMessage: () => {} });
    const again = { address: LOOPBACK, port: alone.port, onMessage: () => {} };
    await assert.rejects(nodeDatagrams.bind(again), (error) => error instanceof NetworkError && error.kind === 'address-in-use');
    await assert.rejects(nodeDatagrams.bind({ ...again, shared: true }), NetworkError);
    await alone.close();
    if (process.platform !== 'linux') return;
    const [one, two] = [await nodeDatagrams.bind({ ...again, shared: true }), await nodeDatagrams.bind({ ...again, shared: true })];
    await assert.rejects(nodeDatagrams.bind(again), NetworkError);
    await Promise.all([one.close(), two.close()]);
  });
});

it('a text file is read again only when it has changed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-text-'));
  try {
    const path = join(directory, 'resolv.conf');
    const text = followTextFile(path);
    assert.equal(text(), undefined);
    writeFileSync(path, 'one');
    utimesSync(path, 1, 1);
    assert.equal(text(), 'one');
    writeFileSync(path, 'two');
    utimesSync(path, 1, 1);
    assert.equal(text(), 'one', 'by its times nothing has changed');
    utimesSync(path, 2, 2);
    assert.equal(text(), 'two');
    rmSync(path);
    assert.equal(text(), undefined);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
