import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headersOf } from './headers.ts';

test('headers are read one a line, and a line that is none is named', () => {
  assert.deepEqual(headersOf('X-User: ann\n\n x-at : 12:30 \nx-empty:'), { 'x-user': 'ann', 'x-at': '12:30', 'x-empty': '' });
  assert.throws(() => headersOf('a: b\nno header'), /line 2 of the headers/);
});
