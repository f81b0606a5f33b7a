import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Confirmation } from '@heddle/api';
import { TRUST_BUNDLE } from '@heddle/core';
import { ManualClock } from '../testing/clock.ts';
import { TrustFollowers, type TrustStream } from './trust-followers.ts';

interface Made {
  readonly follows?: boolean;
  readonly answer?: Confirmation;
  readonly hasAnswered?: boolean;
  readonly flavour?: TrustStream['flavour'];
}

function stream(node: string, { follows = true, answer = 'yes', hasAnswered = true, flavour = 'heddle' }: Made = {}): TrustStream {
  const names = new Set(follows ? [TRUST_BUNDLE] : []);
  return {
    ...{ node, flavour, identity: `id of ${node}` },
    session: { hasAnswered, confirms: () => answer, subscription: (kind) => (kind === 'secret' ? { wildcard: false, names } : undefined) },
  };
}

function followers(open: readonly TrustStream[], nodes: readonly string[] = [], clock = new ManualClock()): TrustFollowers {
  return new TrustFollowers({ streams: () => open, versions: () => ['v1'], nodes, clock });
}

test('who follows the bundle is waited for until it acknowledges', () => {
  const { dataPlanes, acknowledged, stragglers, identities } = followers([
    stream('c', { answer: 'refused' }),
    stream('a'),
    stream('b', { answer: 'unacknowledged' }),
    stream('', { answer: 'unacknowledged' }),
    stream('grpc', { follows: false, flavour: 'grpc' }),
  ]).progress();
  assert.deepEqual([dataPlanes, acknowledged], [3, 1]);
  assert.deepEqual(stragglers, [
    { node: 'b', reason: 'unacknowledged' },
    { node: 'c', reason: 'refused' },
  ]);
  assert.ok(identities.has('id of a') && !identities.has('id of grpc'));
});

test('one of ours that has just connected may still go by what it had', () => {
  const fresh = stream('a', { follows: false, hasAnswered: false });
  assert.deepEqual(followers([fresh]).progress().stragglers, [{ node: 'a', reason: 'unacknowledged' }]);
});

test('who was there before, or lost its stream, counts for a while, unless it is back', () => {
  const clock = new ManualClock();
  const open: TrustStream[] = [];
  const trust = followers(open, ['early'], clock);
  trust.ended(stream('gone'));
  trust.ended(stream('grpc', { follows: false }));
  const waitedFor = (): string[] => trust.progress().stragglers.map(({ node, reason }) => `${node} ${reason}`);
  assert.deepEqual(waitedFor(), ['early disconnected', 'gone disconnected']);
  open.push(stream('gone'));
  assert.deepEqual(waitedFor(), ['early disconnected']);
  clock.advance(15_000);
  assert.deepEqual(waitedFor(), []);
});
