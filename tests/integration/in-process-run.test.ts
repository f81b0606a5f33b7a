// Applications as people write them, under `heddle run`: their data planes are inside them, and they know nothing of it.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { heddleArguments } from '../../packages/cli/src/testing/command.ts';
import { node24Program } from '../interop/support/node-program.ts';
import { reason } from '../interop/support/programs.ts';
import { Cleanup } from '../support/planes.ts';
import { freePorts } from '../support/ports.ts';
import { healthOf, type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';

const APPS = fileURLToPath(new URL('../fixtures/apps/', import.meta.url));
const MESH = `
mesh: test
services:
  front: { port: 8081, run: exec {{ECHO}}, uses: [] }
  web: { port: 80, uses: [], health: { interval: 500ms, timeout: 400ms } }
  stock: { port: 80, uses: [], health: { http: /healthz, interval: 500ms, timeout: 400ms } }
  prices: { port: 50051, protocol: grpc, uses: [], health: { interval: 500ms, timeout: 400ms } }
`;

interface Run {
  readonly child: ChildProcess;
  output(): string;
  readonly ended: Promise<number | null>;
}

const node24 = await node24Program();
const cleanup = new Cleanup();
let mesh: RunningMesh;
before(async () => {
  mesh = await startUp(MESH);
  cleanup.add(() => mesh.stop());
});
after(() => cleanup.run());

function heddleRun(service: string, instance: string, command: readonly string[], options: readonly string[] = []): Run {
  const given = ['--service', service, '--instance', instance, '--inbound-port', '0', '--state-dir', mesh.stateDirectory, ...options];
  const child = spawn(process.execPath, heddleArguments('run', ...given, '--', ...command), {
    cwd: mesh.directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => void (text += part));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  cleanup.add(async () => {
    if (child.exitCode === null) child.kill('SIGINT');
    await ended;
  });
  return { child, output: () => text, ended };
}

interface Quote {
  readonly stock: object;
  readonly price: object;
  readonly history: readonly number[];
  readonly isOneGrpc: boolean;
  readonly node: string;
}

async function quoteOf(port: number): Promise<Quote> {
  const response = await fetch(`http://127.0.0.1:${port}/quote/apple`);
  // Applications that start together do not know one another at once.
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Quote;
}

const QUOTE = {
  stock: {
    item: 'apple',
    left: 5,
    askedBy: 'spiffe://test/ns/default/svc/web',
    shop: 'the shop of spiffe://test/ns/default/svc/stock',
  },
  price: { item: 'apple', cents: 500, askedBy: 'spiffe://test/ns/default/svc/web', left: 5 },
  history: [1, 2, 3],
  isOneGrpc: true,
};

describe('applications of express, fastify and grpc-js under heddle run', () => {
  it('call one another through the mesh without a change, ES modules and CommonJS', async () => {
    const [port = 0, admin = 0] = await freePorts(2);
    const node = process.execPath;
    const web = heddleRun('web', 'web-1', [node, `${APPS}web.mjs`], ['--port', String(port), '--admin-port', String(admin)]);
    const others = [
      heddleRun('stock', 'stock-1', [node, `${APPS}stock.cjs`]),
      heddleRun('prices', 'prices-1', [node, `${APPS}prices.cjs`]),
    ];
    const said = (): string => [web, ...others].map(({ output }) => output()).join('\n');
    const quote = await waitFor('a quote', () => quoteOf(port)).catch((error: Error) => {
      throw new Error(`${error.message}\n${said()}`);
    });
    assert.deepEqual(quote, { ...QUOTE, node: process.versions.node });
    assert.match(web.output(), /web-1 runs \(process \d+\) with its data plane inside/);

    // What looks at proxies sees these data planes as well.
    const proxies = await mesh.heddle('get', 'proxies', '-o', 'json');
    const nodes = (JSON.parse(proxies.stdout) as { node: string }[]).map((proxy) => proxy.node);
    assert.ok(
      ['web-1', 'stock-1', 'prices-1'].every((name) => nodes.includes(name)),
      proxies.stdout,
    );
    const explained = await mesh.heddle(
      'explain',
      'GET',
      'http://stock.mesh.internal/',
      '--from',
      'web',
      '--proxy',
      `127.0.0.1:${admin}`,
      '--node',
      'web-1',
    );
    assert.equal(explained.code, 0, explained.stdout + explained.stderr);
    assert.match(explained.stdout, /stock-1/);
  });

  it('do so on the oldest Node that is supported', { skip: typeof node24 !== 'string' && reason(node24.reason) }, async () => {
    if (typeof node24 !== 'string') throw new Error(node24.reason);
    const [port = 0] = await freePorts(1);
    const web = heddleRun('web', 'web-24', [node24, `${APPS}web.mjs`], ['--port', String(port), '--in-process']);
    const quote = await waitFor('a quote', () => quoteOf(port)).catch((error: Error) => {
      throw new Error(`${error.message}\n${web.output()}`);
    });
    assert.match(quote.node, /^24\./);
    assert.deepEqual({ ...quote, node: '' }, { ...QUOTE, node: '' });
  });

  it('are started again when they crash, which the mesh learns at once, and are in the mesh again', async () => {
    const [admin = 0] = await freePorts(1);
    const run = heddleRun('stock', 'stock-2', [process.execPath, `${APPS}stock.cjs`], ['--admin-port', String(admin)]);
    const healthy = async (): Promise<boolean> =>
      (await mesh.instances()).some(({ instance, health }) => instance === 'stock-2' && health === 'healthy');
    await waitFor('stock-2', healthy);
    const pid = Number(/stock-2 runs \(process (\d+)\)/.exec(run.output())?.[1]);
    process.kill(pid, 'SIGKILL');
    await waitFor('another process', () => (run.output().match(/stock listens/g) ?? []).length === 2);
    await waitFor('its data plane', async () => (await fetch(`http://127.0.0.1:${admin}/ready`)).status === 200);
    await waitFor('stock-2 again', healthy);
    assert.match(
      (await healthOf(mesh, 'stock-2')).join('\n'),
      /^starting → healthy: .*\nhealthy → unhealthy: its process was killed by SIGKILL; starts again in \d+ ms$/m,
    );
    run.child.kill('SIGINT');
    assert.equal(await run.ended, 0, run.output());
    // It has deregistered by itself.
    await waitFor('its end', async () => !(await mesh.instances()).some(({ instance }) => instance === 'stock-2'), 5_000);
    assert.equal((await healthOf(mesh, 'stock-2')).filter((message) => message.includes('its process')).length, 1);
  });

  it('get a proxy beside them where they are no Node programs, and that is said', async () => {
    const run = heddleRun('web', 'web-sh', ['/bin/sh', '-c', 'echo "to $STOCK_URL"; sleep 600']);
    await waitFor('its output', () => /to http:\/\/127\.0\.0\.1:\d+/.test(run.output()));
    assert.match(run.output(), /web-sh gets a proxy beside it: \/bin\/sh is not a Node program/);
    const refused = await mesh.heddle('run', '--service', 'web', '--in-process', '--', '/bin/sh');
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /the data plane cannot be inside the process: \/bin\/sh is not a Node program/);
  });
});
