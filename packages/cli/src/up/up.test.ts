import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { MeshConfig } from '@heddle/core';
import { parseMeshFile } from '@heddle/core/config';
import { certificateFinding } from '../check/proxy.ts';
import { PLAIN } from '../output/palette.ts';
import { processEnvironment } from './environment.ts';
import { readUpInfo, UpLock } from './lock.ts';
import { livenessAfterMs, planMesh, stopOrder } from './plan.ts';
import { listenProblem, PortAllocator, portHolder, requireFreePorts } from './ports.ts';
import { readyBlock } from './ready.ts';

function meshOf(services: string): MeshConfig {
  const { mesh, problems } = parseMeshFile(`mesh: test\nservices:\n${services}`, { path: '/test/heddle.yaml' });
  assert.deepEqual(problems, []);
  return mesh!;
}

const SHOP = meshOf(`
  web: { port: 1, run: web, replicas: 2, uses: [catalog, orders] }
  catalog: { port: 2, run: catalog, uses: [pricing] }
  orders: { port: 3, run: orders, replicas: 3, uses: [] }
  pricing: { port: 4, run: pricing, needs: [python3, fortran], uses: [orders] }
  bank: { port: 5, uses: [] }
`);
const PLAN = planMesh(SHOP, (program) => program === 'python3');

describe('the plan', () => {
  it('names every instance, what is left out and why, and what others start', () => {
    assert.deepEqual(
      PLAN.instances.map(({ workload }) => workload),
      [
        'default/web/web-1',
        'default/web/web-2',
        'default/catalog/catalog-1',
        'default/orders/orders-1',
        'default/orders/orders-2',
        'default/orders/orders-3',
      ],
    );
    assert.deepEqual(
      PLAN.leftOut.map(({ config, missing }) => [config.service.name, missing]),
      [['pricing', ['fortran']]],
    );
    assert.deepEqual(
      PLAN.external.map(({ service }) => service.name),
      ['bank'],
    );
  });

  it('stops callers before those they call, and circles together', () => {
    assert.deepEqual(stopOrder(SHOP.services), [
      ['default/web', 'default/bank'],
      ['default/catalog'],
      ['default/pricing'],
      ['default/orders'],
    ]);
    const circle = meshOf('  a: { port: 1, uses: [b] }\n  b: { port: 2, uses: [a, c] }\n  c: { port: 3, uses: [] }\n');
    assert.deepEqual(stopOrder(circle.services), [['default/a', 'default/b', 'default/c']]);
  });

  it('gives an unhealthy instance three times its detection time, at least ten seconds', () => {
    const { services } = meshOf(
      '  a: { port: 1, health: { interval: 5s, unhealthyAfter: 4 } }\n  b: { port: 2, health: { interval: 1s } }\n',
    );
    assert.deepEqual(services.map(livenessAfterMs), [60_000, 10_000]);
  });
});

describe('the environment of a process', () => {
  const place = {
    service: { namespace: 'default', name: 'web' },
    instance: 'web-1',
    application: { address: '127.0.0.1', port: 20_001 },
    outbounds: [{ service: { namespace: 'default', name: 'user-accounts' }, listen: { address: '127.0.0.1', port: 20_002 } }],
    httpProxy: 'http://secret@127.0.0.1:15001',
  };

  it('says where to listen, where others are and who it is', () => {
    assert.deepEqual(processEnvironment({ PATH: '/bin' }, { LOG: 'x', HEDDLE_LOAD_REPORTS: 'off' }, place), {
      PATH: '/bin',
      LOG: 'x',
      HEDDLE_LOAD_REPORTS: 'off',
      HOST: '127.0.0.1',
      PORT: '20001',
      HEDDLE_SERVICE: 'web',
      HEDDLE_NAMESPACE: 'default',
      HEDDLE_INSTANCE: 'web-1',
      HTTP_PROXY: place.httpProxy,
      http_proxy: place.httpProxy,
      NO_PROXY: 'localhost,127.0.0.1,::1',
      no_proxy: 'localhost,127.0.0.1,::1',
      USER_ACCOUNTS_URL: 'http://127.0.0.1:20002',
      USER_ACCOUNTS_HOST: '127.0.0.1',
      USER_ACCOUNTS_PORT: '20002',
    });
  });

  it('holds back what is nobody else’s to see', () => {
    assert.equal(processEnvironment({ HEDDLE_JOIN_TOKEN: 'secret' }, {}, place)['HEDDLE_JOIN_TOKEN'], undefined);
  });
});

