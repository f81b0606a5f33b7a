import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRPC_STATUS } from '@heddle/wire/grpc';
import { errorOfHead, errorOfReset, errorOfTrailers } from './outcome.ts';

const GRPC = { ':status': '200', 'content-type': 'application/grpc' };

test('the status in the trailers counts, its text decoded', () => {
  assert.equal(errorOfTrailers({ 'grpc-status': '0' }), undefined);
  const refused = errorOfTrailers({ 'grpc-status': '7', 'grpc-message': 'pas de th%C3%A9, 100%25' });
  assert.deepEqual([refused?.code, refused?.details], [GRPC_STATUS.PERMISSION_DENIED, 'pas de thé, 100%']);
  assert.equal(refused?.message, '7 PERMISSION_DENIED: pas de thé, 100%');
  for (const status of ['', '17', 'OK', '-1']) assert.equal(errorOfTrailers({ 'grpc-status': status })?.code, GRPC_STATUS.UNKNOWN, status);
  assert.equal(errorOfTrailers({})?.code, GRPC_STATUS.UNKNOWN);
});

test('an answer that is no gRPC is told by its HTTP status and its content type', () => {
  assert.equal(errorOfHead(GRPC), undefined);
  assert.equal(errorOfHead({ ...GRPC, 'content-type': 'application/grpc+proto;v=1' }), undefined);
  for (const [status, code] of [
    ['400', GRPC_STATUS.INTERNAL],
    ['401', GRPC_STATUS.UNAUTHENTICATED],
    ['403', GRPC_STATUS.PERMISSION_DENIED],
    ['404', GRPC_STATUS.UNIMPLEMENTED],
    ['429', GRPC_STATUS.UNAVAILABLE],
    ['503', GRPC_STATUS.UNAVAILABLE],
    ['500', GRPC_STATUS.UNKNOWN],
  ] as const)
    assert.equal(errorOfHead({ ':status': status, 'content-type': 'text/html' })?.code, code, status);
  assert.match(errorOfHead({ ':status': '200', 'content-type': 'text/html' })?.details ?? '', /text\/html, which is not gRPC/);
  assert.match(errorOfHead({ ':status': '200' })?.details ?? '', /no content type/);
  // Its own word goes before.
  assert.equal(errorOfHead({ ':status': '503', 'grpc-status': '7' }), undefined);
});

test('codes of RST_STREAM mean what the protocol of gRPC says', () => {
  const { INTERNAL, UNAVAILABLE, CANCELLED, RESOURCE_EXHAUSTED, PERMISSION_DENIED, UNKNOWN } = GRPC_STATUS;
  const codes = Array.from({ length: 15 }, (_, code) => errorOfReset(code).code);
  const expected = [INTERNAL, INTERNAL, INTERNAL, INTERNAL, INTERNAL, UNKNOWN, INTERNAL, UNAVAILABLE, CANCELLED, INTERNAL, INTERNAL];
  assert.deepEqual(codes, [...expected, RESOURCE_EXHAUSTED, PERMISSION_DENIED, INTERNAL, UNKNOWN]);
  assert.match(errorOfReset(7).details, /REFUSED_STREAM/);
  assert.match(errorOfReset(99).details, /code 99/);
});
