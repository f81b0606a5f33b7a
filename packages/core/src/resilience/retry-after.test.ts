import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatRetryAfter, parseRetryAfter, parseRetryPushback } from './retry-after.ts';

const NOW_MS = Date.UTC(1994, 10, 6, 8, 49, 30);

test('retry-after is seconds, or a date in any of the three forms of RFC 9110 §5.6.7', () => {
  assert.equal(parseRetryAfter('120', NOW_MS), 120_000);
  assert.equal(parseRetryAfter('0', NOW_MS), 0);
  for (const date of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
    assert.equal(parseRetryAfter(date, NOW_MS), 7_000, date);
});

test('a date that has passed asks for no wait', () => {
  assert.equal(parseRetryAfter('Sun, 06 Nov 1994 08:00:00 GMT', NOW_MS), 0);
});

test('what is neither is as if it were not there', () => {
  for (const value of ['', '-1', '1.5', '1s', 'soon', '1994-11-06', 'Sun, 06 Nov 1994', 'Sun, 99 Xyz 1994 08:49:37 GMT', '12345678901'])
    assert.equal(parseRetryAfter(value, NOW_MS), undefined, value);
});

test('a pushback that is no number of milliseconds forbids the retry (gRFC A6)', () => {
  assert.equal(parseRetryPushback('250'), 250);
  for (const value of ['-1', '', 'x', '1.5']) assert.equal(parseRetryPushback(value), Infinity, value);
});

test('what we ask for is whole seconds, never too short', () => {
  assert.deepEqual([0, 1, 1_000, 1_001, 59_999].map(formatRetryAfter), ['1', '1', '1', '2', '60']);
});
