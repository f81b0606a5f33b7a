// Names of the mesh by DNS, from both planes on real sockets: what each answers, and that a data plane answers on while the control plane
// is away, killed as a process.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RunningControl, startControl } from '@heddle/control';
import type { ProxyDnsSettings, RunningProxy } from '@heddle/proxy';
import { nodeClock, nodeDatagrams, nodeRandom } from '@heddle/runtime/node';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import {
  application,
  type Certificate,
  certificateOf,
  Cleanup,
  type ControlRef,
  host,
  joinToken,
  LOOPBACK,
  machine,
  meshOf,
  proxy as dataPlane,
  registerInstance,
  silent,
  temporaryDirectory,
  untilReady,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';

const MESH = `
mesh: test
services:
  echo: { port: 80, health: { http: /healthz, interval: 500ms, timeout: 500ms } }
  idle: { port: 81 }
  cache: { port: 6379, protocol: tcp }
`;

function resolverAt(place: { readonly address: string; readonly port: number } | undefined): Resolver {
  assert.ok(place !== undefined, 'names are served');
  // Some tests wait for names that come by and by: each query once.
  const resolver = new Resolver({ timeout: 3_000, tries: 1 });
  resolver.setServers([`${place.address}:${place.port}`]);
  return resolver;
}

function proxyDns(over: Partial<ProxyDnsSettings> = {}): ProxyDnsSettings {
  return {
    listen: { address: LOOPBACK, port: 0 },
    answers: 'virtual',
    forward: 'off',
    datagrams: nodeDatagrams,
    resolvConf: () => undefined,
    ...over,
  };
}

/** The code of the error with which a lookup fails. */
async function failure(looking: Promise<unknown>): Promise<string> {
  return looking.then(
    (found) => `found ${JSON.stringify(found)}`,
    (error: NodeJS.ErrnoException) => error.code ?? String(error),
  );
}

async function places(resolver: Resolver, name: string): Promise<string[]> {
  return (await resolver.resolveSrv(name)).map(({ name: target, port, weight }) => `${target} ${port} ${weight}`).sort();
}

describe('DNS of both planes', () => {
  const cleanup = new Cleanup();
  let running: RunningControl;
  let proxy: RunningProxy;
  let certificate: Certificate;
  let control: Resolver;
  let plane: Resolver;
  before(async () => {
    running = await startControl({
      ...{ mesh: meshOf(MESH), stateDir: await temporaryDirectory(cleanup), listen: { address: LOOPBACK, port: 0 } },
      dns: { listen: { address: LOOPBACK, port: 0 }, answers: 'instances', forward: 'off' },
      ...{ logger: silent, clock: nodeClock, random: nodeRandom },
    });
    cleanup.add(() => running.close());
    proxy = await machine(cleanup, running, { node: 'machine', dns: proxyDns() });
    certificate = await certificateOf(running, 'echo');
    control = resolverAt(running.dns);
    plane = resolverAt(proxy.dns);
    await registerInstance(cleanup, running, certificate, {
      id: 'echo-1',
      service: 'echo',
      inbound: { address: '10.9.0.1', port: 15_006 },
    });
    await registerInstance(cleanup, running, certificate, { id: 'echo-6', service: 'echo', inbound: { address: 'fd00::6', port: 15_007 } });
    await untilReady(proxy);
    await waitFor('the instances at the data plane', async () => (await plane.resolve4('echo-1.echo.default.mesh.internal')).length === 1);
  });
  after(() => cleanup.run());

  it('gives the addresses of instances, and each instance a name', async () => {
    assert.deepEqual(await control.resolve4('echo.mesh.internal'), ['10.9.0.1']);
    assert.deepEqual(await control.resolve6('echo'), ['fd00::6']);
    assert.equal(await failure(control.resolve4('idle.mesh.internal')), 'ENODATA');
    for (const resolver of [control, plane]) {
      assert.deepEqual(await resolver.resolve4('Echo-1.echo.DEFAULT.mesh.internal'), ['10.9.0.1']);
      assert.deepEqual(await resolver.reverse('10.9.0.1'), ['echo-1.echo.default.mesh.internal']);
      assert.deepEqual(await resolver.reverse('fd00::6'), ['echo-6.echo.default.mesh.internal']);
      assert.equal(await failure(resolver.resolve4('nobody.mesh.internal')), 'ENOTFOUND');
      assert.equal(await failure(resolver.resolve4('default.mesh.internal')), 'ENODATA');
      assert.equal(await failure(resolver.resolve4('example.com')), 'EREFUSED');
    }
  });

  it('gives the virtual address at a data plane, the same that capture uses', async () => {
    const [address = ''] = await plane.resolve4('echo');
    assert.match(address, /^2[45]\d\./);
    assert.deepEqual(await plane.reverse(address), ['echo.default.mesh.internal']);
    assert.deepEqual(await control.reverse(address), ['echo.default.mesh.internal']);
    assert.equal(await failure(plane.resolve6('echo')), 'ENODATA');
    assert.deepEqual(await places(plane, '_http._tcp.echo'), ['echo.default.mesh.internal 80 0']);
    assert.deepEqual(await places(plane, '_tcp._tcp.cache'), ['cache.default.mesh.internal 6379 0']);
  });

  it('gives the places of instances with their weights', async () => {
    assert.deepEqual(await places(control, '_http._tcp.echo.default'), [
      'echo-1.echo.default.mesh.internal 15006 1',
      'echo-6.echo.default.mesh.internal 15007 1',
    ]);
  });

  it('follows what changes: instances that come and go, services too', async () => {
    const deregister = await registerInstance(cleanup, running, certificate, {
      ...{ id: 'echo-2', service: 'echo', inbound: { address: '10.9.0.2', port: 15_006 } },
    });
    assert.deepEqual((await control.resolve4('echo')).sort(), ['10.9.0.1', '10.9.0.2']);
    await waitFor('the new instance at the data plane', async () => (await plane.resolve4('echo-2.echo.mesh.internal')).length === 1);
    await deregister();
    assert.deepEqual(await control.resolve4('echo'), ['10.9.0.1']);
    assert.equal(await failure(control.resolve4('echo-2.echo.mesh.internal')), 'ENOTFOUND');
    await waitFor('its end there', async () => (await failure(plane.resolve4('echo-2.echo.mesh.internal'))) === 'ENOTFOUND');
    await running.setMesh(meshOf(`${MESH}  fresh: { port: 82 }\n`));
    assert.equal(await failure(control.resolve4('fresh')), 'ENODATA');
    await waitFor('the new service at the data plane', async () => (await plane.resolve4('fresh')).length === 1);
  });

  it('gives instances at a data plane too, when that is wanted, and needs no shared HTTP proxy for it', async () => {
    const token = await joinToken(running, 'operator', 'heddle-system');
    const other = await dataPlane(cleanup, running, { node: 'other', joinToken: token, dns: proxyDns({ answers: 'instances' }) });
    await untilReady(other);
    const resolver = resolverAt(other.dns);
    assert.deepEqual(await resolver.resolve4('echo'), ['10.9.0.1']);
    assert.deepEqual(await places(resolver, '_http._tcp.echo'), [
      'echo-1.echo.default.mesh.internal 15006 1',
      'echo-6.echo.default.mesh.internal 15007 1',
    ]);
  });
});

describe('a control plane that is killed', () => {
  const cleanup = new Cleanup();
  after(() => cleanup.run());

  it('leaves data planes that answer on', async () => {
    const directory = await temporaryDirectory(cleanup);
    await writeFile(join(directory, 'heddle.yaml'), MESH);
    const state = join(directory, '.heddle');
    const args = ['control', '-f', 'heddle.yaml', '--state-dir', state, '--listen', `${LOOPBACK}:0`, '--dns-listen', `${LOOPBACK}:0`];
    const child = spawn(process.execPath, heddleArguments(...args, '--dns-forward', 'off', '--rest-listen', 'off'), {
      ...{ cwd: directory, stdio: 'ignore' },
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    cleanup.add(() => child.kill('SIGKILL'));
    const text = (...name: readonly string[]): string => readFileSync(join(state, ...name), 'utf8').trim();
    const running = await waitFor('the control plane', (): ControlRef & Pick<RunningControl, 'dns'> => {
      const address = JSON.parse(text('control.json')) as Pick<RunningControl, 'address' | 'port' | 'trustDomain' | 'dns'>;
      return { ...address, rootsPem: text('ca', 'root.pem'), operatorToken: text('operator.token') };
    });
    const control = resolverAt(running.dns);
    const proxy = await machine(cleanup, running, { node: 'machine', dns: proxyDns() });
    const echo = await application(cleanup, 'echo-1');
    await host(proxy, running, 'echo-1', echo.port);
    const plane = resolverAt(proxy.dns);
    await waitFor('the instance in DNS', async () => (await control.resolve4('echo')).length === 1);
    const name = 'echo-1.echo.default.mesh.internal';
    await waitFor('the instance at the data plane', async () => (await plane.resolve4(name)).length === 1);
    child.kill('SIGKILL');
    await ended;
    assert.equal(await failure(control.resolve4('echo')), 'ECONNREFUSED');
    assert.equal((await plane.resolve4('echo')).length, 1);
    assert.deepEqual(await plane.resolve4(name), [LOOPBACK]);
    assert.deepEqual(await places(plane, '_http._tcp.echo'), ['echo.default.mesh.internal 80 0']);
    assert.deepEqual(await plane.resolvePtr('1.0.0.127.in-addr.arpa'), [name]);
    assert.equal(await failure(plane.resolve4('nobody.mesh.internal')), 'ENOTFOUND');
  });
});
