import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { startControl } from '@heddle/control';
import { parseMeshFile } from '@heddle/core/config';
import { createLogger, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { parse } from 'yaml';
import { heddleArguments } from './testing/command.ts';
import { VERSION } from './version.ts';

interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const directory = mkdtempSync(join(tmpdir(), 'heddle-cli-'));
after(() => rmSync(directory, { recursive: true, force: true }));

/** The command as a person runs it: a process of its own, in a directory without a mesh. */
function heddle(...args: string[]): Promise<Result> {
  const environment = { ...process.env, NO_COLOR: '1', HEDDLE_JOIN_TOKEN: '', HEDDLE_DEBUG: '' };
  return new Promise((resolve) => {
    execFile(process.execPath, heddleArguments(...args), { cwd: directory, env: environment, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

const MESH = `mesh: test
services:
  orders: { port: 8081, run: node orders.js, replicas: 3, metadata: { owner: a } }
  web: { port: 8080, uses: [orders], ports: { metrics: 9100 } }
`;

describe('the command line', () => {
  it('prints its version, and help with examples for every command', async () => {
    assert.equal((await heddle('--version')).stdout.trim(), VERSION);
    const commands = [[], ['up'], ['run'], ['get'], ['check'], ['validate'], ['token'], ['token', 'create'], ['control'], ['proxy']];
    for (const { code, stdout, stderr } of await Promise.all(commands.map((command) => heddle(...command, '--help')))) {
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^Usage: heddle[^]*\nExamples:\n {2}\S/m);
      assert.doesNotMatch(stdout, /default: [{"]|default: false/, 'defaults are shown as they are typed');
    }
  });

  it('answers wrong usage with exit code 2, the reason and a mend', async () => {
    const wrong: [string[], RegExp][] = [
      [['upp'], /^error: unknown command 'upp'\n {2}mend: did you mean up\?/],
      [['up', '--quite'], /^error: unknown option '--quite'\n {2}mend: did you mean --quiet\?/],
      [['up', 'surplus'], /^error: too many arguments/],
      [
        ['up', '--control-port', '70000'],
        /^error: option '--control-port <port>' argument '70000' is invalid: a port is a whole number from 1 to 65535/,
      ],
      [
        ['get', 'things'],
        /^error: 'things' is invalid for argument 'kind': allowed choices are services, instances, routes, policies, proxies, identities, events, load, audit\n {2}mend: see `heddle get --help`/,
      ],
      [['get', 'proxies', '--service', 'web'], /^error: proxies are not of one service\n {2}mend: leave out --service/],
      [['get', 'services', '-o', 'xml'], /^error: option '-o.*expected table, json, yaml/],
      [['token', 'create'], /^error: a token is for a service or for an administrator\n {2}mend: give either --service or --admin/],
      [['token', 'create', '--service', 'Orders!'], /^error: .*a name has lower-case letters/],
      [['token', 'create', '--service', 'orders', '--ttl', '8d'], /^error: a join token can live for 7 days at most/],
      [['control', '--listen', 'nowhere'], /^error: .*expected HOST:PORT/],
      [['run', '--service', 'orders'], /^error: missing required argument 'command'/],
      [
        ['run', '--service', 'orders', '--control', '127.0.0.1:1', '--', 'true'],
        /^error: HEDDLE_JOIN_TOKEN is not set\n {2}mend: make a token/,
      ],
    ];
    const results = await Promise.all(wrong.map(([args]) => heddle(...args)));
    results.forEach(({ code, stderr, stdout }, index) => {
      const [args, pattern] = wrong[index]!;
      assert.match(stderr, pattern, args.join(' '));
      assert.equal(code, 2, args.join(' '));
      assert.equal(stdout, '');
      assert.doesNotMatch(stderr, /\n {4}at /, 'no stack trace');
    });
  });

  it('says where there is no mesh', async () => {
    for (const args of [
      ['get', 'services'],
      ['token', 'create', '--service', 'orders'],
    ]) {
      const { code, stderr } = await heddle(...args);
      assert.equal(code, 1);
      assert.match(stderr, /^error: no mesh was started here[^]*\n {2}mend: start one with `heddle up`/);
    }
    const { code, stdout } = await heddle('check');
    assert.equal(code, 1);
    assert.match(stdout, /FAILED {2}state directory: no mesh was started here[^]*mend: start one/);
  });
});

describe('heddle validate', () => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return name;
  };

  it('accepts a good file', async () => {
    const { code, stdout } = await heddle('validate', '-f', file('good.yaml', MESH));
    assert.equal(code, 0);
    assert.match(stdout, /good\.yaml is valid: mesh test, 2 services, 3 instances to run/);
  });

  it('names every problem with file, line and column', async () => {
    const bad = file(
      'bad.yaml',
      'mesh: test\nservices:\n  orders:\n    prt: 1\n    replicas: many\n  web: { port: 8080, uses: [order] }\n',
    );
    const { code, stderr } = await heddle('validate', '-f', bad);
    assert.equal(code, 1);
    assert.match(stderr, /^bad\.yaml:4:5: error: .*prt/m);
    assert.match(stderr, /^bad\.yaml:5:15: error: /m);
    assert.match(stderr, /^bad\.yaml:6:\d+: error: .*order.*\n[^]*did you mean "orders"/m);
    assert.match(stderr, /^error: bad\.yaml has \d+ errors/m);
    const json = await heddle('validate', '-f', bad, '-o', 'json');
    assert.equal(json.code, 1);
    assert.deepEqual({ valid: JSON.parse(json.stdout).valid, line: JSON.parse(json.stdout).problems[0].line }, { valid: false, line: 3 });
  });

  it('takes warnings for errors where it is asked to be strict', async () => {
    const name = file('warned.yaml', `${MESH}routes:\n  - { service: web, rules: [{ fault: { delay: { percent: 0%, for: 1s } } }] }\n`);
    const lenient = await heddle('validate', '-f', name);
    assert.deepEqual([lenient.code, lenient.stdout.includes('is valid')], [0, true]);
    assert.match(lenient.stderr, /^warned\.yaml:\d+:\d+: warning: .*at 0% no request is held back/m);
    const strict = await heddle('validate', '-f', name, '--strict');
    assert.equal(strict.code, 1);
    assert.match(strict.stderr, /^error: warned\.yaml has 1 warning/m);
    const json = await heddle('validate', '-f', name, '--strict', '-o', 'json');
    assert.deepEqual([json.code, JSON.parse(json.stdout).valid], [1, false]);
    assert.equal((await heddle('validate', '-f', 'good.yaml', '--strict')).code, 0);
  });

  it('says when there is no file', async () => {
    const { code, stderr } = await heddle('validate');
    assert.equal(code, 1);
    assert.equal(stderr, 'error: the mesh file heddle.yaml cannot be read: there is no such file\n  mend: name the file with -f FILE\n');
    assert.equal((await heddle('up', '-f', 'bad.yaml')).code, 1);
  });
});

describe('commands that ask a control plane', async () => {
  const stateDir = join(directory, 'state');
  const { mesh } = parseMeshFile(MESH, { path: join(directory, 'heddle.yaml') });
  const control = await startControl({
    mesh: mesh!,
    stateDir,
    listen: { address: '127.0.0.1', port: 0 },
    logger: createLogger({ level: 'silent' }),
    clock: nodeClock,
    random: nodeRandom,
  });
  after(() => control.close());

  it('list services as a table, JSON and YAML', async () => {
    const [table, json, yaml] = await Promise.all(
      ['table', 'json', 'yaml'].map((format) => heddle('get', 'services', '-o', format, '--state-dir', stateDir)),
    );
    assert.deepEqual(
      table!.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/ {2,}/)),
      [
        ['NAMESPACE', 'SERVICE', 'PORT', 'PROTOCOL', 'VERSIONS', 'HEALTHY'],
        ['default', 'orders', '8081', 'http', '-', '0/0'],
        ['default', 'web', '8080', 'http', '-', '0/0'],
      ],
    );
    const none = { labels: {}, versions: [], instances: 0, healthy: 0 };
    const services = [
      { namespace: 'default', name: 'orders', port: 8081, protocol: 'http', metadata: { owner: 'a' }, ports: {}, ...none },
      { namespace: 'default', name: 'web', port: 8080, protocol: 'http', metadata: {}, ports: { metrics: 9100 }, ...none },
    ];
    assert.deepEqual(JSON.parse(json!.stdout), services);
    assert.deepEqual(parse(yaml!.stdout), services);
    assert.equal((await heddle('get', 'proxies', '--state-dir', stateDir)).stdout, 'none\n');
  });

  it('list what has happened, of one service or all, and show it as it happens', async () => {
    const { code, stdout } = await heddle('get', 'events', '--service', 'web', '--state-dir', stateDir);
    assert.equal(code, 0);
    assert.match(stdout, /^TIME +EVENT +SUBJECT +MESSAGE\n\S+Z {2}service-declared {2}default\/web {2}http on port 8080\n$/);
    const watching = spawn(process.execPath, heddleArguments('get', 'events', '--watch', '-o', 'json', '--state-dir', stateDir), {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface(watching.stdout)[Symbol.asyncIterator]();
    const next = async () => JSON.parse(String((await lines.next()).value)) as { id: number; kind: string; subject: string };
    assert.deepEqual(
      [await next(), await next()].map(({ id, kind, subject }) => [id, kind, subject]),
      [
        [1, 'service-declared', 'default/orders'],
        [2, 'service-declared', 'default/web'],
      ],
    );
    await control.setMesh({ ...mesh!, services: mesh!.services.slice(0, 1) });
    assert.deepEqual((({ kind, subject }) => [kind, subject])(await next()), ['service-removed', 'default/web']);
    await control.setMesh(mesh!);
    watching.kill();
    await once(watching, 'close');
  });

  it('make a token: nothing else on standard output', async () => {
    const { code, stdout, stderr } = await heddle('token', 'create', '--service', 'orders', '--ttl', '5m', '--state-dir', stateDir);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^heddle-join\.[\w-]+\.[\w-]+\n$/);
    assert.match(stderr, /for default\/orders, usable once until 20/);
  });

  it('check the mesh, and fail while services have no instance', async () => {
    const { code, stdout } = await heddle('check', '-o', 'json', '--state-dir', stateDir);
    assert.equal(code, 1);
    const { findings } = JSON.parse(stdout) as { findings: { check: string; result: string; mend: string }[] };
    const failed = findings.filter(({ result }) => result === 'failed');
    assert.deepEqual(
      failed.map(({ check }) => check),
      ['services'],
    );
    assert.notEqual(failed[0]?.mend, '');
  });

  it('refuse a second control plane in the same directory', async () => {
    writeFileSync(join(directory, 'twice.yaml'), MESH);
    const { code, stderr } = await heddle('control', '-f', 'twice.yaml', '--state-dir', stateDir, '--listen', '127.0.0.1:0');
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^error: .*is in use by another process\n {2}mend: stop the other control plane, or choose another state directory$/m,
    );
  });

  it('say when it does not answer any more', async () => {
    const gone = join(directory, 'gone');
    const other = await startControl({
      mesh: mesh!,
      stateDir: gone,
      listen: { address: '127.0.0.1', port: 0 },
      logger: createLogger({ level: 'silent' }),
      clock: nodeClock,
      random: nodeRandom,
    });
    const { address, port, pid, trustDomain } = other;
    await other.close();
    writeFileSync(join(gone, 'control.json'), JSON.stringify({ address, port, pid, mesh: 'test', trustDomain }));
    const { code, stderr } = await heddle('get', 'instances', '--state-dir', gone);
    assert.equal(code, 1);
    assert.match(stderr, /^error: the control plane at 127\.0\.0\.1:\d+ does not answer[^]*mend: start the mesh with `heddle up`/);
  });
});
