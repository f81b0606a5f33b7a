// The published form: every package is built, packed, unpacked elsewhere, and used by a plain Node and by the type checker,
// without the source condition and without the sources.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { build, buildOrder, type Manifest, readManifests } from '../../tools/build.ts';
import { run, runProgram } from '../../tools/run.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const manifests = readManifests(ROOT);

let folder: string;
/** Where the packages are installed as a user would have them. */
let user: string;
const installed = (name: string): string => join(user, 'node_modules/@heddle', name);

/** Everything of node_modules but our own packages, which the caller puts at `own(name)`. */
function linkDependencies(place: string, own: (name: string) => string): void {
  mkdirSync(join(place, 'node_modules/@heddle'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name !== '@heddle' && !name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(place, 'node_modules', name));
  }
  for (const name of manifests.keys()) {
    // Versions that npm did not hoist lie in the package's own folder.
    const nested = join(ROOT, 'packages', name, 'node_modules');
    if (existsSync(nested)) symlinkSync(nested, join(own(name), 'node_modules'));
  }
}

/** What npm would put into each package, by its name, asked from npm itself, once. */
async function packedFiles(places: readonly string[]): Promise<ReadonlyMap<string, readonly string[]>> {
  const { code, output } = await runProgram(folder, 'npm', [
    'pack',
    ...places,
    '--dry-run',
    '--json',
    '--ignore-scripts',
    '--loglevel=error',
  ]);
  assert.equal(code, 0, output);
  const answer = JSON.parse(output.slice(output.search(/^[[{]/m))) as Record<string, { name: string; files: { path: string }[] }>;
  return new Map(Object.values(answer).map(({ name, files }) => [name, files.map(({ path }) => path)]));
}

/** What each package is imported by: `@heddle/runtime`, `@heddle/runtime/node`. Doors with a star are for our own bundles only. */
function doorsByPackage(): string[][] {
  return [...manifests.values()].map(({ name, exports = {} }: Manifest & { exports?: Record<string, unknown> }) =>
    Object.keys(exports).flatMap((door) => (door.includes('*') ? [] : [name + door.slice(1)])),
  );
}

/** Of the client, unpacked, without what it depends on. */
const CLIENT_BYTES_MAX = 300_000;
/** What is loaded before the application's first line. */
const FIRST_BYTES_MAX = 130_000;

const LIST_LOADED = `
import { registerHooks } from 'node:module';
registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });
`;

const EXPRESS_APP = `
const express = require('express');
const app = express();
app.get('/', (request, response) => response.type('text').send('hello from express'));
const server = app.listen(0, '127.0.0.1', async () => {
  console.log(await (await fetch('http://127.0.0.1:' + server.address().port)).text());
  await fetch('http://orders.mesh.internal/').catch(({ cause }) => console.log(cause.code, cause.message));
  process.exit(0);
});
`;

/** Building everything takes half a minute of both processors: it is for those who publish, and for CI. */
const skip = process.env['HEDDLE_REQUIRE_INTEROP'] === '1' ? false : 'builds all packages; runs when HEDDLE_REQUIRE_INTEROP=1 is set';

describe('the built packages', { skip }, () => {
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'heddle-build-'));
    const source = join(folder, 'source');
    mkdirSync(join(source, 'packages'), { recursive: true });
    cpSync(join(ROOT, 'tsconfig.base.json'), join(source, 'tsconfig.base.json'));
    for (const name of manifests.keys()) {
      const from = join(ROOT, 'packages', name);
      cpSync(from, join(source, 'packages', name), { recursive: true, filter: (path) => !/\/(node_modules|dist)$/.test(path) });
    }
    linkDependencies(source, (name) => join(source, 'packages', name));
    for (const name of manifests.keys()) symlinkSync(join(source, 'packages', name), join(source, 'node_modules/@heddle', name));
    await build(source, [], () => {}, ROOT);

    user = join(folder, 'user');
    const packed = await packedFiles([...manifests.keys()].map((name) => join(source, 'packages', name)));
    for (const [name] of manifests) {
      const unpacked = installed(name);
      mkdirSync(unpacked, { recursive: true });
      for (const file of packed.get(`@heddle/${name}`) ?? assert.fail(`${name} is not packed`))
        cpSync(join(source, 'packages', name, file), join(unpacked, file));
      // The sources are shipped for debuggers only; nothing may need them.
      rmSync(join(unpacked, 'src'), { recursive: true, force: true });
    }
    linkDependencies(user, installed);
    writeFileSync(join(user, 'package.json'), '{"type":"module"}');
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('can be imported by a plain Node, through every door', async () => {
    // Compiled code of a folder that is gone afterwards would only fill the cache.
    const environment = { NODE_OPTIONS: '', NODE_COMPILE_CACHE: undefined };
    for (const doors of doorsByPackage()) {
      const code = `for (const door of ${JSON.stringify(doors)})
        if (Object.keys(await import(door)).length === 0 && !door.endsWith('/register')) throw new Error(door + ': nothing is exported');`;
      const { code: exit, output } = await runProgram(user, process.execPath, ['--input-type=module', '-e', code], environment);
      assert.equal(exit, 0, `${doors.join()}: ${output}`);
    }
  });

  it('have types that a user can check against, without the sources', async () => {
    const lines = doorsByPackage()
      .flat()
      .map((door, index) => `import * as door${index} from '${door}';\nexport const names${index} = Object.keys(door${index});\n`);
    writeFileSync(
      join(user, 'use.ts'),
      `${lines.join('')}import { formatSpiffeId } from '@heddle/core';\nexport const id: string = formatSpiffeId({ trustDomain: 't', namespace: 'n', name: 's' });\n`,
    );
    writeFileSync(
      join(user, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          module: 'nodenext',
          target: 'es2024',
          lib: ['es2024', 'esnext.disposable'],
          types: ['node'],
          strict: true,
          noEmit: true,
          skipLibCheck: true,
        },
        files: ['use.ts'],
      }),
    );
    const compiler = join(ROOT, 'node_modules/@typescript/native/bin/tsc');
    const good = await run(user, compiler, ['-p', 'tsconfig.json', '--pretty', 'false']);
    assert.equal(good.code, 0, good.output);
    writeFileSync(
      join(user, 'use.ts'),
      "import { formatSpiffeId } from '@heddle/core';\nexport const id: number = formatSpiffeId({ trustDomain: 't', namespace: 'n', name: 1 });\n",
    );
    const bad = await run(user, compiler, ['-p', 'tsconfig.json', '--pretty', 'false']);
    assert.match(bad.output, /TS2322[\s\S]*TS2322/);
  });

  it('carry no tests, and map to the sources they were made from', () => {
    for (const name of manifests.keys()) {
      const files = readdirSync(join(installed(name), 'dist'), { recursive: true, encoding: 'utf8' });
      assert.deepEqual(
        files.filter((file) => file.includes('.test.') || file.endsWith('tsconfig.json')),
        [],
        name,
      );
      // Files for browsers, not a module.
      if (name === 'dashboard') continue;
      assert.ok(files.includes('index.d.ts'));
      // Its sources are not shipped.
      if (name === 'client') continue;
      const map = JSON.parse(readFileSync(join(installed(name), 'dist/index.js.map'), 'utf8')) as { sources: string[] };
      assert.deepEqual(map.sources, ['../src/index.ts']);
    }
  });

  it('have programs that start', async () => {
    const programs = [...manifests].flatMap(([name, { bin = {} }]) =>
      Object.entries(bin).map(([program, path]) => [program, join(installed(name), path)] as const),
    );
    assert.deepEqual(
      programs.map(([program]) => program),
      ['heddle'],
    );
    for (const [program, path] of programs) {
      const { code, output } = await runProgram(user, path, ['--version'], { NODE_OPTIONS: '' });
      assert.equal(code, 0, `${program}: ${output}`);
      assert.equal(output.trim(), JSON.parse(readFileSync(join(ROOT, 'packages/cli/package.json'), 'utf8')).version);
    }
  });

  it('have a command that finds the programs that it starts: the reader of a file, and workers', async () => {
    const file = join(user, 'static.yaml');
    writeFileSync(file, 'listeners:\n  - { port: 0, service: a }\nservices:\n  a: { endpoints: ["127.0.0.1:1"] }\n');
    const main = join(installed('cli'), manifests.get('cli')?.bin?.['heddle'] ?? '');
    const args = [main, 'proxy', '--static', file, '--workers', '2', '--admin-port', '0', '--log-format', 'json'];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
      timeout: 30_000,
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output.includes('the proxy is up')) child.kill('SIGTERM');
    });
    const code = await new Promise((done, failed) => child.on('error', failed).on('close', done));
    assert.equal(code, 0, output);
    assert.match(output, /the proxy is up/);
  });

  it('have a client that is small, and whose first half loads little of the engine', async () => {
    const files = readdirSync(installed('client'), { recursive: true, encoding: 'utf8' }).map((name) => join(installed('client'), name));
    const bytes = files.reduce((sum, file) => sum + (statSync(file).isFile() ? statSync(file).size : 0), 0);
    assert.ok(bytes > 50_000 && bytes <= CLIENT_BYTES_MAX, `${bytes} bytes unpacked`);
    const code = files.filter((file) => file.endsWith('.js')).map((file) => readFileSync(file, 'utf8'));
    const imported = new Set(code.flatMap((text) => [...text.matchAll(/from\s*"([^".][^"]*)"/g)].map(([, name = '']) => name)));
    assert.deepEqual(
      [...imported].filter((name) => !isBuiltin(name) && !name.startsWith('@heddle/dataplane/inside/')),
      [],
    );
    writeFileSync(join(user, 'loads.mjs'), LIST_LOADED);
    const environment = {
      NODE_OPTIONS: '',
      NODE_COMPILE_CACHE: undefined,
      HEDDLE_SERVICE: 'web',
      HEDDLE_CONTROL: '127.0.0.1:1',
      PORT: '1',
    };
    const loaded = async (over: Record<string, string>): Promise<string[]> => {
      const args = ['--import', './loads.mjs', '--import', '@heddle/client/register', '-e', ''];
      const { code: exit, output } = await runProgram(user, process.execPath, args, { ...environment, ...over });
      assert.equal(exit, 0, output);
      return output.split('\n').filter((url) => url.includes('/@heddle/'));
    };
    assert.ok((await loaded({ HEDDLE_SERVICE: '' })).length <= 2);
    const first = await loaded({});
    const size = first.reduce((sum, url) => sum + statSync(fileURLToPath(url)).size, 0);
    assert.ok(
      first.some((url) => url.endsWith('/register/join.js')),
      first.join('\n'),
    );
    assert.ok(size <= FIRST_BYTES_MAX, `${size} bytes: ${first.join('\n')}`);
  });

  it('have a client that runs an application as it is, without the repository', async () => {
    writeFileSync(join(user, 'server.cjs'), EXPRESS_APP);
    const environment = { NODE_OPTIONS: '', NODE_COMPILE_CACHE: undefined, HEDDLE_SERVICE: 'web', HEDDLE_CONTROL: '127.0.0.1:1' };
    for (const flag of ['--import', '--require']) {
      const args = [flag, '@heddle/client/register', 'server.cjs'];
      const { code, output } = await runProgram(user, process.execPath, args, { ...environment, HEDDLE_READY_TIMEOUT_MS: '200' });
      assert.equal(code, 0, output);
      assert.match(output, /^hello from express$/m);
      // The engine came up, and says why it is in no mesh.
      assert.match(output, /^NOT_READY not part of the mesh within 200 ms: .*control plane/m);
    }
  });

  it('have a command that is bundled with the licences of what is in it', () => {
    const place = join(installed('cli'), 'dist');
    const notices = readFileSync(join(place, 'THIRD-PARTY.txt'), 'utf8');
    for (const name of ['commander', 'pino', 'yaml', 'zod']) assert.match(notices, new RegExp(`^${name} [0-9.]+ \\(`, 'm'));
    const from = /^(?:import [^"'\n]*|export [^"'\n]*from |\} from )["']((?:@[^/"']+\/)?[^./"'][^/"']*)/gm;
    const imports = readdirSync(place)
      .filter((name) => name === 'main.js' || name.startsWith('part-'))
      .flatMap((name) => [...readFileSync(join(place, name), 'utf8').matchAll(from)].map(([, imported = '']) => imported));
    const { dependencies = {} } = manifests.get('cli') ?? {};
    assert.deepEqual([...new Set(imports)].filter((name) => dependencies[name] === undefined && !isBuiltin(name)).sort(), []);
  });
});

describe('the order of the build', () => {
  const manifest = (name: string, ...dependencies: string[]): [string, Manifest] => [
    name,
    { name: `@x/${name}`, dependencies: Object.fromEntries(dependencies.map((dependency) => [`@x/${dependency}`, '1'])) },
  ];

  it('has each package after those it depends on', () => {
    assert.deepEqual(buildOrder(new Map([manifest('a', 'c'), manifest('b', 'a', 'z'), manifest('c')])), ['c', 'a', 'b']);
  });

  it('does not exist for a circle', () => {
    assert.throws(() => buildOrder(new Map([manifest('a', 'b'), manifest('b', 'a')])), /circle: a -> b -> a/);
  });
});
