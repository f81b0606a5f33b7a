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
      assert.deepEqual(Object.keys(byInstance).sort(), ['echo-1', 'echo-2', 'echo-3'], name);
    }
    // How much each gets from one client is up to the balancer, which goes by how fast they answer; all together leave none out.
    const clients = Object.values(report.clients);
    const sum = (count: (client: (typeof clients)[number]) => number): number => clients.reduce((all, client) => all + count(client), 0);
    for (const instance of ['echo-1', 'echo-2', 'echo-3'])
      assert.ok(sum(({ byInstance }) => byInstance[instance] ?? 0) > sum(({ sent }) => sent) / 50, JSON.stringify(report.clients));
    // Each restart was one: a process of its own.
    assert.deepEqual(report.processes, { 'echo-1': 5, 'echo-2': 5, 'echo-3': 5 });
  });
});
