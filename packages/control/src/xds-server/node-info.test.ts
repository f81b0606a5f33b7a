import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { CallError } from '../server/status.ts';
import { readNodeInfo } from './node-info.ts';
import type { XdsNode } from './node-info.ts';

const read = (metadata: Record<string, unknown> | undefined, userAgentName = '', id = 'node-1') =>
  readNodeInfo({ id, userAgentName, metadata } as XdsNode);

describe('what a data plane says about itself', () => {
  test('its flavour follows from its user agent when it does not name one', () => {
    const flavour = (agent: string) => read(undefined, agent).flavour;
    assert.deepEqual(['heddle', 'envoy', 'gRPC Go', 'gRPC C-core 1.60', 'grpc-java', 'envoyer', ''].map(flavour), [
      'heddle',
      'envoy',
      'grpc',
      'grpc',
      'grpc',
      'heddle',
      'heddle',
    ]);
    assert.equal(read({ heddle: { flavour: 'heddle' } }, 'envoy').flavour, 'heddle');
    assert.equal(read({ other: 1 }, 'envoy').flavour, 'envoy');
  });

  test('where it has what', () => {
    const heddle = { outboundProxy: { address: '127.0.0.1', port: 15_001 }, identityDir: '/run/heddle/orders', instance: { id: 'a' } };
    const admin = { address: '127.0.0.1', port: 15_020 };
    assert.deepEqual(read({ heddle: { admin } }).admin, admin);
    assert.deepEqual(read({ heddle }, 'envoy'), { id: 'node-1', flavour: 'envoy', ...heddle });
    assert.deepEqual(read(undefined), {
      id: 'node-1',
      flavour: 'heddle',
      outboundProxy: undefined,
      identityDir: undefined,
      instance: undefined,
    });
  });

  test('what cannot be right is refused by its name', () => {
    const cases: [Record<string, unknown>, RegExp][] = [
      [{ heddle: { flavour: 'nginx' } }, /node\.metadata\.heddle\.flavour must be one of heddle, envoy, grpc/],
      [{ heddle: { identityDir: 'certs' } }, /node\.metadata\.heddle\.identityDir "certs" is not an absolute path/],
      [{ heddle: { identityDir: 7 } }, /node\.metadata\.heddle\.identityDir must be a string/],
      [{ heddle: { outboundProxy: { address: 'x', port: 1 } } }, /node\.metadata\.heddle\.outboundProxy\.address/],
      [{ heddle: { admin: { address: '127.0.0.1', port: 0 } } }, /node\.metadata\.heddle\.admin\.port/],
      [{ heddle: 'envoy' }, /node\.metadata\.heddle must be an object/],
    ];
    for (const [metadata, message] of cases)
      assert.throws(
        () => read(metadata),
        (error) => error instanceof CallError && error.code === status.INVALID_ARGUMENT && message.test(error.message),
      );
    assert.throws(() => read(undefined, '', ''), /node\.id/);
    assert.throws(() => readNodeInfo(undefined), /node\.id/);
  });
});
