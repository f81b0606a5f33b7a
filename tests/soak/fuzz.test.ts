// The short form of `npm run soak -- fuzz`, always with the same dice: a running proxy among hostile clients and hostile instances.
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { type FuzzReport, runFuzz } from './fuzz.ts';

const SECONDS = 12;

describe('a proxy among hostile clients and hostile instances', () => {
  let report: FuzzReport;
  const said: string[] = [];
  before(async () => {
    const say = (line: string): void => void said.push(line);
    report = await runFuzz({ seed: 7, seconds: SECONDS, atOnce: 50, clientsPerSecond: 80, requestsPerSecond: 3, isPatient: false, say });
  });

  it('lives, and finds no fault of its own', () => {
    assert.ok(report.isAlive, said.join('\n'));
    assert.deepEqual([report.faults, report.internalFaults], [[], 0]);
  });

  it('answers every honest request as it should', () => {
    assert.deepEqual(report.failures, []);
    assert.ok(report.answered > 0);
  });

  it('was attacked in every way', () => {
    const kinds = ['flood', 'mutated', 'noise', 'noise after HTTP/1.1', 'noise after HTTP/2', 'nothing', 'right'];
    assert.deepEqual(Object.keys(report.byKind).sort(), kinds);
    assert.ok(report.hostileUpstreamConnections > 0);
  });

  it('holds nothing once they are gone', () => {
    assert.deepEqual(report.held, {});
  });
});
