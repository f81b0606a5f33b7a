// How evidence about an instance becomes one verdict.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Evidence } from './verdict.ts';
import { mergeVerdicts, verdictReasons } from './verdict.ts';

const well: Evidence = { leaseAlive: true, draining: false, check: { state: 'healthy', reason: 'checks pass' }, detectors: [] };

describe('the verdict about an instance', () => {
  it('is healthy when nothing speaks against it', () => {
    assert.deepEqual(mergeVerdicts(well), { health: 'healthy', reason: 'checks pass' });
  });

  it('is starting before the first report and before the first pass', () => {
    assert.deepEqual(mergeVerdicts({ ...well, check: undefined }), { health: 'starting', reason: 'its data plane has not reported yet' });
    assert.equal(mergeVerdicts({ ...well, check: { state: 'starting', reason: 'no check has ended yet' } }).health, 'starting');
  });

  it('is unhealthy on the word of one detector, and healthy again when that detector says so', () => {
    const report = { name: 'watchdog', healthy: false, reason: 'disk full' };
    assert.deepEqual(mergeVerdicts({ ...well, detectors: [report] }), { health: 'unhealthy', reason: 'watchdog reports: disk full' });
    assert.equal(mergeVerdicts({ ...well, detectors: [{ ...report, healthy: true }] }).health, 'healthy');
  });

  it('names every reason', () => {
    const verdict = mergeVerdicts({
      leaseAlive: false,
      draining: true,
      check: { state: 'unhealthy', reason: 'checks fail: answered 503' },
      detectors: [{ name: 'watchdog', healthy: false, reason: '' }],
    });
    assert.deepEqual(verdict, {
      health: 'draining',
      reason: 'it is leaving; its data plane stopped sending heartbeats; checks fail: answered 503; watchdog reports: unhealthy',
    });
  });

  it('lists all evidence for people, the worst first', () => {
    const evidence: Evidence = {
      leaseAlive: true,
      draining: false,
      check: { state: 'healthy', reason: 'checks pass' },
      detectors: [
        { name: 'watchdog', healthy: true, reason: '' },
        { name: 'pager', healthy: false, reason: 'disk full' },
      ],
    };
    assert.deepEqual(verdictReasons(evidence), [
      { source: 'report', detector: 'pager', health: 'unhealthy', text: 'pager reports: disk full' },
      { source: 'lease', health: 'healthy', text: 'its data plane sends heartbeats' },
      { source: 'check', health: 'healthy', text: 'checks pass' },
      { source: 'report', detector: 'watchdog', health: 'healthy', text: 'watchdog reports: healthy' },
    ]);
    assert.deepEqual(
      verdictReasons({ leaseAlive: false, draining: true, check: undefined, detectors: [] }).map(({ source, health }) => [source, health]),
      [
        ['draining', 'draining'],
        ['lease', 'unhealthy'],
      ],
    );
  });

  it('is healthy exactly when every piece of evidence is good (property)', () => {
    const evidence = fc.record({
      leaseAlive: fc.boolean(),
      draining: fc.boolean(),
      check: fc.option(
        fc.record({ state: fc.constantFrom('starting' as const, 'healthy' as const, 'unhealthy' as const), reason: fc.string() }),
        { nil: undefined },
      ),
      detectors: fc.array(fc.record({ name: fc.string(), healthy: fc.boolean(), reason: fc.string() }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(evidence, (candidate) => {
        const good =
          candidate.leaseAlive &&
          !candidate.draining &&
          candidate.check?.state === 'healthy' &&
          candidate.detectors.every((detector) => detector.healthy);
        const verdict = mergeVerdicts(candidate);
        assert.equal(verdict.health === 'healthy', good);
        const reasons = verdictReasons(candidate);
        assert.equal(reasons[0]?.health, verdict.health);
        assert.ok(reasons.some(({ health, text }) => health === verdict.health && verdict.reason.includes(text)));
      }),
    );
  });
});
