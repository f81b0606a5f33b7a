// Refused handshakes are all counted, and told without filling the log.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from './ports/clock.ts';
import type { LogFields, Logger } from './ports/logger.ts';
import { metricsOf } from '@heddle/core';
import { createMetrics } from './node/metrics.ts';
import { TlsRefusals } from './tls-refusals.ts';

const REFUSED = metricsOf('proxy').counter('refused_total', 'Refused.', 'reason');

test('one line for each reason in ten seconds, with the number of those left out; who only knocks is told at debug', () => {
  let nowMs = 0;
  const lines: [level: string, fields: LogFields][] = [];
  const logger = {
    debug: (fields: LogFields) => void lines.push(['debug', fields]),
    warn: (fields: LogFields) => void lines.push(['warn', fields]),
  } as unknown as Logger;
  const metrics = createMetrics();
  const refusals = new TlsRefusals({
    clock: { nowMs: () => nowMs } as Clock,
    logger,
    message: 'refused',
    fields: { listener: 'l' },
    counterOf: (reason) => metrics.counter(REFUSED, { reason }),
  });
  for (let count = 0; count < 5; count++) refusals.add('expired', { peer: `p${count}` }, 'it has ended');
  refusals.add('closed', { peer: 'q' }, 'hung up');
  nowMs = 9_999;
  refusals.add('expired', { peer: 'p5' }, 'it has ended');
  nowMs = 10_000;
  refusals.add('expired', { peer: 'p6' }, 'it has ended');
  const told = { listener: 'l', reason: 'expired', detail: 'it has ended' };
  assert.deepEqual(lines, [
    ['warn', { ...told, peer: 'p0' }],
    ['debug', { listener: 'l', peer: 'q', reason: 'closed', detail: 'hung up' }],
    ['warn', { ...told, peer: 'p6', moreSinceLast: 5 }],
  ]);
  assert.equal(refusals.total, 8);
  assert.match(metrics.expose(), /refused_total\{reason="expired"\} 7/);
});
