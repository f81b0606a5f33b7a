// grpc-js and Python's grpcio, each as client and as server: all four kinds of call, metadata, statuses, deadlines and cancellation.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { Cleanup } from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { EchoClient, fields, grpcServer } from './support/grpc.ts';
import { type Pair, type Served, skipDirect, startPair } from './support/pair.ts';
import { pythonWith, reason, run, start } from './support/programs.ts';

const cleanup = new Cleanup();
const python = pythonWith('grpc');
const skipPython = python === undefined ? reason('grpcio for Python (Debian package python3-grpcio)') : false;
const LARGE = Buffer.alloc(3_000_000, 'large message ');
const SCRIPT = join(import.meta.dirname, 'python/grpc_client.py');
const REASON = Buffer.from([8, 5, 255, 0]);
const CALLS_AT_ONCE = 200;
let pair: Pair;

before(async () => {
  const services: Record<string, Served> = {
    js: { protocol: 'grpc', ports: [await grpcServer(cleanup, 'js')] },
    three: { protocol: 'grpc', balance: 'round-robin', ports: await Promise.all(['a', 'b', 'c'].map((name) => grpcServer(cleanup, name))) },
  };
  if (skipPython === false) {
    const { until } = start(cleanup, python ?? 'python3', [join(import.meta.dirname, 'python/grpc_server.py')]);
    services['python'] = { protocol: 'grpc', ports: [Number((await until(/^port (\d+)$/m))[1])] };
  }
  pair = await startPair(cleanup, services);
});
after(() => cleanup.run());

const client = (service: string): EchoClient => new EchoClient(cleanup, `127.0.0.1:${pair.port(service)}`);

