import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, it } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import { MeshError } from '../errors.ts';
import { type Answer, metadataOf, type Wish, Wishes, type WishesClient } from '../testing/grpc-service.ts';
import { wishesMesh } from '../testing/wishes-mesh.ts';
import { type GrpcJs, joinGrpc, meshOptions } from './index.ts';

const grpcJs = grpc as unknown as GrpcJs;
const insecure = grpc.credentials.createInsecure();
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
const { planes, wishes, mesh } = await wishesMesh();

const ask = (client: WishesClient, wish: Wish = { text: 'a' }, options: grpc.CallOptions = {}, metadata = metadataOf()): Promise<Answer> =>
  new Promise((resolve, reject) => {
    client.unary(wish, metadata, options, (error, answer) => (error === null ? resolve(answer!) : reject(error)));
  });

async function until(what: string, isTrue: () => boolean): Promise<void> {
  for (let turns = 0; turns < 2_000; turns++) {
    if (isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.fail(`${what}: not within the time`);
}

describe('grpc-js in the mesh', () => {
  it('takes clients made before and after, by every form of the name, until it is undone', async () => {
    const early = new Wishes('orders.mesh.internal:8080', insecure);
    const undo = joinGrpc(mesh, grpcJs, { logger: silent });
    assert.equal(joinGrpc(mesh, grpcJs, { logger: silent }), undo);
    assert.deepEqual(await ask(early), { text: 'a' });
    for (const target of ['orders.mesh.internal', 'dns:///orders.mesh.internal:1', 'heddle:///orders', 'xds:///orders.mesh.internal']) {
      const begun = mesh.begun;
      const client = new Wishes(target, grpc.credentials.createSsl());
      assert.deepEqual(await ask(client, { text: target }), { text: target });
      assert.equal(mesh.begun, begun + 1);
      client.close();
      assert.throws(() => client.unary({}, metadataOf(), {}, () => {}), /shut down/);
    }
    const other = new Wishes(`127.0.0.1:${wishes.port}`, insecure);
    const begun = mesh.begun;
    assert.deepEqual(await ask(other), { text: 'a' });
    assert.equal(mesh.begun, begun);
    undo();
    undo();
    assert.equal(Object.hasOwn(grpc.Channel.prototype, 'createCall'), true);
    await assert.rejects(ask(early, {}, { deadline: Date.now() + 3_000 }), { code: 14, details: /resolution|ENOTFOUND|EAI/ });
    assert.equal(mesh.begun, begun);
    early.close();
    other.close();
  });

  it('finds the target behind a proxy of the environment, and leaves closed channels closed', async () => {
    const before = process.env['grpc_proxy'];
    process.env['grpc_proxy'] = 'http://127.0.0.1:1';
    const undo = joinGrpc(mesh, grpcJs, { logger: silent });
    const client = new Wishes('orders.mesh.internal:80', insecure);
    if (before === undefined) delete process.env['grpc_proxy'];
    else process.env['grpc_proxy'] = before;
    assert.deepEqual(await ask(client), { text: 'a' });
    client.close();
    const closed = new Wishes('orders.mesh.internal', insecure);
    closed.close();
    assert.throws(() => closed.unary({}, metadataOf(), {}, () => {}), /shut down/);
    undo();
  });

  it('says once that service configurations have no effect, and of a foreign version that it stays out', () => {
    const lines: string[] = [];
    const logger: Logger = { ...silent, info: (_fields, text) => void lines.push(text), warn: (_fields, text) => void lines.push(text) };
    const undo = joinGrpc(mesh, grpcJs, { logger });
    for (const _ of [1, 2]) {
      const client = new Wishes('orders.mesh.internal', insecure, { 'grpc.service_config': '{}' });
      client.getChannel().getConnectivityState(false);
      client.close();
    }
    undo();
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /service_config/);
    class Foreign {
      close(): void {}
    }
    joinGrpc(mesh, { Channel: Foreign as never, credentials: grpc.credentials }, { logger })();
    assert.match(lines[1]!, /cannot be joined/);
  });

  it('waits until the mesh is ready, and fails with its reason', async () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    mesh.isReady = false;
    mesh.becomesReady = promise;
    const channel = client.getChannel();
    assert.equal(channel.getConnectivityState(false), grpc.connectivityState.IDLE);
    const late = ask(client, {}, { deadline: Date.now() + 30 });
    await assert.rejects(late, { code: 4, details: /waiting for the mesh/ });
    const waiting = ask(client);
    assert.equal(channel.getConnectivityState(true), grpc.connectivityState.CONNECTING);
    const ready = new Promise<void>((done, fail) =>
      client.waitForReady(Date.now() + 5_000, (error) => (error === undefined ? done() : fail(error))),
    );
    resolve();
    assert.deepEqual(await waiting, { text: 'a' });
    await ready;
    mesh.isReady = false;
    mesh.becomesReady = Promise.reject(new MeshError('NOT_READY', 'not part of the mesh: no token'));
    await assert.rejects(ask(client), (error: grpc.ServiceError & { cause?: unknown }) => {
      assert.equal(error.code, 14);
      assert.equal(error.details, 'not part of the mesh: no token');
      assert.ok(error.cause instanceof MeshError);
      return true;
    });
    mesh.becomesReady = Promise.resolve();
    mesh.isReady = true;
    reject();
    client.close();
  });

  it('tells an error of the data plane by its code', async () => {
    const alone = await planes.callerOf(0);
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(alone));
    await assert.rejects(ask(client), (error: grpc.ServiceError) => {
      assert.equal(error.code, 14);
      assert.match(error.details, /^NO_HEALTHY_INSTANCE/);
      assert.deepEqual(error.metadata.get('x-heddle-error'), ['NO_HEALTHY_INSTANCE']);
      return true;
    });
    // A call that waits for readiness is made again, until its deadline.
    const waits = new grpc.Metadata({ waitForReady: true });
    await assert.rejects(ask(client, {}, { deadline: Date.now() + 200 }, waits), { code: 4 });
    assert.ok(alone.begun >= 3);
    assert.equal(alone.held, 0);
    client.close();
  });

  it('asks credentials of calls for metadata, of the channel and of the call', async () => {
    const asked: unknown[] = [];
    const adds = (name: string): grpc.CallCredentials =>
      grpc.credentials.createFromMetadataGenerator((options, done) => {
        asked.push(options);
        done(null, metadataOf([[name, 'yes']]));
      });
    const client = new Wishes(
      'orders.mesh.internal:80',
      grpc.credentials.combineChannelCredentials(grpc.credentials.createSsl(), adds('x-my-channel')),
      meshOptions(mesh),
    );
    const { saw } = await ask(client, { tell: 'x-my-' }, { credentials: adds('x-my-call') });
    assert.deepEqual(saw, { 'x-my-call': ['yes'], 'x-my-channel': ['yes'] });
    assert.deepEqual(asked[0], { method_name: '/test.Wishes/unary', service_url: 'https://orders.mesh.internal/test.Wishes' });
    const refuses = grpc.credentials.createFromMetadataGenerator((_options, done) => done(new Error('no token')));
    await assert.rejects(ask(client, {}, { credentials: refuses }), { code: 2, details: /no token/ });
    client.close();
  });

  it('is cancelled with the call on whose behalf it is made, and ends with its deadline', async () => {
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const { EventEmitter } = await import('node:events');
    const parent = Object.assign(new EventEmitter(), { getDeadline: () => Infinity as number });
    const { cancelled, arrived } = wishes;
    const ongoing = ask(client, { hang: true }, { parent: parent as never });
    const failed = assert.rejects(ongoing, { code: 1, details: 'Cancelled by parent call' });
    await until('the call', () => wishes.arrived > arrived);
    parent.emit('cancelled');
    await failed;
    await until('the cancellation', () => wishes.cancelled > cancelled);
    assert.equal(parent.listenerCount('cancelled'), 0);
    parent.getDeadline = () => Date.now() + 50;
    await assert.rejects(ask(client, { hang: true }, { parent: parent as never }), { code: 4 });
    client.close();
  });

  it('runs callbacks in the context of the call, also of many at once', async () => {
    const context = new AsyncLocalStorage<number>();
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const inside = (number: number): Promise<(number | undefined)[]> =>
      context.run(
        number,
        () =>
          new Promise((resolve) => {
            const seen: (number | undefined)[] = [];
            const see = (): void => void seen.push(context.getStore());
            const stream = client.serverStream({ count: 3, head: [['x-a', '1']] }, metadataOf(), {});
            stream.on('metadata', see).on('data', see).on('status', see);
            client.unary({}, metadataOf(), {}, () => {
              see();
              if (seen.length === 6) resolve(seen);
            });
            stream.on('end', () => {
              if (seen.length === 6) resolve(seen);
            });
          }),
      );
    const all = await Promise.all(Array.from({ length: 20 }, (_, number) => inside(number)));
    all.forEach((seen, number) =>
      assert.deepEqual(
        seen,
        Array.from({ length: 6 }, () => number),
      ),
    );
    client.close();
  });

  it('does not take more than is read, and not more than the called side reads', async () => {
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const { cancelled } = wishes;
    const stream = client.serverStream({ count: 100_000, size: 10_000 }, metadataOf(), {});
    stream.on('error', () => {});
    const first = await new Promise<Answer>((resolve) => stream.once('data', resolve).once('data', () => stream.pause()));
    assert.equal(first.filler?.length, 10_000);
    for (let turns = 0; turns < 200; turns++) await new Promise(setImmediate);
    assert.ok(stream.readableLength < 100);
    stream.cancel();
    stream.resume();
    await until('the cancellation', () => wishes.cancelled > cancelled);
    client.close();
  });

  it('keeps what came for a reader that is late', async () => {
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const stream = client.serverStream({ count: 60, text: 'm' }, metadataOf(), {});
    const texts: unknown[] = [];
    stream.on('readable', () => {});
    await until('some', () => stream.readableLength > 5);
    for (let turns = 0; turns < 50; turns++) await new Promise(setImmediate);
    assert.ok(stream.readableLength < 60);
    for await (const { text } of stream as AsyncIterable<Answer>) texts.push(text);
    assert.deepEqual(
      texts,
      Array.from({ length: 60 }, (_, at) => `m${at}`),
    );
    client.close();
  });

  it('acknowledges what it sends only as fast as the called side reads', async () => {
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const stream = client.clientStream(metadataOf(), {}, () => {});
    let acknowledged = 0;
    const text = 'x'.repeat(500_000);
    for (let sent = 0; sent < 100; sent++) stream.write({ hang: true, text }, () => (acknowledged += 1));
    await until('the first message', () => acknowledged > 0);
    for (let turns = 0; turns < 300; turns++) await new Promise(setImmediate);
    assert.ok(acknowledged < 20, `${acknowledged} messages were taken`);
    stream.cancel();
    client.close();
  });

  it('sends thousands of messages and hears thousands', async () => {
    const client = new Wishes('orders.mesh.internal', insecure, meshOptions(mesh));
    const stream = client.bidi(metadataOf(), {});
    let heard = 0;
    stream.on('data', () => (heard += 1));
    for (let sent = 0; sent < 3_000; sent++)
      if (!stream.write({ text: 'm' })) await new Promise<void>((resolve) => stream.once('drain', resolve));
    stream.end();
    await new Promise((resolve) => stream.on('end', resolve));
    assert.equal(heard, 3_000);
    client.close();
  });

  it('reads compressed answers, within the limit', async () => {
    const options = { 'grpc.default_compression_algorithm': 2, ...meshOptions(mesh) };
    const client = new Wishes('orders.mesh.internal', insecure, options);
    const metadata = metadataOf();
    assert.equal((await ask(client, { size: 100_000 }, {}, metadata)).filler?.length, 100_000);
    client.close();
    const small = new Wishes('orders.mesh.internal', insecure, { ...options, 'grpc.max_receive_message_length': 20_000 });
    await assert.rejects(ask(small, { size: 100_000 }), { code: 8 });
    small.close();
  });
});
