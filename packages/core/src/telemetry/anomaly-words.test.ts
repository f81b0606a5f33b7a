import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shiftMessage } from './anomaly-words.ts';

const at = Date.UTC(2026, 0, 31, 12, 3, 10);
const where = { windowMs: 30_000, sinceMs: at };

test('a shift says what, how much, since when, which part, and what changed', () => {
  const part = { kind: 'instance', name: 'orders-3', share: 0.918, parts: 3 } as const;
  const change = { timeMs: at - 12_000, what: 'default/orders/orders-3 instance-registered' };
  assert.equal(
    shiftMessage({ signal: 'p99', state: 'began', before: 24, now: 211.3, windows: 2 }, { ...where, part, change }),
    'latency (p99) rose from 24 ms to 211 ms (8.8 times) since 12:03:10 UTC; mostly instance orders-3: 92 % of the slow requests, one of 3; shortly before, at 12:02:58 UTC: default/orders/orders-3 instance-registered',
  );
  assert.equal(
    shiftMessage({ signal: 'errors', state: 'began', before: 0, now: 0.244, windows: 2 }, where),
    'share of errors rose from 0 % to 24 % since 12:03:10 UTC',
  );
  assert.equal(
    shiftMessage({ signal: 'traffic', state: 'began', before: 600, now: 60, windows: 2 }, { ...where, part: { ...part, kind: 'caller' } }),
    'traffic fell from 20 requests/s to 2 requests/s (to 10 %) since 12:03:10 UTC; mostly by caller orders-3: 92 % of what is missing, one of 3',
  );
});

test('its end says for how long it was, and how far', () => {
  assert.equal(
    shiftMessage({ signal: 'p50', state: 'ended', before: 24, now: 2_600, windows: 8 }, where),
    'latency (p50) as usual again (24 ms) after 4 min; farthest off: 2.6 s',
  );
  assert.match(
    shiftMessage({ signal: 'p50', state: 'settled', before: 24, now: 90, windows: 120 }, where),
    /at 90 ms for 60 min: .* was 24 ms$/,
  );
  assert.match(shiftMessage({ signal: 'errors', state: 'lost', before: 0, now: 0.5, windows: 3 }, where), /up to 50 % instead of 0 %/);
});
