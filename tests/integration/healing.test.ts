// What breaks between a data plane and the control plane heals by itself within 5 seconds, without a restart of anything: streams that fall
// silent, connections whose other end is gone, a control plane that stands still or comes back with older data, a data plane that slept.
import assert from 'node:assert/strict';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { discovery } from '@heddle/api';
import type { RunningProxy } from '@heddle/proxy';
import { ControlProcess } from '../support/control-process.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import {
  adminCall,
  application,
  call,
  certificateOf,
  Cleanup,
  connectedProxies,
  control,
  type ControlRef,
  deregister,
  healthyEndpoints,
  host,
  instances,
  joinToken,
  LOOPBACK,
  machine,
  metric,
  proxy,
  registerInstance,
  SMALL_MESH,
  temporaryDirectory,
  through,
  untilEndpoints,
  untilReady,
  watchOnce,
  workloads,
} from '../support/planes.ts';
import { ProxyProcess } from '../support/proxy-process.ts';
import { waitFor } from '../support/wait.ts';

/** What is promised, and as much again for a machine that runs everything else at the same time. */
const HEALS_MS = 2 * 5_000;

interface Site {
  readonly relay: FaultProxy;
  readonly dataPlane: RunningProxy;
  /** What the data plane hosts. */
  readonly instance: string;
}

/** A data plane that reaches the control plane over a relay of its own, and hosts one instance of echo. */
async function site(cleanup: Cleanup, plane: ControlRef, name: string): Promise<Site> {
  const relay = await FaultProxy.start(cleanup, plane);
  const over = { ...plane, port: relay.port };
  const dataPlane = await machine(cleanup, over, { node: name });
  const instance = `echo-${name.length}${name.charCodeAt(0)}`;
  const app = await application(cleanup, instance);
  await host(dataPlane, plane, instance, app.port);
  await untilReady(dataPlane);
  await waitFor('registered', async () => (await workloads(dataPlane))[0]?.registered === true);
  return { relay, dataPlane, instance };
}

/** Another instance of web at the control plane, of which the data plane has to hear. */
async function change(cleanup: Cleanup, plane: ControlRef, id: string): Promise<() => Promise<void>> {
  return registerInstance(cleanup, plane, await certificateOf(plane, 'web'), { id, service: 'web' });
}

async function hears(dataPlane: RunningProxy, id: string): Promise<void> {
  await waitFor(`${id} at the data plane`, async () => (await healthyEndpoints(dataPlane, 'web')).includes(id), HEALS_MS);
}

