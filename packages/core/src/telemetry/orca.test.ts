import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readOrca, readOrcaBinary } from './orca.ts';

/** Protobuf by hand. */
function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = (field << 3) | 1;
  bytes.writeDoubleLE(value, 1);
  return bytes;
}

function bytesField(field: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | 2, content.length]), content]);
}

function named(name: string, value: number): Buffer {
  return bytesField(8, Buffer.concat([bytesField(1, Buffer.from(name)), double(2, value)]));
}

const REPORT = { utilization: 0.7, requestsInFlight: 12, eventLoopDelayMs: 3.5 };

describe('the load that a server reports with a response', () => {
  test('is read in each of the three forms', () => {
    const text = 'cpu_utilization=0.7, named_metrics.requests_in_flight=12,named_metrics.event_loop_delay_ms=3.5,named_metrics.other=9';
    assert.deepEqual(pick(readOrca(`TEXT ${text}`)), REPORT);
    const json = { cpu_utilization: 0.7, named_metrics: { requests_in_flight: 12, event_loop_delay_ms: 3.5 }, mem_utilization: 0.1 };
    assert.deepEqual(pick(readOrca(`JSON ${JSON.stringify(json)}`)), REPORT);
    const camel = { cpuUtilization: 0.7, namedMetrics: { requests_in_flight: 12, event_loop_delay_ms: '3.5' } };
    assert.deepEqual(pick(readOrca(`json ${JSON.stringify(camel)}`)), REPORT);
    const binary = [double(1, 0.7), named('requests_in_flight', 12), double(6, 100), named('event_loop_delay_ms', 3.5), named('x', 1)];
    // A field that nobody knows, of each kind that there is.
    const unknown = Buffer.from([0xf8, 0x01, 0x96, 0x01, 0xfd, 0x01, 1, 2, 3, 4]);
    assert.deepEqual(pick(readOrcaBinary(Buffer.concat([...binary, unknown]).toString('base64'))), REPORT);
  });

  test("prefers the application's own measure to the processor's, in any order", () => {
    for (const text of ['cpu_utilization=0.2,application_utilization=1.4', 'application_utilization=1.4,cpu_utilization=0.2'])
      assert.equal(readOrca(`TEXT ${text}`)?.utilization, 1.4);
    assert.equal(readOrca('JSON {"cpu_utilization":0.2,"application_utilization":1.4}')?.utilization, 1.4);
    const binary = Buffer.concat([double(9, 1.4), double(1, 0.2)]).toString('base64');
    assert.equal(readOrcaBinary(binary)?.utilization, 1.4);
  });

  test('says nothing where a number means nothing', () => {
    assert.equal(readOrca('TEXT cpu_utilization=-1')?.utilization, undefined);
    assert.equal(readOrca('TEXT cpu_utilization=Infinity')?.utilization, undefined);
    assert.equal(readOrca('JSON {"cpu_utilization":"much"}')?.utilization, undefined);
  });

  test('is no report when it cannot be read', () => {
    for (const value of [
      '',
      'TEXT',
      'TEXT ',
      'TEXT a',
      'TEXT a=',
      'TEXT a=b',
      'XML <a/>',
      'JSON {',
      'JSON []',
      'JSON 1',
      `TEXT a=${'1'.repeat(5_000)}`,
    ])
      assert.equal(readOrca(value), undefined, value);
    for (const bytes of [[0x09, 1], [0x0a, 5, 1], [0x08, 0x80], [0x0d, 1], [0x0c]])
      assert.equal(readOrcaBinary(Buffer.from(bytes).toString('base64')), undefined, String(bytes));
  });

  test('never throws, whatever an application sends', () => {
    fc.assert(fc.property(fc.string(), (value) => void readOrca(`TEXT ${value}`)));
    fc.assert(fc.property(fc.json(), (value) => void readOrca(`JSON ${value}`)));
    fc.assert(fc.property(fc.uint8Array(), (value) => void readOrcaBinary(Buffer.from(value).toString('base64'))));
  });
});

function pick(report: ReturnType<typeof readOrca>): object {
  const { utilization, requestsInFlight, eventLoopDelayMs } = report!;
  return { utilization, requestsInFlight, eventLoopDelayMs };
}
