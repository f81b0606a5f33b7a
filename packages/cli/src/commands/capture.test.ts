// What `heddle capture` says where it cannot do its work. `tests/integration/capture.test.ts` lets it work.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { explain, notRun, requireLinux } from './capture-nft.ts';
import { capturedUser, capturedWorkload } from './capture-options.ts';
import { leadsToVirtualNetwork } from './capture-route.ts';

test('what the kernel refuses is told with what to do about it', () => {
  const mend = (stderr: string): string => explain(stderr, 'the rules cannot be installed').mend ?? '';
  assert.match(mend('Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed'), /as root.*--dry-run/);
  assert.match(mend('/dev/stdin:5:1-2: Error: Could not process rule: Operation not supported'), /nft_chain_nat/);
  assert.match(mend('netlink: Error: cache initialization failed: Protocol not supported'), /nf_tables/);
  assert.match(mend('Error: syntax error, unexpected counter'), /1\.0 or newer/);
  assert.throws(() => requireLinux('darwin'), /on Linux only, and this is darwin/);
  requireLinux('linux');
  const missing = notRun(Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' }));
  assert.deepEqual([missing.message, missing.mend?.startsWith('apt-get install nftables ')], ['nft is not installed', true]);
});

describe('a route to virtual addresses', () => {
  const table = (...lines: readonly string[]): string =>
    `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n${lines.join('\n')}\n`;
  const eth = 'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0';
  test('is the default route, or one for the network', () => {
    assert.ok(leadsToVirtualNetwork(table('eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0', eth), true));
    assert.ok(leadsToVirtualNetwork(table('lo\t000000F0\t00000000\t0001\t0\t0\t0\t000000F0\t0\t0\t0'), true));
    assert.ok(leadsToVirtualNetwork(table('lo\tF0000000\t00000000\t0001\t0\t0\t0\tF0000000\t0\t0\t0'), false));
  });
  test('is none to another network, that is down, that rejects, or that leads to a part', () => {
    assert.ok(!leadsToVirtualNetwork(table(), true));
    assert.ok(!leadsToVirtualNetwork(table(eth), true));
    assert.ok(!leadsToVirtualNetwork(table('eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0'), true));
    assert.ok(!leadsToVirtualNetwork(table('*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0'), true));
    assert.ok(!leadsToVirtualNetwork(table('lo\t000000F0\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0'), true));
  });
});

test('workloads and users are read one after another', () => {
  assert.deepEqual(capturedWorkload('a/b/c-1', capturedWorkload('all')), ['all', 'a/b/c-1']);
  assert.deepEqual(capturedUser('a/b/c.1=7', capturedUser('0')), [{ uid: 0 }, { workload: 'a/b/c.1', uid: 7 }]);
  for (const text of ['', 'a', 'a/b', 'a/b/c/d', 'a/b/', 'a/b/c d', 'ALL'])
    assert.throws(() => capturedWorkload(text), /NAMESPACE\/SERVICE\/INSTANCE/);
  for (const text of ['', 'root', '-1', '1.5', '=1', 'a/b=1', 'a/b/c=', '4294967295']) assert.throws(() => capturedUser(text), /UID/, text);
});
