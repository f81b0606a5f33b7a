// The bootstrap's decisions: which Node, whether what is installed fits, who holds the lock, how failures are explained.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isInstalled } from '../../tools/bootstrap/install.mjs';
import { pathWith } from '../../tools/bootstrap/launch.mjs';
import { tryAcquire, withLock } from '../../tools/bootstrap/lock.mjs';
import { chooseNode } from '../../tools/bootstrap/node.mjs';
import { findNpm, npmEnvironment } from '../../tools/bootstrap/npm.mjs';
import { explain } from '../../tools/bootstrap/report.mjs';

const ROOT = resolve(import.meta.dirname, '../..');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'heddle-bootstrap-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('choosing a Node', () => {
  const machine = { version: 'v20.20.2', execPath: '/usr/bin/node', platform: 'linux', arch: 'x64', root: '/clone' };

  it('takes the one that runs when it is new enough', () => {
    for (const version of ['v24.0.0', 'v26.10.0', 'v100.1.0']) {
      assert.deepEqual(chooseNode({ ...machine, version }), { kind: 'own', path: '/usr/bin/node' });
    }
  });

  it('takes the pinned one inside the clone when it is too old', () => {
    for (const [platform, arch] of [
      ['linux', 'x64'],
      ['linux', 'arm64'],
      ['darwin', 'x64'],
      ['darwin', 'arm64'],
    ] as const) {
      const choice = chooseNode({ ...machine, platform, arch });
      assert.equal(choice.kind, 'pinned');
      assert.match(choice.path, /^\/clone\/\.toolchain\/node-\d+\.\d+\.\d+-.*\/bin\/node$/);
      assert.ok(choice.path.includes(`${platform}-${arch}`) && choice.kind === 'pinned' && choice.integrity.startsWith('sha512-'));
    }
  });

  it('says so when there is none for the platform', () => {
    assert.throws(() => chooseNode({ ...machine, arch: 's390x' }), /no pinned one for linux on s390x/);
    assert.throws(() => chooseNode({ ...machine, platform: 'win32', version: 'v26.0.0' }), /Windows is not supported/);
  });
});

describe('the stamp of the dependencies', () => {
  const locked = (packages: Record<string, unknown>): void => {
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...packages } }));
  };
  const installed = (packages: Record<string, unknown>): void => {
    mkdirSync(join(folder, 'node_modules'), { recursive: true });
    writeFileSync(join(folder, 'node_modules/.package-lock.json'), JSON.stringify({ packages }));
  };
  const zod = { 'node_modules/zod': { version: '4.6.7', integrity: 'sha512-a' } };

  it('is not there in a fresh clone', () => {
    locked(zod);
    assert.equal(isInstalled(folder), false);
  });

  it('is made when npm has installed exactly the same by hand, and holds by itself then', () => {
    locked(zod);
    installed(zod);
    assert.equal(isInstalled(folder), true);
    rmSync(join(folder, 'node_modules/.package-lock.json'));
    assert.equal(isInstalled(folder), true);
  });

  it('does not hold after the lock file changed', () => {
    locked(zod);
    installed(zod);
    assert.equal(isInstalled(folder), true);
    locked({ 'node_modules/zod': { version: '4.6.8', integrity: 'sha512-b' } });
    assert.equal(isInstalled(folder), false);
  });

  it('is not made for another version, a missing package or one too many', () => {
    locked(zod);
    for (const present of [
      { 'node_modules/zod': { version: '4.6.7', integrity: 'sha512-x' } },
      {},
      { ...zod, 'node_modules/extra': { version: '1.0.0' } },
    ]) {
      installed(present);
      assert.equal(isInstalled(folder), false, JSON.stringify(present));
    }
  });

  it('does not ask for packages of other platforms, but for those of this one', () => {
    const binding = (os: string, cpu: string) => ({ 'node_modules/binding': { version: '1.0.0', optional: true, os: [os], cpu: [cpu] } });
    installed(zod);
    locked({ ...zod, ...binding('aix', 'ppc64') });
    assert.equal(isInstalled(folder), true);
    locked({ ...zod, ...binding(process.platform, process.arch) });
    assert.equal(isInstalled(folder), false);
  });

  it('needs a lock file', () => {
    assert.throws(() => isInstalled(folder), /no package-lock\.json/);
  });
});

