import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLogger, createMetrics } from '@heddle/runtime/node';
import type { LogLevel } from '@heddle/runtime/node';
import { AccessLines, AccessRecord } from './access-record.ts';
import type { DecidedRequest } from './access-record.ts';
import type { Context } from './context.ts';

const REQUEST: DecidedRequest = {
  sourceIdentity: '',
  peerAddress: '10.0.0.1',
  method: 'GET',
  path: `/${'x'.repeat(600)}?token=secret`,
  authority: 'orders',
  issuer: '',
};

function setting(level: LogLevel) {
  const lines: Record<string, unknown>[] = [];
  const metrics = createMetrics();
  const logger = createLogger({ level, format: 'json', destination: { write: (text) => void lines.push(JSON.parse(text) as never) } });
  let nowMs = 0;
  const context = { metrics, logger, clock: { nowMs: () => nowMs, wallMs: () => nowMs } } as unknown as Context;
  const record = new AccessRecord(context, new AccessLines(context), 'inbound', 'default/orders');
  return { lines, metrics, record, pass: (ms: number) => (nowMs += ms) };
}

describe('the record of access decisions', () => {
  it('writes some lines of a flood, counts the others, and says how many were left out', () => {
    const { lines, metrics, record, pass } = setting('info');
    for (let count = 0; count < 1_000; count++) record.told('denied', 'default', '', 'no rule allows it', REQUEST);
    assert.equal(lines.length, 200);
    assert.match(metrics.expose(), /by="default",decision="denied",[^}]*rule=""\} 1000/);
    assert.match(metrics.expose(), /heddle_access_log_suppressed_total 800/);
    pass(50);
    record.told('denied', 'rule', 'r', 'rule "r"', REQUEST);
    assert.deepEqual([lines.length, lines.at(-1)?.['leftOut'], lines.at(-1)?.['rule']], [201, 800, 'r']);
  });

  it('says nothing of queries, and not all of long paths', () => {
    const { lines, record } = setting('info');
    record.told('would-deny', 'rule', 'r', 'rule "r"', REQUEST);
    const [{ path, source, level } = {}] = lines;
    assert.deepEqual([String(path).length, source, level], [513, 'unknown', 30]);
    assert.doesNotMatch(JSON.stringify(lines), /secret/);
  });

  it('writes what is allowed at level debug only', () => {
    for (const [level, count] of [
      ['info', 0],
      ['debug', 1],
    ] as const) {
      const { lines, record, metrics } = setting(level);
      record.allowed('r', REQUEST);
      assert.equal(lines.length, count);
      assert.match(metrics.expose(), /by="rule",decision="allowed",[^}]*rule="r"\} 1/);
    }
  });

  it('tells only so many rules apart, however often they change', () => {
    const { metrics, record } = setting('silent');
    for (let count = 0; count < 3_000; count++) record.allowed(`rule ${count}`, REQUEST);
    for (let count = 0; count < 3_000; count++) record.told('denied', 'rule', `rule ${count}`, '', REQUEST);
    const series = metrics.expose().match(/^heddle_access_decisions_total\{/gm)!.length;
    assert.equal(series, 4_002);
    assert.match(metrics.expose(), /by="rule",decision="allowed",[^}]*rule="other"\} 1000/);
  });
});
