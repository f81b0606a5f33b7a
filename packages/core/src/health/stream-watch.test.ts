import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffBoundMs, RECONNECT_BACKOFF } from '../resilience/index.ts';
import { Patience, STREAM_WATCH, StreamWatch } from './stream-watch.ts';

const POLICY = { connectMs: 300, quietMs: 200, answerMs: 100 };

test('a peer that never says a word is given up after the time for connecting', () => {
  const watch = new StreamWatch(POLICY, 1_000);
  assert.equal(watch.handleTimeout(1_299), undefined);
  assert.equal(watch.handleTimeout(1_300), 'replace');
});

test('a silent peer is asked, and given up when it does not answer', () => {
  const watch = new StreamWatch(POLICY, 0);
  watch.heard(50);
  assert.equal(watch.handleTimeout(249), undefined);
  assert.equal(watch.handleTimeout(250), 'ask');
  watch.asked(250);
  assert.equal(watch.handleTimeout(349), undefined);
  assert.equal(watch.handleTimeout(350), 'replace');
});

test('an answer, or anything else that comes, begins the silence anew', () => {
  const watch = new StreamWatch(POLICY, 0);
  watch.heard(0);
  watch.asked(200);
  watch.heard(299);
  assert.equal(watch.dueMs, 499);
  assert.equal(watch.handleTimeout(499), 'ask');
});

test('what is asked while the connection is being made does not lengthen the wait for the first word', () => {
  const watch = new StreamWatch(POLICY, 0);
  watch.asked(10);
  assert.equal(watch.dueMs, 300);
});

test('when this process itself stood still, the peer gets a little more time, once', () => {
  const watch = new StreamWatch(POLICY, 0);
  watch.heard(0);
  watch.asked(200);
  assert.equal(watch.handleTimeout(60_000), undefined, 'the answer may lie in the socket');
  assert.equal(watch.dueMs, 61_000);
  assert.equal(watch.handleTimeout(62_000), 'replace');
  watch.heard(62_001);
  watch.asked(62_201);
  assert.equal(watch.handleTimeout(70_000), undefined, 'once for each silence');
});

test('with the times in use a dead stream has a successor within 5 seconds', () => {
  const firstPauseMs = backoffBoundMs(RECONNECT_BACKOFF, 0);
  assert.ok(STREAM_WATCH.quietMs + STREAM_WATCH.answerMs + firstPauseMs < 5_000);
  // After a long outage: an attempt that was under way when the network came back, and the longest pause.
  assert.ok(STREAM_WATCH.connectMs + RECONNECT_BACKOFF.maxMs <= 5_000);
});

test('patience grows with each silence, has an end, and is back to normal after a calm while', () => {
  const patience = new Patience(POLICY);
  const answers: number[] = [];
  for (let lapses = 0; lapses < 6; lapses++) {
    answers.push(patience.policy.answerMs);
    patience.lapsed();
  }
  assert.deepEqual(answers, [100, 200, 400, 800, 800, 800]);
  assert.equal(patience.policy.connectMs, POLICY.connectMs);
  assert.equal(patience.calmed(14_999), false);
  assert.equal(patience.policy.answerMs, 800);
  assert.equal(patience.calmed(15_000), true);
  assert.deepEqual(patience.policy, POLICY);
  assert.equal(patience.calmed(20_000), false, 'nothing changes any more');
});