describe('the lock', () => {
  it('is held by one at a time, and free afterwards', async () => {
    const path = join(folder, 'lock');
    const order: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        withLock(path, async () => {
          order.push(`${name} begins`);
          await new Promise((done) => setImmediate(done));
          order.push(`${name} ends`);
        }),
      ),
    );
    assert.equal(order.length, 6);
    for (let index = 0; index < 6; index += 2) assert.equal(order[index]?.[0], order[index + 1]?.[0], order.join(', '));
    assert.deepEqual(readdirSync(folder), []);
  });

  it('is given back when the work fails', async () => {
    const path = join(folder, 'lock');
    await assert.rejects(
      withLock(path, async () => Promise.reject(new Error('no luck'))),
      /no luck/,
    );
    assert.deepEqual(readdirSync(folder), []);
  });

  it('is taken over from a process that is gone, and not from one that lives', async () => {
    const path = join(folder, 'lock');
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    writeFileSync(path, JSON.stringify({ pids: [child.pid], host: hostname() }));
    assert.equal(tryAcquire(path), String(child.pid));
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(tryAcquire(path), undefined);
  });

  it('lasts while the npm lives that a killed start has left behind', async () => {
    const path = join(folder, 'lock');
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    const npm = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    writeFileSync(path, JSON.stringify({ pids: [gone, npm.pid], host: hostname() }));
    assert.equal(tryAcquire(path), String(gone));
    npm.kill('SIGKILL');
    await once(npm, 'exit');
    assert.equal(tryAcquire(path), undefined);
  });
});

describe('npm', () => {
  const put = (path: string): string => {
    const full = join(folder, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, '');
    return full;
  };

  it('is the one that started us, else the one beside Node, else the one on PATH', () => {
    const beside = put('usr/lib/node_modules/npm/bin/npm-cli.js');
    const started = put('other/bin/npm-cli.js');
    const execPath = put('usr/bin/node');
    assert.deepEqual(findNpm({ npm_execpath: started }, execPath), { script: started });
    assert.deepEqual(findNpm({ npm_execpath: put('yarn/bin/yarn.js') }, execPath), { script: beside });
    rmSync(beside);
    const onPath = put('somewhere/npm-cli.js');
    mkdirSync(join(folder, 'bin'));
    symlinkSync(onPath, join(folder, 'bin/npm'));
    assert.deepEqual(findNpm({ PATH: `/nowhere${delimiter}${join(folder, 'bin')}` }, execPath), { script: onPath });
    rmSync(join(folder, 'bin/npm'));
    const wrapper = put('bin/npm');
    assert.deepEqual(findNpm({ PATH: join(folder, 'bin') }, execPath), { program: wrapper });
  });

  it('is asked for when there is none', () => {
    assert.throws(() => findNpm({ PATH: join(folder, 'nothing') }, join(folder, 'bin/node')), /npm was found neither/);
  });

  it('keeps the settings of the user and loses those of the outer run', () => {
    const env = npmEnvironment(
      {
        PATH: '/bin',
        npm_config_registry: 'r',
        npm_config_cache: 'c',
        npm_lifecycle_event: 'start',
        npm_package_name: 'x',
        npm_config_omit: 'dev',
        npm_config_local_prefix: '/p',
      },
      '/toolchain/bin/node',
    );
    assert.deepEqual(env, { PATH: `/toolchain/bin${delimiter}/bin`, npm_config_registry: 'r', npm_config_cache: 'c' });
  });
});

describe('a failure', () => {
  const cases: [string, RegExp][] = [
    ['npm error code ENOSPC\nnpm error nospc ENOSPC: no space left on device', /the disk is full/],
    ['npm warn tar TAR_ENTRY_ERROR ENOSPC: no space left on device, write', /the disk is full/],
    ['npm error code EROFS', /the file system is read-only/],
    ["npm error Error: EACCES: permission denied, mkdir '/x'", /permission denied.*mkdir '\/x'/],
    ['npm error code ENOTFOUND\nnpm error network request failed', /registry cannot be reached/],
    ['npm error code EAI_AGAIN', /registry cannot be reached/],
    ['npm error code EINTEGRITY', /not what the lock file says/],
    ['npm error code E404\nnpm error 404 Not Found - GET zod', /does not give out a package/],
    ['npm error code EUSAGE', /does not fit the package\.json files/],
    ['npm error something new', /something new/],
  ];
  for (const [output, expected] of cases) {
    it(`is explained: ${output.slice(0, 50)}`, () => {
      const error = explain('the dependencies could not be installed', output);
      assert.match(error.message, expected);
      assert.notEqual(error.mend, '');
    });
  }
});

describe('PATH of what is started', () => {
  it('begins with the chosen Node, unless that one comes first already', () => {
    const node = join(folder, 'new/node');
    const old = join(folder, 'old');
    for (const path of [node, join(old, 'node')]) {
      mkdirSync(dirname(path));
      writeFileSync(path, '');
    }
    assert.equal(pathWith(node, `/nowhere${delimiter}${old}`), `${dirname(node)}${delimiter}/nowhere${delimiter}${old}`);
    assert.equal(pathWith(node, `${dirname(node)}${delimiter}${old}`), `${dirname(node)}${delimiter}${old}`);
    mkdirSync(join(folder, 'link'));
    symlinkSync(node, join(folder, 'link/node'));
    assert.equal(pathWith(node, join(folder, 'link')), join(folder, 'link'));
  });
});

