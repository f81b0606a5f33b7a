// What a log line looks like in both forms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from './logger.ts';

function record(options: object): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  return { lines, logger: createLogger({ ...options, destination: { write: (line) => void lines.push(line) } }) };
}

test('JSON lines carry fields, level and the error with its stack', () => {
  const { lines, logger } = record({ format: 'json', name: 'proxy' });
  logger.child({ instance: 'orders-1' }).error({ error: new Error('boom') }, 'it broke');
  logger.debug({}, 'not shown');
  assert.equal(lines.length, 1);
  const line = JSON.parse(lines[0]!) as {
    level: number;
    name: string;
    instance: string;
    msg: string;
    error: { message: string; stack: string };
    time: string;
  };
  assert.deepEqual([line.level, line.name, line.instance, line.msg, line.error.message], [50, 'proxy', 'orders-1', 'it broke', 'boom']);
  assert.match(line.error.stack, /logger\.test/);
  assert.match(line.time, /^\d{4}-\d\d-\d\dT/);
});

test('pretty lines are one line each, for people', () => {
  const { lines, logger } = record({ format: 'pretty', level: 'debug', name: 'proxy' });
  logger.warn({ instance: 'orders-1', reason: 'checks fail: answered 503', count: 3, error: new Error('boom') }, 'instance is unhealthy');
  assert.match(
    lines[0]!,
    /^\d\d:\d\d:\d\d\.\d{3} WARN {2}proxy: instance is unhealthy instance=orders-1 reason="checks fail: answered 503" count=3 error="boom"\n$/,
  );
});

test('a destination that cannot be written to does not throw', () => {
  const logger = createLogger({ format: 'json', destination: 9_999 });
  logger.info({}, 'into the void');
});