for (const { service, skip } of [
  { service: 'js', skip: false },
  { service: 'python', skip: skipPython },
] as const) {
  describe(`a grpc-js client, server ${service}`, { skip }, () => {
    test('unary, with metadata both ways and trailers', async () => {
      const asked = fields({ 'x-ask': 'who', 'x-ask-bin': Buffer.from([0, 255, 10]) });
      const { messages, metadata, status: end } = await client(service).unary('hello', asked);
      assert.equal(end.code, status.OK, end.details);
      assert.deepEqual(messages, ['hello']);
      assert.deepEqual(metadata.get('x-answer'), ['who']);
      assert.deepEqual(metadata.get('x-answer-bin'), [Buffer.from([0, 255, 10])]);
      assert.deepEqual(end.metadata.get('x-last'), ['word']);
    });

    test('a message of 3 MB each way', async () => {
      const { messages, status: end } = await client(service).unary(LARGE);
      assert.equal(end.code, status.OK, end.details);
      assert.ok(Buffer.from(messages[0] ?? '', 'latin1').equals(LARGE));
    });

    test('client streaming', async () => {
      const { call, reply } = client(service).collect();
      for (let count = 0; count < 5; count++) call.write(LARGE);
      call.end();
      const { messages, status: end } = await reply;
      assert.equal(end.code, status.OK, end.details);
      const hash = createHash('sha256');
      for (let count = 0; count < 5; count++) hash.update(LARGE);
      assert.deepEqual(messages, [`5 ${hash.digest('hex')}`]);
    });

    test('server streaming', async () => {
      const { messages, status: end } = await client(service).count(1_000).reply;
      assert.equal(end.code, status.OK, end.details);
      assert.deepEqual(
        messages,
        Array.from({ length: 1_000 }, (_, index) => String(index)),
      );
      assert.deepEqual(end.metadata.get('x-last'), ['word']);
    });

    test('bidirectional streaming, each message sent when the answer to the one before is there', async () => {
      const { call, reply } = client(service).chat();
      for (const message of ['one', 'two', 'three']) {
        const answered = once(call, 'data', { signal: AbortSignal.timeout(5_000) });
        call.write(Buffer.from(message));
        assert.equal(String((await answered)[0]), message);
      }
      call.end();
      const { messages, status: end } = await reply;
      assert.equal(end.code, status.OK, end.details);
      assert.deepEqual(messages, ['one', 'two', 'three']);
    });

    test('many calls at once over one channel', async () => {
      const channel = client(service);
      const bodies = Array.from({ length: CALLS_AT_ONCE }, (_, index) => `${index} `.repeat(5_000));
      const replies = await Promise.all(bodies.map((body) => channel.unary(body)));
      assert.deepEqual(
        replies.map(({ messages }) => messages[0]),
        bodies,
      );
    });

    test('a status with its message and details, and one after messages', async () => {
      const early = await client(service).unary('', fields({ 'x-status': '5' }));
      assert.equal(early.status.code, status.NOT_FOUND);
      assert.equal(early.status.details, 'nicht da: 100 % Käse');
      assert.deepEqual(early.status.metadata.get('grpc-status-details-bin'), [REASON]);
      const late = await client(service).count(3, fields({ 'x-status': '8' })).reply;
      assert.deepEqual(late.messages, ['0', '1', '2']);
      assert.equal(late.status.code, status.RESOURCE_EXHAUSTED);
    });

    test('a deadline ends the call at both ends', async () => {
      const channel = client(service);
      const name = `deadline-${service}`;
      const { status: end } = await channel.unary('', fields({ 'x-wait': name }), 300);
      assert.equal(end.code, status.DEADLINE_EXCEEDED);
      await waitFor('the server to know', () => channel.wasCancelled(name));
    });

    test('a cancellation reaches the server, in a stream too', async () => {
      const channel = client(service);
      const abort = new AbortController();
      const unary = channel.unary('', fields({ 'x-wait': `unary-${service}` }), 20_000, abort.signal);
      const { call, reply } = channel.chat(fields({ 'x-wait': `chat-${service}` }));
      const answered = once(call, 'data');
      call.write(Buffer.from('hello'));
      await answered;
      call.cancel();
      abort.abort();
      assert.equal((await unary).status.code, status.CANCELLED);
      assert.equal((await reply).status.code, status.CANCELLED);
      for (const name of [`unary-${service}`, `chat-${service}`]) await waitFor('the server to know', () => channel.wasCancelled(name));
    });
  });

  const EXPECTED = {
    unary_call: ['hello', { 'x-answer': 'who', 'x-answer-bin': '00ff0a' }, { 'x-last': 'word' }],
    large: true,
    compressed: true,
    client_streaming: true,
    server_streaming: [true, { 'x-last': 'word' }],
    bidirectional: ['one', 'two', 'three'],
    status: ['NOT_FOUND', 'nicht da: 100 % Käse', { 'x-last': 'word', 'grpc-status-details-bin': '0805ff00' }],
    late_status: [[0, 1, 2], 'RESOURCE_EXHAUSTED'],
    unknown_method: 'UNIMPLEMENTED',
    deadline: ['DEADLINE_EXCEEDED', true],
    cancellation: ['0', 'CANCELLED', true],
  };

  test(`a client in Python makes every kind of call, server ${service}`, { skip: skipPython }, async () => {
    const { code, stdout, stderr } = await run(python ?? 'python3', [SCRIPT, `127.0.0.1:${pair.port(service)}`]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout.toString()), EXPECTED);
  });

  test(`a client in Python by the proxy of its environment, server ${service}`, { skip: skipPython || skipDirect }, async () => {
    const { code, stdout, stderr } = await run(python ?? 'python3', [SCRIPT, pair.authority(service)], {
      env: { grpc_proxy: pair.proxyUrl },
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout.toString()), EXPECTED);
  });
}

test('a grpc-js client by the proxy of its environment', { skip: skipDirect }, async () => {
  const before = process.env.grpc_proxy;
  process.env.grpc_proxy = pair.proxyUrl;
  try {
    const { messages, status: end } = await new EchoClient(cleanup, pair.authority('js'), true).unary('hello');
    assert.equal(end.code, status.OK, end.details);
    assert.deepEqual(messages, ['hello']);
  } finally {
    if (before === undefined) delete process.env.grpc_proxy;
    else process.env.grpc_proxy = before;
  }
});

test('calls of one channel go round over all instances', { skip: skipDirect }, async () => {
  const channel = client('three');
  const counts: Record<string, number> = {};
  for (let count = 0; count < 30; count++) {
    const { metadata, status: end } = await channel.unary('hello');
    assert.equal(end.code, status.OK, end.details);
    const name = String(metadata.get('x-server')[0]);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  assert.deepEqual(counts, { a: 10, b: 10, c: 10 });
});
