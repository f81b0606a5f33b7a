import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identity } from '@heddle/api';
import type { GrpcChannel, GrpcChannelOptions, GrpcError, GrpcStreamHandler } from '@heddle/runtime';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import { callControl, controlChannel, openControlStream } from './control-channel.ts';

const { sign, watchTrust } = identity.IdentityService;
/** A field that begins and does not end. */
const GARBAGE = Buffer.from([0x0a, 0x7f]);

/** Answers whatever is asked with the same bytes. */
class Echo implements GrpcChannel {
  cancelled = 0;
  handler: GrpcStreamHandler | undefined;
  readonly sent: Uint8Array[] = [];
  private readonly answer: Buffer;

  constructor(answer: Buffer) {
    this.answer = answer;
  }

  async unary(_method: string, request: Uint8Array): Promise<Buffer> {
    this.sent.push(request);
    return this.answer;
  }

  bidi(_method: string, handler: GrpcStreamHandler) {
    this.handler = handler;
    return {
      write: (bytes: Uint8Array) => this.sent.push(bytes) > 0,
      isBlocked: false,
      end() {},
      cancel: () => void (this.cancelled += 1),
    };
  }

  close(): void {}
  drop(): void {}
}

test('a channel trusts the roots of the mesh, and in its trust domain the control plane alone', () => {
  let opened: GrpcChannelOptions | undefined;
  const open = (options: GrpcChannelOptions): GrpcChannel => {
    opened = options;
    return new Echo(GARBAGE);
  };
  controlChannel({ open }, { address: '::1', port: 15_010 }, { rootsPem: 'roots', trustDomain: 'shop' }, 2);
  assert.deepEqual(opened?.tls, {
    rootsPem: 'roots',
    peerId: 'spiffe://shop/ns/heddle-system/svc/control',
    serverName: 'control.mesh.internal',
  });
  assert.deepEqual([opened?.address, opened?.port, opened?.keepalive], ['::1', 15_010, { timeMs: 2_000, timeoutMs: 5_000 }]);
});

test('messages go out and come in as those of the method', async () => {
  const channel = new Echo(sign.responseSerialize(identity.SignResponse.create({ spiffeId: 'spiffe://shop/x' })));
  const answer = await callControl(channel, sign, identity.SignRequest.create({ joinToken: 'token' }), {});
  assert.equal(answer.spiffeId, 'spiffe://shop/x');
  assert.equal(sign.requestDeserialize(Buffer.from(channel.sent[0]!)).joinToken, 'token');
});

test('what is no such message ends the call, and is told once', async () => {
  const channel = new Echo(GARBAGE);
  await assert.rejects(callControl(channel, sign, identity.SignRequest.create(), {}), { code: GRPC_STATUS.INTERNAL });
  const ends: (GrpcError | undefined)[] = [];
  openControlStream(channel, watchTrust, { onMessage: () => assert.fail('it is none'), onEnd: (error) => ends.push(error) });
  channel.handler?.onMessage(GARBAGE);
  assert.equal(channel.cancelled, 1);
  assert.deepEqual(
    ends.map((error) => error?.code),
    [GRPC_STATUS.INTERNAL],
  );
});
