import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayAskForUnknownKey, nextKeysMs, nextTryMs, tokenTimes } from './refresh.ts';

test('keys are asked for again before they are too old, at times that are spread', () => {
  assert.equal(
    nextKeysMs(1_000, 600_000, undefined, () => 0),
    601_000,
  );
  assert.equal(
    nextKeysMs(1_000, 600_000, undefined, () => 1),
    481_000,
  );
  assert.equal(
    nextKeysMs(0, 600_000, 60_000, () => 0),
    60_000,
    'sooner, where the issuer says so',
  );
  assert.equal(
    nextKeysMs(0, 600_000, 0, () => 0),
    30_000,
  );
  assert.equal(
    nextKeysMs(0, 600_000, 86_400_000, () => 0),
    600_000,
  );
});

test('questions that failed are repeated later and later, never at once and never after more than 15 s', () => {
  const waits = [1, 2, 3, 20].map((failures) => nextTryMs(0, failures, () => 0));
  assert.deepEqual(waits, [250, 500, 1_000, 7_500]);
  assert.equal(
    nextTryMs(0, 20, () => 1),
    15_000,
  );
});

test('an unknown key is a reason to ask once in 30 s', () => {
  assert.ok(mayAskForUnknownKey(undefined, 5));
  assert.ok(!mayAskForUnknownKey(1_000, 30_999));
  assert.ok(mayAskForUnknownKey(1_000, 31_000));
});

test('a token is renewed while there is time to try again, and not used to its very end', () => {
  const { renewMs, endMs } = tokenTimes(0, 3_600_000, () => 0);
  assert.equal(endMs, 3_590_000);
  assert.equal(renewMs, 2_692_500);
  assert.equal(tokenTimes(0, 3_600_000, () => 1).renewMs, 2_154_000);
  assert.equal(tokenTimes(0, 10_000, () => 0).endMs, 9_000, 'short lives are used, too');
  assert.equal(tokenTimes(0, undefined, () => 0).endMs, 290_000);
  assert.equal(tokenTimes(0, 1e15, () => 0).endMs, 86_390_000);
});