describe('a prepared clone', () => {
  /** The parts of a clone that the bootstrap looks at, with a target that tells how it was started. */
  function clone(script: string): string {
    cpSync(join(ROOT, 'tools/bootstrap'), join(folder, 'tools/bootstrap'), { recursive: true });
    cpSync(join(ROOT, 'tools/bootstrap.mjs'), join(folder, 'tools/bootstrap.mjs'));
    cpSync(join(ROOT, 'heddle'), join(folder, 'heddle'));
    mkdirSync(join(folder, 'packages/cli/src'), { recursive: true });
    for (const sources of ['packages/api/proto', 'packages/dashboard/src']) mkdirSync(join(folder, sources), { recursive: true });
    mkdirSync(join(folder, 'node_modules'));
    writeFileSync(join(folder, 'node_modules/.package-lock.json'), '{"packages":{}}');
    writeFileSync(join(folder, 'package-lock.json'), '{"packages":{"":{}}}');
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(
      join(folder, 'tools/generate.ts'),
      "import { mkdirSync } from 'node:fs';\nmkdirSync('packages/api/src/gen', { recursive: true });\n",
    );
    for (const tool of ['dashboard', 'bundle']) writeFileSync(join(folder, `tools/${tool}.ts`), '');
    writeFileSync(join(folder, 'packages/cli/src/main.ts'), script);
    return folder;
  }
  const TELL =
    'console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), conditions: process.execArgv, major: parseInt(process.versions.node) }));\n';
  const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}` };

  it('generates once, then starts the target with its arguments, the source condition and a new enough Node', () => {
    clone(TELL);
    const start = () => spawnSync(process.execPath, ['tools/bootstrap.mjs', 'start', '--quiet'], { cwd: folder, env, encoding: 'utf8' });
    const first = start();
    assert.equal(first.status, 0, first.stderr);
    assert.match(first.stderr, /generating code[\s\S]*building the dashboard/);
    const told = JSON.parse(first.stdout) as { args: string[]; conditions: string[]; major: number };
    assert.deepEqual(told.args, ['up', '-f', 'examples/shop/heddle.yaml', '--quiet']);
    assert.deepEqual(told.conditions, ['--conditions=heddle-source']);
    assert.ok(told.major >= 24);
    assert.equal(start().stderr, '');
    writeFileSync(join(folder, 'packages/api/proto/new.proto'), 'syntax = "proto3";');
    assert.match(start().stderr, /generating code/);
  });

  it('is used by the launcher from any folder, through a symbolic link, in the folder of the user', () => {
    clone(TELL);
    const elsewhere = join(folder, 'elsewhere');
    mkdirSync(elsewhere);
    symlinkSync('../heddle', join(elsewhere, 'h'));
    symlinkSync(join(elsewhere, 'h'), join(elsewhere, 'hh'));
    const { stdout, stderr } = spawnSync(join(elsewhere, 'hh'), ['get', 'a b', '--x'], { cwd: elsewhere, env, encoding: 'utf8' });
    const told = JSON.parse(stdout === '' ? assert.fail(stderr) : stdout) as { args: string[]; cwd: string };
    assert.deepEqual(told.args, ['get', 'a b', '--x']);
    assert.equal(told.cwd, elsewhere);
  });

  it('ends with the exit code of the target', () => {
    clone('process.exit(7);\n');
    assert.equal(spawnSync(process.execPath, ['tools/bootstrap.mjs', 'heddle'], { cwd: folder, env }).status, 7);
    assert.equal(spawnSync(join(folder, 'heddle'), [], { cwd: folder, env }).status, 7);
  });

  it('passes SIGTERM on and waits for the target to end', async () => {
    clone(`
      import { writeFileSync } from 'node:fs';
      process.on('SIGTERM', () => setTimeout(() => { writeFileSync('stopped', ''); process.exit(3); }, 50));
      setInterval(() => {}, 1000);
      console.log('ready');
    `);
    const child = spawn(process.execPath, ['tools/bootstrap.mjs', 'start'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    assert.equal(code, 3);
    assert.ok(existsSync(join(folder, 'stopped')));
  });

  it('gets the signals that npm gets: every script replaces its shell', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    for (const [name, command] of Object.entries(scripts)) assert.equal(command, `exec node tools/bootstrap.mjs ${name}`);
  });

  it('says what it wants when the target is unknown', () => {
    clone(TELL);
    const { status, stderr } = spawnSync(process.execPath, ['tools/bootstrap.mjs', 'nope'], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /no target "nope"[\s\S]*start, heddle, test/);
  });

  it('names no host: the registry is the one that npm is set to', () => {
    const files = ['bootstrap.mjs', ...readdirSync(join(ROOT, 'tools/bootstrap')).map((name) => `bootstrap/${name}`)];
    for (const file of files) assert.doesNotMatch(readFileSync(join(ROOT, 'tools', file), 'utf8'), /https?:\/\//, file);
  });
});