describe('healing', { concurrency: true }, () => {
  describe('streams that fall silent', { concurrency: true }, () => {
    const cleanup = new Cleanup();
    let plane: Awaited<ReturnType<typeof control>>;
    before(async () => {
      plane = await control(cleanup);
    });
    after(() => cleanup.run());

    for (const [what, ...directions] of [
      ['in both directions', 'up', 'down'],
      ['towards the control plane', 'up'],
      ['towards the data plane', 'down'],
    ] as const) {
      test(`connections that swallow everything ${what} are replaced, and nothing of them is left`, async () => {
        const name = `silent-${directions.join('-')}`;
        const { relay, dataPlane, instance } = await site(cleanup, plane, name);
        const before = relay.accepted;
        relay.strand(...directions);
        await change(cleanup, plane, `web-${directions.length}${directions[0]}`);
        await hears(dataPlane, `web-${directions.length}${directions[0]}`);
        await waitFor('the dead connections to be dropped', () => relay.stranded === 0, HEALS_MS);
        // The stream and the registration, each on a connection of its own.
        await waitFor('new connections', () => relay.accepted >= before + 2, HEALS_MS);
        await waitFor('registered', async () => (await workloads(dataPlane))[0]?.registered === true, HEALS_MS);
        assert.equal((await instances(plane)).get(instance)?.health, discovery.Health.HEALTH_HEALTHY);
        assert.ok((await metric(dataPlane, 'heddle_control_stream_restarts_total', 'stream="configuration"')) >= 1);
        assert.ok((await metric(dataPlane, 'heddle_config_age_seconds')) < 5);
      });
    }

    test('a network that carries nothing for a while, on new connections neither, is forgiven when it carries again', async () => {
      const { relay, dataPlane } = await site(cleanup, plane, 'blackhole');
      relay.swallow('up', 'down');
      await change(cleanup, plane, 'web-dark');
      await waitFor('the loss to be noticed', async () => (await metric(dataPlane, 'heddle_control_connected')) === 0);
      const tried = relay.accepted;
      await waitFor('another try', () => relay.accepted > tried);
      assert.ok((await metric(dataPlane, 'heddle_config_age_seconds')) > 1);
      assert.ok(!(await healthyEndpoints(dataPlane, 'web')).includes('web-dark'));
      relay.swallow();
      await hears(dataPlane, 'web-dark');
      await waitFor('registered', async () => (await workloads(dataPlane))[0]?.registered === true, HEALS_MS);
    });
  });

  describe('a control plane that is a process of its own', { concurrency: 1 }, () => {
    const cleanup = new Cleanup();
    let process: ControlProcess;
    let plane: ControlRef;
    let there: Site;
    before(async () => {
      process = new ControlProcess(cleanup, await temporaryDirectory(cleanup));
      plane = await process.start(SMALL_MESH);
      there = await site(cleanup, plane, 'front');
    });
    after(() => cleanup.run());

    const isConnected = async (): Promise<boolean> => (await metric(there.dataPlane, 'heddle_control_connected')) === 1;

    /** The data planes keep their address, which leads to the new process. */
    async function startAgain(yaml: string): Promise<void> {
      plane = await process.start(yaml);
      there.relay.leadTo(plane);
    }

    test('that stands still and goes on is followed again', async () => {
      process.signal('SIGSTOP');
      await waitFor('the loss to be noticed', async () => !(await isConnected()));
      process.signal('SIGCONT');
      await change(cleanup, plane, 'web-stopped');
      await hears(there.dataPlane, 'web-stopped');
      await waitFor('registered', async () => (await workloads(there.dataPlane))[0]?.registered === true, HEALS_MS);
    });

    test('that is killed while something in between keeps the connections open is left for its successor', async () => {
      there.relay.hold(true);
      await process.end('SIGKILL');
      assert.ok(await isConnected(), 'nobody has told');
      await startAgain(SMALL_MESH);
      there.relay.hold(false);
      await change(cleanup, plane, 'web-held');
      await hears(there.dataPlane, 'web-held');
    });

    test('that comes back with older data is believed, and what lives registers again', async () => {
      const files = ['registry.sqlite', 'registry.sqlite-wal'];
      const backup = await temporaryDirectory(cleanup);
      await change(cleanup, plane, 'web-old');
      await hears(there.dataPlane, 'web-old');
      await process.end();
      const kept = new Map<string, Buffer>();
      for (const file of files)
        await readFile(join(process.stateDir, file)).then(
          (bytes) => kept.set(file, bytes),
          () => {},
        );
      for (const [file, bytes] of kept) await writeFile(join(backup, file), bytes);

      // The mesh goes on: a new service, new instances, one that leaves, one more at the data plane.
      await startAgain(`${SMALL_MESH}  late: { port: 82 }\n`);
      await change(cleanup, plane, 'web-new');
      await deregister(plane, 'web', 'web-old');
      const second = await application(cleanup, 'echo-999');
      await host(there.dataPlane, plane, 'echo-999', second.port);
      await untilEndpoints(there.dataPlane, 'echo', [there.instance, 'echo-999'].sort());
      await waitFor('the new service', async () => (await clusters(there.dataPlane)).includes('outbound/default/late'));
      await waitFor('its absence', async () => !(await healthyEndpoints(there.dataPlane, 'web')).includes('web-old'));
      const { revision, history } = await watchOnce(plane, { revision: 0, history: '' });

      await process.end('SIGKILL');
      for (const file of [...files, 'registry.sqlite-shm']) await rm(join(process.stateDir, file), { force: true });
      for (const file of kept.keys()) await copyFile(join(backup, file), join(process.stateDir, file));
      await startAgain(SMALL_MESH);

      await waitFor(
        'the older data at the data plane',
        async () => (await healthyEndpoints(there.dataPlane, 'web')).includes('web-old'),
        HEALS_MS,
      );
      assert.ok(!(await healthyEndpoints(there.dataPlane, 'web')).includes('web-new'), 'nobody holds it any more');
      await waitFor(
        'the end of the newer service',
        async () => !(await clusters(there.dataPlane)).includes('outbound/default/late'),
        HEALS_MS,
      );
      // What was registered after the backup lives, and says so.
      await waitFor('both instances', async () => (await healthyEndpoints(there.dataPlane, 'echo')).length === 2, HEALS_MS);
      await waitFor('every registration', async () => (await workloads(there.dataPlane)).every(({ registered }) => registered), HEALS_MS);
      // The data plane may have kept what it knew from before for a moment: what counts is that both come to say the same.
      await waitFor(
        'the data plane to know what is registered',
        async () => {
          const registered = [...(await instances(plane)).values()].map(({ service, id }) => `${service}/${id}`).sort();
          const known = [];
          for (const service of ['cache', 'echo', 'web'])
            known.push(...(await healthyEndpoints(there.dataPlane, service)).map((id) => `${service}/${id}`));
          return registered.includes('echo/echo-999') && isDeepStrictEqual(known.sort(), registered);
        },
        HEALS_MS,
      );
      const [connected] = (await connectedProxies(plane)).filter(({ node }) => node === 'front');
      assert.ok(connected?.sync.every(({ rejection }) => rejection === ''));
      // Who watches by revision is told to begin anew instead of waiting for a future that has been.
      await assert.rejects(watchOnce(plane, { revision, history }), /OUT_OF_RANGE/);
    });
  });

  describe('a data plane that slept', () => {
    const cleanup = new Cleanup();
    after(() => cleanup.run());

    test('beyond its certificate, its lease and its stream has all of them again when it wakes', async () => {
      const plane = await control(cleanup, { certificateTtlMs: 4_000 });
      const directory = await temporaryDirectory(cleanup);
      const options = ['--control', `${plane.address}:${plane.port}`, '--state-dir', directory, '--node', 'laptop', '--outbound-port', '0'];
      const laptop = new ProxyProcess(directory, [...options, '--dns-port', 'off', '--workers', '1'], {
        HEDDLE_JOIN_TOKEN: await joinToken(plane, 'operator', 'heddle-system'),
      });
      cleanup.add(() => laptop.kill());
      await waitFor('the proxy', () => laptop.lines('data plane is up').length > 0);
      const app = await application(cleanup, 'echo-1');
      const body = {
        joinToken: await joinToken(plane, 'echo'),
        application: { address: LOOPBACK, port: app.port },
        inbound: { address: LOOPBACK, port: 0 },
        outbounds: [],
      };
      assert.equal((await laptop.ask('/workloads/default/echo/echo-1', 'PUT', body)).status, 200);
      const workload = async () => ((await (await laptop.ask('/workloads')).json()) as { workloads: Slept[] }).workloads[0] as Slept;
      await laptop.ready();
      await waitFor('its registration', async () => (await workload()).registered);
      await waitFor('its health', async () => (await instances(plane)).get('echo-1')?.health === discovery.Health.HEALTH_HEALTHY);

      const { certificateNotAfterMs } = await workload();
      globalThis.process.kill(laptop.pid, 'SIGSTOP');
      await deregister(plane, 'echo', 'echo-1');
      await waitFor('the control plane to notice', async () => (await connectedProxies(plane)).length === 0);
      // All of its certificates: it may have renewed one just before.
      await waitFor('the end of its certificates', () => Date.now() > certificateNotAfterMs + 3_000);
      await change(cleanup, plane, 'web-slept');
      globalThis.process.kill(laptop.pid, 'SIGCONT');

      await waitFor(
        'a new registration',
        async () => (await instances(plane)).get('echo-1')?.health === discovery.Health.HEALTH_HEALTHY,
        HEALS_MS,
      );
      await waitFor(
        'what happened meanwhile',
        async () => JSON.stringify(await (await laptop.ask('/config_dump')).json()).includes('"web-slept"'),
        HEALS_MS,
      );
      const woken = await workload();
      assert.deepEqual([woken.registered, woken.certificate === 'expired', woken.problem], [true, false, '']);
      assert.ok(woken.certificateNotAfterMs > Date.now());
      assert.ok(laptop.lines('the certificate had ended and has been renewed').length >= 2, "its own and the workload's");
      assert.equal(laptop.log.filter(({ msg }) => msg.includes('cannot join')).length, 0);
    });
  });

  describe('a data plane that starts while the control plane is away', () => {
    const cleanup = new Cleanup();
    after(() => cleanup.run());

    test('serves with what its predecessor kept, says so, and follows again later', async () => {
      const stateDir = await temporaryDirectory(cleanup);
      const plane = await control(cleanup, { stateDir });
      const back = await machine(cleanup, plane, { node: 'back' });
      const app = await application(cleanup, 'echo-1');
      await host(back, plane, 'echo-1', app.port);
      const options = {
        node: 'front',
        identityDirectory: await temporaryDirectory(cleanup),
        joinToken: await joinToken(plane, 'operator', 'heddle-system'),
        anonymousCalls: true,
      };
      const first = await proxy(cleanup, plane, { ...options, outboundProxy: { address: LOOPBACK, port: 0 } });
      await untilReady(first, back);
      await untilEndpoints(first, 'echo', ['echo-1']);
      await first.stop();
      await plane.close();

      const second = await proxy(cleanup, plane, { ...options, ...(first.outboundProxy && { outboundProxy: first.outboundProxy }) });
      assert.match(second.missing().join(), /control plane/);
      await untilReady(second);
      assert.equal((await call({ proxy: through(second), url: 'http://echo.mesh.internal/' })).name, 'echo-1');
      const { source, ageSeconds } = await syncOf(second);
      assert.ok(source === 'cache' && ageSeconds > 1);
      assert.ok((await metric(second, 'heddle_config_age_seconds')) > 1);

      const again = await control(cleanup, { stateDir, port: plane.port });
      await change(cleanup, again, 'web-later');
      await hears(second, 'web-later');
      assert.equal((await syncOf(second)).source, 'control');
      assert.equal((await call({ proxy: through(second), url: 'http://echo.mesh.internal/' })).name, 'echo-1');
    });
  });

  describe('a data plane that doubts', () => {
    const cleanup = new Cleanup();
    after(() => cleanup.run());

    test('asks again when connections to instances that are called healthy fail', async () => {
      const plane = await control(cleanup);
      // With workers: they see the failures, and their primary asks.
      const dataPlane = await machine(cleanup, plane, { node: 'doubting', processes: { workers: 2, logLevel: 'silent' } });
      await change(cleanup, plane, 'web-dead');
      await untilReady(dataPlane);
      await untilEndpoints(dataPlane, 'web', ['web-dead']);
      assert.equal(await metric(dataPlane, 'heddle_config_distrust_total'), 0);
      const applied = async (): Promise<number> =>
        Date.parse((await syncOf(dataPlane)).kinds.find(({ kind }) => kind === 'endpoints')?.applied ?? '');
      const before = await applied();
      for (let calls = 0; calls < 5; calls++) {
        const { status } = await call({ proxy: through(dataPlane), url: 'http://web.mesh.internal/' });
        assert.equal(status, 503);
      }
      await waitFor('the question', async () => (await metric(dataPlane, 'heddle_config_distrust_total', 'action="ask"')) === 1);
      await waitFor('the answer', async () => (await applied()) > before);
      assert.equal(await metric(dataPlane, 'heddle_config_distrust_total', 'action="compare"'), 0);
    });
  });
});

interface Slept {
  readonly registered: boolean;
  readonly certificate: string;
  readonly certificateNotAfterMs: number;
  readonly problem: string;
}

async function clusters(of: RunningProxy): Promise<string[]> {
  const dump = (await (await adminCall(of, 'GET', '/config_dump')).json()) as { clusters: { name: string }[] };
  return dump.clusters.map(({ name }) => name);
}

interface Sync {
  readonly source: string;
  readonly ageSeconds: number;
  readonly kinds: readonly { readonly kind: string; readonly applied: string | null }[];
}

async function syncOf(of: RunningProxy): Promise<Sync> {
  return (await (await adminCall(of, 'GET', '/sync')).json()) as Sync;
}
