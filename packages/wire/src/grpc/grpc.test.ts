import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { grpcKindOf } from './content-type.ts';
import { decodeGrpcMessage, encodeGrpcMessage } from './message.ts';
import { GRPC_STATUS, grpcStatusName, grpcStatusOfHttp, readGrpcStatus } from './status.ts';

test('knows gRPC by its content type', () => {
  const kinds: [string | undefined, string | undefined][] = [
    ['application/grpc', 'grpc'],
    ['application/grpc+proto', 'grpc'],
    ['Application/GRPC; charset=utf-8', 'grpc'],
    ['application/grpc ;x', 'grpc'],
    ['application/grpc-web', 'grpc-web'],
    ['application/grpc-web+json', 'grpc-web'],
    ['application/grpc-web-text+proto', 'grpc-web-text'],
    ['application/grpcx', undefined],
    ['application/grpc-foo', undefined],
    ['application/', undefined],
    ['application/json', undefined],
    ['appl', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [contentType, kind] of kinds) assert.equal(grpcKindOf(contentType), kind, String(contentType));
});

test('reads and names status codes', () => {
  for (const [name, status] of Object.entries(GRPC_STATUS)) {
    assert.equal(grpcStatusName(status), name);
    assert.equal(readGrpcStatus(String(status)), status);
  }
  for (const value of [undefined, '', '17', '99', '-1', '1.0', ' 1', '0x1', '000', 'OK'])
    assert.equal(readGrpcStatus(value), GRPC_STATUS.UNKNOWN, String(value));
  assert.equal(grpcStatusName(17), 'UNKNOWN');
});

test('maps HTTP statuses as the gRPC document says', () => {
  const expected: Record<number, keyof typeof GRPC_STATUS> = {
    200: 'UNKNOWN',
    400: 'INTERNAL',
    401: 'UNAUTHENTICATED',
    403: 'PERMISSION_DENIED',
    404: 'UNIMPLEMENTED',
    418: 'UNKNOWN',
    429: 'UNAVAILABLE',
    500: 'UNKNOWN',
    502: 'UNAVAILABLE',
    503: 'UNAVAILABLE',
    504: 'UNAVAILABLE',
  };
  for (const [http, name] of Object.entries(expected)) assert.equal(grpcStatusName(grpcStatusOfHttp(Number(http))), name, http);
});

test('writes messages as visible ASCII', () => {
  assert.equal(encodeGrpcMessage(''), '');
  assert.equal(encodeGrpcMessage('plain text ~'), 'plain text ~');
  assert.equal(encodeGrpcMessage('100 %\n'), '100 %25%0A');
  assert.equal(encodeGrpcMessage('é €'), '%C3%A9 %E2%82%AC');
});

test('reads messages whatever they look like', () => {
  assert.equal(decodeGrpcMessage('100 %25%0A%c3%A9'), '100 %\né');
  assert.equal(decodeGrpcMessage('%'), '%');
  assert.equal(decodeGrpcMessage('%4'), '%4');
  assert.equal(decodeGrpcMessage('%zz%4z%41%'), '%zz%4zA%');
  assert.equal(decodeGrpcMessage('%%41'), '%A');
  assert.equal(decodeGrpcMessage('%FF!'), '\ufffd!');
  assert.equal(decodeGrpcMessage('\xc3\xa9'), 'é');
});

test('every text survives as a message', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code)) }), (text) => {
      const encoded = encodeGrpcMessage(text);
      assert.match(encoded, /^[ -~]*$/);
      assert.equal(decodeGrpcMessage(encoded), text.toWellFormed());
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('%', '4', 'f', 'Z', '\xff', ' ') }), (value) => {
      assert.equal(typeof decodeGrpcMessage(value), 'string');
      assert.ok(decodeGrpcMessage(value).length <= value.length);
    }),
  );
});
