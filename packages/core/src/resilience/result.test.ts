import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodes } from '../errors/lookup.ts';
import { ERRORS } from '../errors/table.ts';
import { tryResultOf } from './result.ts';

const all = (statuses: readonly number[], of: (status: number) => unknown): unknown[] => [...new Set(statuses.map(of))];
const http = (status: number): unknown => tryResultOf(undefined, status, undefined);
const grpc = (status: number): unknown => tryResultOf(undefined, 200, status);

test('an answer below 500 is the caller’s affair', () => {
  assert.deepEqual(all([200, 204, 302, 400, 404, 408, 429, 499], http), ['success']);
  assert.deepEqual(all([0, 3, 5, 6, 7, 8, 9, 10, 11, 12, 16], grpc), ['success']);
});

test('failures of the server and of what lies before it are told apart', () => {
  assert.deepEqual(all([500, 501, 505, 599], http), ['server-error']);
  assert.deepEqual(all([502, 503, 504], http), ['gateway-error']);
  assert.deepEqual(all([2, 13, 15], grpc), ['server-error']);
  assert.deepEqual(all([4, 14], grpc), ['gateway-error']);
  assert.equal(tryResultOf(undefined, 503, 0), 'gateway-error');
});

test('a caller that gave up says nothing', () => {
  assert.equal(http(0), 'cancelled');
  assert.equal(grpc(1), 'cancelled');
});

test('every error counts against the instance exactly when the called side is at fault', () => {
  for (const code of errorCodes) {
    const result = tryResultOf(code, ERRORS[code].httpStatus, undefined);
    const { origin } = ERRORS[code];
    if (origin === 'peer') assert.equal(result, 'cancelled', code);
    if (origin === 'policy') assert.ok(result === 'cancelled' || code === 'RATE_LIMITED', code);
    if (origin === 'upstream' && code !== 'NO_HEALTHY_INSTANCE') assert.ok(result === 'local-error' || result === 'gateway-error', code);
  }
});
