// Commands that run on: what makes them give up, what they wait for, and what they take in while they run. Real processes and a real
// control plane.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { startControl, type RunningControl } from '@heddle/control';
import { formatJoinToken, parseJoinToken } from '@heddle/core';
import { parseMeshFile } from '@heddle/core/config';
import { createLogger, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { heddleArguments } from '../testing/command.ts';
import { openControl } from '../control-client.ts';
import { machineName } from '../machine.ts';
import { until } from '../supervisor/testing.ts';
import { PortAllocator } from '../up/ports.ts';
import { adminTokenPath } from './proxy.ts';

const directory = mkdtempSync(join(tmpdir(), 'heddle-lifecycle-'));
const undo: (() => unknown)[] = [];
after(async () => {
  for (const step of undo.reverse()) await step();
  rmSync(directory, { recursive: true, force: true });
});

const mesh = (name: string, services: string): string => `mesh: ${name}\nservices:\n${services}`;
const ORDERS = '  orders: { port: 8081, uses: [] }\n';
const APPLICATION = [process.execPath, '-e', "require('node:http').createServer((q, r) => r.end('ok')).listen(process.env.PORT)"];

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

interface Command {
  readonly pid: number;
  stdout: string;
  stderr: string;
  readonly exit: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

function heddle(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Command {
  const child = spawn(process.execPath, heddleArguments(...args), {
    cwd: directory,
    env: { ...process.env, NO_COLOR: '1', HEDDLE_JOIN_TOKEN: '', HEDDLE_DEBUG: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    // No terminal of its own, as a service: SIGHUP then is no hangup.
    detached: true,
  });
  const command: Command = {
    pid: child.pid!,
    stdout: '',
    stderr: '',
    exit: new Promise((resolve) => child.once('close', (code) => resolve(code))),
    signal: (name) => void child.kill(name),
  };
  child.stdout.on('data', (text: Buffer) => (command.stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (command.stderr += text.toString()));
  undo.push(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await command.exit;
  });
  return command;
}

async function control(stateDir: string, text = mesh('test', ORDERS), port = 0): Promise<RunningControl> {
  const running = await startControl({
    mesh: parseMeshFile(text, { path: join(directory, 'heddle.yaml') }).mesh!,
    stateDir,
    listen: { address: '127.0.0.1', port },
    logger: createLogger({ level: 'silent' }),
    clock: nodeClock,
    random: nodeRandom,
  });
  undo.push(() => running.close());
  return running;
}

describe('heddle run with a join token', async () => {
  const stateDir = join(directory, 'run');
  let running = await control(stateDir);
  const elsewhere = join(directory, 'elsewhere');

  const create = async (ttlMs = 0) => {
    const client = openControl(stateDir);
    return client.createToken('default', 'orders', ttlMs).finally(() => client.close());
  };
  const run = (token: string, address = `127.0.0.1:${running.port}`): Command =>
    heddle(['run', '--service', 'orders', '--control', address, '--inbound-port', '0', '--state-dir', elsewhere, '--', ...APPLICATION], {
      HEDDLE_JOIN_TOKEN: token,
    });

  it('joins, says so, and stops on Ctrl-C', async () => {
    const { token } = await create();
    const first = run(token);
    await until('the instance to join', () => /orders-\w+ has joined the mesh/.test(first.stdout));
    first.signal('SIGINT');
    assert.equal(await first.exit, 0, first.stderr);
    const second = run(token);
    assert.equal(await second.exit, 1);
    assert.match(
      second.stderr,
      /^error: default\/orders\/orders-\w+ cannot join: .*has been used already[^]*\n {2}mend: make a new one with `heddle token create --service orders`\n$/,
    );
  });

  it('ends with exit code 1 when the token has expired, or is none that the control plane knows', async () => {
    const { token, notAfterMs } = await create(1_000);
    const parsed = parseJoinToken((await create()).token);
    assert.ok(parsed.ok);
    const forged = run(formatJoinToken({ ...parsed.token, secret: new Uint8Array(32) }));
    await until('the token to expire', () => Date.now() > notAfterMs);
    const expired = run(token);
    assert.deepEqual([await forged.exit, await expired.exit], [1, 1]);
    assert.match(forged.stderr, /^error: .*does not know the join token[^]*\n {2}mend: /);
    assert.match(expired.stderr, /^error: .*expired at [^]*\n {2}mend: make a new one/);
  });

  it('ends with exit code 1 when another mesh answers', async () => {
    const other = await control(join(directory, 'other'));
    const foreign = run((await create()).token, `127.0.0.1:${other.port}`);
    assert.equal(await foreign.exit, 1);
    assert.match(foreign.stderr, /^error: .*is not the one the token was made for[^]*\n {2}mend: check the address/);
  });

  it('takes a damaged token, and one of another service, for a failure', async () => {
    const damaged = run('heddle-join.x');
    assert.equal(await damaged.exit, 1);
    assert.match(damaged.stderr, /^error: HEDDLE_JOIN_TOKEN: The join token is not usable: .*\n {2}mend: copy the token whole/);
    const { token } = await create();
    const foreign = heddle(['run', '--service', 'web', '--control', '127.0.0.1:1', '--', 'true'], { HEDDLE_JOIN_TOKEN: token });
    assert.equal(await foreign.exit, 1);
    assert.match(foreign.stderr, /^error: the token in HEDDLE_JOIN_TOKEN is for default\/orders, not for default\/web\n {2}mend: /);
  });

  it('says once that the control plane cannot be reached, and joins when it can', async () => {
    const { token } = await create();
    const { port } = running;
    await running.close();
    const waiting = run(token);
    await until('word of the trouble', () => /cannot be reached/.test(waiting.stdout));
    running = await control(stateDir, undefined, port);
    await until('the instance to join', () => /has joined the mesh/.test(waiting.stdout));
    assert.equal(waiting.stdout.match(/cannot be reached/g)?.length, 1, waiting.stdout);
    waiting.signal('SIGTERM');
    assert.equal(await waiting.exit, 0, waiting.stderr);
  });

  it('refuses a service that the mesh does not have', async () => {
    const command = heddle(['run', '--service', 'nope', '--state-dir', stateDir, '--', 'true']);
    assert.equal(await command.exit, 1);
    assert.match(command.stderr, /^error: the mesh test has no service default\/nope\n {2}mend: it has orders/);
  });
});

describe('heddle up', () => {
  const ports = new PortAllocator('127.0.0.1', Math.random);
  const up = async (text: string, stateDir: string): Promise<Command> => {
    const [controlPort, proxyPort, adminPort] = [await ports.take(), await ports.take(), await ports.take()];
    const options = [
      '--control-port',
      `${controlPort}`,
      '--proxy-port',
      `${proxyPort}`,
      '--admin-port',
      `${adminPort}`,
      '--rest-port',
      '0',
      '--dns-port',
      '0',
    ];
    return heddle(['up', '-f', file('up.yaml', text), '--state-dir', stateDir, ...options]);
  };
  const runs = (name: string): string => mesh(name, '  orders: { port: 8081, uses: [], run: sleep 60 }\n');

  it('ends when the control plane cannot start, with its reason, once', async () => {
    const stateDir = join(directory, 'up-control');
    await (await control(stateDir)).close();
    const command = await up(runs('another'), stateDir);
    assert.equal(await command.exit, 1);
    assert.match(
      command.stderr,
      /^error: the control plane could not be started: .*trust domain test, but the mesh's is another\n {2}mend: set the trust domain back/,
    );
    assert.equal(`${command.stdout}${command.stderr}`.match(/trust domain test/g)?.length, 1);
    assert.doesNotMatch(command.stdout, /restarting/);
  });

  it('ends when the proxy cannot start, with its reason', async () => {
    const stateDir = join(directory, 'up-proxy');
    mkdirSync(stateDir, { mode: 0o700 });
    writeFileSync(adminTokenPath(stateDir, machineName()), 'short\n', { mode: 0o600 });
    const command = await up(runs('test'), stateDir);
    assert.equal(await command.exit, 1);
    assert.match(command.stderr, /^error: the proxy could not be started: .*holds no usable token.*\n {2}mend: remove the file/);
    assert.doesNotMatch(command.stdout, /restarting/);
  });
});

describe('heddle control', () => {
  it('takes in its mesh file again on SIGHUP, unless there is a problem with it', async () => {
    const stateDir = join(directory, 'control');
    const path = file('reload.yaml', mesh('test', ORDERS));
    const command = heddle([
      'control',
      '-f',
      path,
      '--state-dir',
      stateDir,
      '--listen',
      '127.0.0.1:0',
      '--rest-listen',
      '127.0.0.1:0',
      '--dns-listen',
      '127.0.0.1:0',
    ]);
    await until('control.json', () => {
      try {
        return readFileSync(join(stateDir, 'control.json'), 'utf8').includes(String(command.pid));
      } catch {
        return false;
      }
    });
    const client = openControl(stateDir);
    const names = async (): Promise<string> => (await client.services()).map(({ name }) => name).join();
    try {
      assert.equal(await names(), 'orders');
      writeFileSync(path, mesh('test', `${ORDERS}  web: { port: 8080 }\n`));
      command.signal('SIGHUP');
      await until('the new service', async () => (await names()) === 'orders,web');
      for (const [text, reason] of [
        [mesh('test', '  orders: { prt: 8081 }\n'), /reload\.yaml:3:\d+/],
        [mesh('renamed', ORDERS), /name and trust domain cannot change/],
      ] as const) {
        writeFileSync(path, text);
        command.signal('SIGHUP');
        await until(`word of ${reason}`, () => reason.test(command.stdout + command.stderr));
        assert.equal(await names(), 'orders,web');
      }
    } finally {
      client.close();
    }
    command.signal('SIGTERM');
    assert.equal(await command.exit, 0);
  });
});