describe('ports', () => {
  const server = createServer();
  before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  after(() => server.close());

  it('that are in use are named with their option and their holder', { skip: process.platform !== 'linux' }, async () => {
    const { port } = server.address() as AddressInfo;
    assert.equal(portHolder(port)?.pid, process.pid);
    await assert.rejects(
      requireFreePorts('127.0.0.1', [{ what: 'the HTTP proxy', flag: '--proxy-port', port }]),
      (error: Error & { mend?: string }) => {
        assert.match(error.message, new RegExp(`^port ${port}, needed for the HTTP proxy, is in use by process ${process.pid} \\(`));
        assert.match(error.mend ?? '', /--proxy-port/);
        return true;
      },
    );
  });

  it('that are given twice are wrong usage', async () => {
    const needed = [
      { what: 'one', flag: '--one', port: 1_234 },
      { what: 'two', flag: '--two', port: 1_234 },
    ];
    await assert.rejects(requireFreePorts('127.0.0.1', needed), /--one and --two are both 1234/);
  });

  it('are handed out once each, and are free', async () => {
    const allocator = new PortAllocator('127.0.0.1', Math.random);
    const ports = await Promise.all(Array.from({ length: 50 }, () => allocator.take()));
    assert.equal(new Set(ports).size, 50);
    assert.deepEqual(await Promise.all(ports.map((port) => listenProblem('127.0.0.1', port))), Array(50).fill(undefined));
  });
});

it('one `heddle up` holds a state directory, the next is told who', () => {
  const directory = mkdtempSync(join(tmpdir(), 'heddle-lock-'));
  try {
    const info = { pid: 4_711, proxyPort: 1, adminPort: 2 };
    const lock = UpLock.take(directory, info);
    assert.deepEqual(readUpInfo(directory), info);
    assert.throws(() => UpLock.take(directory, info), /another `heddle up` \(process 4711\) runs with the state directory/);
    lock.release();
    UpLock.take(directory, info).release();
    assert.equal(readUpInfo(directory), undefined);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

it('the ready block shows services, addresses and things to try with real values', () => {
  const instances = PLAN.instances.map(({ id, config }, index) => ({
    service: config.service.name,
    id,
    pid: 100 + index,
    healthy: id !== 'web-2',
    reason: 'is not healthy: nothing listens',
  }));
  const facts = {
    mesh: SHOP,
    instances,
    leftOut: new Map([['pricing', ['fortran']]]),
    stateDirectory: '/s',
    controlPort: 1,
    dnsPort: 5,
    proxyPort: 2,
    adminPort: 3,
    restPort: 4,
    dashboardLink: 'http://127.0.0.1:4/#login=x',
    command: './heddle',
    commandOptions: '',
  };
  const text = readyBlock(facts, PLAIN);
  assert.match(text, /except for 1 of 6 instances:\n {2}web-2 is not healthy: nothing listens/);
  assert.match(text, /pricing +4 +http +0\/0 +left out: needs fortran/);
  assert.match(text, /bank .*started by somebody else/);
  assert.match(text, /curl -x http:\/\/127\.0\.0\.1:2 http:\/\/orders\.mesh\.internal\//);
  assert.match(text, /REST API +http:\/\/127\.0\.0\.1:4\/api\/v1\//);
  assert.doesNotMatch(readyBlock({ ...facts, restPort: undefined }, PLAIN), /REST/);
  assert.match(text, /names by DNS +127\.0\.0\.1:5 /);
  assert.doesNotMatch(readyBlock({ ...facts, dnsPort: undefined }, PLAIN), /DNS/);
  assert.match(text, /kill -9 105 +# orders-3/);
  assert.match(text, /127\.0\.0\.1:4\/#login=x +# the dashboard: this link logs you in once/);
  assert.match(readyBlock({ ...facts, dashboardLink: '' }, PLAIN), /\.\/heddle dashboard +# prints a link/);
  assert.match(readyBlock({ ...facts, restPort: undefined }, PLAIN), /\.\/heddle get instances --watch/);
});

it('certificates are read from the metrics of the proxy', () => {
  const nowMs = 1_000_000_000_000;
  const line = (name: string, workload: string, value: number): string => `heddle_identity_${name}{workload="${workload}"} ${value}\n`;
  const fine = line('expiry_timestamp_seconds', 'default/web/web-1', nowMs / 1_000 + 3_600) + line('overdue', 'default/web/web-1', 0);
  assert.equal(certificateFinding(fine, nowMs).result, 'ok');
  assert.match(certificateFinding(fine + line('overdue', 'default/web/web-2', 1), nowMs).detail, /web-2/);
  assert.match(certificateFinding(line('expiry_timestamp_seconds', 'default/web/web-3', 0), nowMs).detail, /web-3/);
});
