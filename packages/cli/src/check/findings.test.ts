// What counts as wrong, of facts that a healthy mesh does not show.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { VERSION } from '../version.ts';
import { clockFinding } from './clocks.ts';
import { renewalFinding, versionFinding } from './control.ts';
import type { Finding } from './finding.ts';
import { checkNames } from './names.ts';
import { checkPorts } from './ports.ts';
import { connectionFinding } from './proxy.ts';
import { diskFinding } from './state-directory.ts';

function assertFailed(finding: Finding | undefined, detail: RegExp): void {
  assert.equal(finding?.result, 'failed');
  assert.match(finding.detail, detail);
  assert.ok(finding.why !== '' && finding.mend !== '', JSON.stringify(finding));
}

test('a clock is wrong when it is further off than the question took and than certificates bear', () => {
  assertFailed(clockFinding('clock', -45_000, 100), /45\.0 s behind/);
  assertFailed(clockFinding('clock', 31_000, 0), /31\.0 s ahead/);
  assert.equal(clockFinding('clock', 31_000, 5_000).result, 'ok');
});

test('versions are of one kind, but for data planes that others wrote', () => {
  const proxies = [
    { node: 'a', userAgent: `heddle ${VERSION}` },
    { node: 'b', userAgent: 'envoy 1.30.0' },
  ];
  assert.equal(versionFinding(VERSION, proxies).result, 'ok');
  assertFailed(versionFinding(VERSION, [...proxies, { node: 'c', userAgent: 'heddle 0.0.1' }]), /c is 0\.0\.1/);
  assertFailed(versionFinding('9.9.9', []), new RegExp(`is 9\\.9\\.9, this command is ${VERSION}`));
});

test('a renewal is overdue when the newest certificate of a service that runs is near its end', () => {
  const id = 'spiffe://shop/ns/default/svc/orders';
  const instances = [{ service: { namespace: 'default', name: 'orders' } }];
  const [old, young] = [
    { id, issuedMs: 0, notAfterMs: 1_000 },
    { id, issuedMs: 500, notAfterMs: 1_500 },
  ];
  assertFailed(renewalFinding([old], instances, 800), /orders/);
  assert.equal(renewalFinding([young, old], instances, 800).result, 'ok');
  assert.equal(renewalFinding([old], [], 800).result, 'ok');
});

test('a proxy without a connection, or whose configuration nobody confirms, goes by what it had', () => {
  assertFailed(connectionFinding('heddle_control_connected 0\nheddle_config_age_seconds 7\n'), /no connection.*7 s ago/);
  assertFailed(connectionFinding('heddle_control_connected 1\nheddle_config_age_seconds 900\n'), /15 min ago/);
  assert.equal(connectionFinding('heddle_control_connected 1\nheddle_config_age_seconds 1\n').result, 'ok');
});

test('a disk has room for bytes and for files', () => {
  assertFailed(diskFinding({ freeBytes: 1_048_576, files: 10_000, freeFiles: 9_000 }, '/state'), /1 MiB/);
  assertFailed(diskFinding({ freeBytes: 1e12, files: 10_000, freeFiles: 3 }, '/state'), /3 more files/);
  assert.equal(diskFinding({ freeBytes: 1e12, files: 0, freeFiles: 0 }, '/state'), undefined);
});

test('ports of a mesh that runs answer, and so do its names', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const info = { address: '127.0.0.1', port, pid: 1, mesh: 'm', trustDomain: 'm' };
  assert.equal((await checkPorts(info, undefined)).result, 'ok');
  server.close();
  await once(server, 'close');
  assertFailed(await checkPorts(info, undefined), new RegExp(`control plane, port ${port}: nobody listens`));
  assertFailed(await checkNames({ ...info, dns: { address: '127.0.0.1', port } }, 'a.default.mesh.internal'), /does not answer/);
  assert.equal((await checkNames(info, undefined)).result, 'notice');
});
