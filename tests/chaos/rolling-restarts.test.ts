// Restarting one instance after the other under a steady load loses no request: neither one that may not be sent twice, nor one under way.
// `npm run soak -- restarts` is the same, a thousand times.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runRestarts } from './support/restarts.ts';

const COUNT = 15;

describe('rolling restarts under load', () => {
  it('fail no request, of any client, by any proxy', async () => {
    const report = await runRestarts({ count: COUNT, requestsPerSecond: 240, say: () => {} });
    const failures = Object.values(report.clients).flatMap(({ failures: kept }) => kept);
    assert.deepEqual(failures, []);
    for (const [name, { sent, answered, byInstance }] of Object.entries(report.clients)) {
      assert.equal(answered, sent, name);
      assert.ok(sent > 150, `${name}: ${sent} requests in ${report.seconds} s`);
      for (const [instance, count] of Object.entries(byInstance))
        assert.ok(count > sent / 50, `${name}: ${instance} answered ${count} of ${sent}`);
      assert.deepEqual(Object.keys(byInstance).sort(), ['echo-1', 'echo-2', 'echo-3']);
    }
    // Each restart was one: a process of its own.
    assert.deepEqual(report.processes, { 'echo-1': 5, 'echo-2': 5, 'echo-3': 5 });
  });
});
