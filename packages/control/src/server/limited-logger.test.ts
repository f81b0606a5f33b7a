// Warnings that callers cause: enough to see what is wrong, never so many that the disk fills.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFields, Logger } from '@heddle/runtime';
import { ManualClock } from '../testing/clock.ts';
import { silent } from '../testing/mesh.ts';
import { limitedLogger } from './limited-logger.ts';

test('of warnings that say the same about one method ten are written in ten seconds, and then how many were left out', () => {
  const clock = new ManualClock();
  const lines: [LogFields, string][] = [];
  const errors: string[] = [];
  const inner: Logger = {
    ...silent,
    warn: (fields, message) => void lines.push([fields, message]),
    error: (_fields, message) => void errors.push(message),
  };
  const logger = limitedLogger(inner, clock);
  for (let index = 0; index < 50; index += 1) {
    logger.warn({ method: '/a/B', index }, 'call refused');
    logger.error({ index }, 'a fault of our own');
  }
  logger.warn({ method: '/a/C' }, 'call refused');
  logger.warn({}, 'connection refused');
  assert.equal(lines.length, 12);
  assert.equal(errors.length, 50);
  clock.advance(10_000);
  logger.warn({ method: '/a/B' }, 'call refused');
  logger.warn({ method: '/a/B' }, 'call refused');
  assert.deepEqual(lines.slice(12), [
    [{ method: '/a/B', suppressed: 40 }, 'call refused'],
    [{ method: '/a/B' }, 'call refused'],
  ]);
});
