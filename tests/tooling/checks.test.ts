// The checks fail when they should: each is given a planted violation in a copy of the repository's shape.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LAYERS } from '../../.dependency-cruiser.mjs';
import { CHECKS, chooseChecks, runChecks } from '../../tools/check.ts';
import type { Check } from '../../tools/checks/check.ts';
import { deadLinks } from '../../tools/checks/docs.ts';
import { checkLayers } from '../../tools/checks/layers.ts';
import { bannedCalls, checkCalls, checkSize } from '../../tools/checks/source.ts';
import { TOOL_CHECKS } from '../../tools/checks/tools.ts';
import { readManifests } from '../../tools/build.ts';
import { listFiles, sourceFiles } from '../../tools/files.ts';
import { runProgram } from '../../tools/run.ts';
import { planTests, prepareTests } from '../../tools/test.ts';
import { testedCommand } from '../../tools/testing/command.ts';
import { groupTests, processOf, writeEntries } from '../../tools/testing/groups.ts';
import { longestFirst } from '../../tools/testing/times.ts';

const ROOT = resolve(import.meta.dirname, '../..');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'heddle-checks-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

describe('layers', () => {
  /** A repository of two files for each package, whose packages resolve one another as ours do. */
  function repository(extra: Readonly<Record<string, string>>): void {
    for (const file of ['tsconfig.json', 'tsconfig.base.json']) cpSync(join(ROOT, file), join(folder, file));
    for (const name of Object.keys(LAYERS)) {
      const exports = { '.': { 'heddle-source': './src/index.ts', default: './dist/index.js' } };
      write({
        [`packages/${name}/package.json`]: JSON.stringify({ name: `@heddle/${name}`, type: 'module', exports }),
        [`packages/${name}/src/index.ts`]: `export { ${name} } from './${name}.ts';\n`,
        [`packages/${name}/src/${name}.ts`]: `export const ${name} = 1;\n`,
      });
      mkdirSync(join(folder, 'node_modules/@heddle'), { recursive: true });
      symlinkSync(join(folder, 'packages', name), join(folder, 'node_modules/@heddle', name));
    }
    write(extra);
  }

  /** The checker resolves from the working folder, so it runs in a process of its own. */
  async function violations(files?: readonly string[]): Promise<{ ok: boolean; detail: string; output: string }> {
    const module = JSON.stringify(join(ROOT, 'tools/checks/layers.ts'));
    const code = `const { checkLayers } = await import(${module}); console.log(JSON.stringify(await checkLayers(process.cwd(), ${JSON.stringify(files)})));`;
    const { code: exitCode, output } = await runProgram(folder, process.execPath, ['--input-type=module', '-e', code]);
    assert.equal(exitCode, 0, output);
    return JSON.parse(output.slice(output.indexOf('{'))) as { ok: boolean; detail: string; output: string };
  }

  it('pass for what the table allows', async () => {
    repository({
      'packages/proxy/src/use.ts':
        "import { core } from '@heddle/core';\nimport { wire } from '@heddle/wire';\nexport const sum = core + wire;\n",
      'packages/cli/src/use.ts':
        "import { proxy } from '@heddle/proxy';\nimport { control } from '@heddle/control';\nexport const sum = proxy + control;\n",
    });
    const result = await violations();
    assert.equal(result.output, '');
    assert.equal(result.ok, true);
    assert.equal(result.detail, '24 of 24 modules');
  });

  const forbidden: [string, string, string, string][] = [
    [
      'an import that the table does not allow',
      'packages/wire/src/bad.ts',
      "import { core } from '@heddle/core';\nexport const x = core;\n",
      'layer-wire',
    ],
    [
      'an import of a type only',
      'packages/core/src/bad.ts',
      "import type { api } from '@heddle/api';\nexport type X = typeof api;\n",
      'layer-core',
    ],
    ['a relative way around the door', 'packages/api/src/bad.ts', "export { wire } from '../../wire/src/wire.ts';\n", 'layer-api'],
    ['proxy and control together, in a test too', 'packages/proxy/src/bad.test.ts', "import '@heddle/control';\n", 'planes-apart'],
    [
      'generated code outside api',
      'packages/control/src/bad.ts',
      "export { gen } from '../../api/src/gen/gen.ts';\n",
      'generated-only-in-api',
    ],
    ['input and output in a pure package', 'packages/core/src/bad.ts', "export { readFileSync } from 'node:fs';\n", 'pure-packages'],
    ['a socket in the data plane', 'packages/proxy/src/bad.ts', "export { connect } from 'node:net';\n", 'sockets-only-in-the-driver'],
    ['a cycle', 'packages/core/src/core.ts', "export * from './index.ts';\nexport const core = 1;\n", 'no-cycles'],
    ['an import that leads nowhere', 'packages/core/src/bad.ts', "export * from './nothing.ts';\n", 'resolvable'],
    ['a test that is imported', 'packages/core/src/bad.ts', "export * from './x.test.ts';\n", 'tests-are-leaves'],
    ['a package without a rule', 'packages/extra/src/bad.ts', "export { core } from '@heddle/core';\n", 'layer-unknown'],
    ['an example that knows the mesh', 'examples/shop/bad.ts', "export { core } from '@heddle/core';\n", 'examples-stand-alone'],
  ];
  for (const [what, path, text, rule] of forbidden) {
    it(`fail for ${what}`, async () => {
      repository({
        'packages/api/src/gen/gen.ts': 'export const gen = 1;\n',
        'packages/core/src/x.test.ts': 'export const x = 1;\n',
        [path]: text,
      });
      const { ok, output } = await violations();
      assert.equal(ok, false);
      assert.ok(output.includes(rule) && output.includes(path), output);
    });
  }

  it('fail when the checker has read fewer files than there are', async () => {
    // The checker's options leave out `dist`, as an unsupported compiler would leave out every file.
    repository({ 'packages/core/dist/x.ts': 'export const x = 1;\n' });
    const { ok, detail, output } = await violations(['packages/core/src/core.ts', 'packages/core/dist/x.ts']);
    assert.equal(ok, false);
    assert.equal(detail, '1 of 2 modules');
    assert.match(output, /packages\/core\/dist\/x\.ts was not read/);
  });

  it('fail when there is nothing to read', async () => {
    assert.equal((await checkLayers(ROOT, [])).ok, false);
  });

  it('have a row for each package, which its manifest agrees with', () => {
    const manifests = readManifests(ROOT);
    assert.deepEqual([...manifests.keys()].sort(), Object.keys(LAYERS).sort());
    for (const [name, { dependencies = {} }] of manifests) {
      const own = Object.keys(dependencies).filter((dependency) => dependency.startsWith('@heddle/'));
      const allowed = (LAYERS as Readonly<Record<string, readonly string[]>>)[name] ?? [];
      // The dashboard is files, which the control plane finds by its manifest; nobody imports it.
      for (const dependency of own.filter((one) => one !== '@heddle/dashboard'))
        assert.ok(allowed.includes(dependency.replace('@heddle/', '')), `${name} depends on ${dependency}`);
    }
  });
});

describe('banned calls', () => {
  const found = (text: string): string[] =>
    bannedCalls('packages/core/src/x.ts', text).map((line) => line.replace(/ is banned here.*/, ''));

  it('are found however they are written', () => {
    const cases: Record<string, string> = {
      'const a = Date.now();': '1:11 Date.now',
      'const a = new Date();': '1:11 new Date() without an argument',
      'const a = Math.random();': '1:11 Math.random',
      'const a = performance.now();': '1:11 performance.now',
      'setTimeout(f, 1);': '1:1 setTimeout',
      'setInterval(f, 1);': '1:1 setInterval',
      'const later = setTimeout;': '1:15 setTimeout',
      'globalThis.setTimeout(f, 1);': '1:1 setTimeout',
      'globalThis.Date.now();': '1:1 Date.now',
      "Date['now']();": '1:1 Date.now',
      'const { random } = Math;': '1:9 Math.random',
      'const clock = { now: Date.now };': '1:22 Date.now',
      "import { setTimeout as sleep } from 'node:timers/promises';": '1:1 node:timers/promises',
      "import { performance } from 'perf_hooks';": '1:1 node:perf_hooks',
    };
    for (const [text, expected] of Object.entries(cases)) assert.deepEqual(found(text)[0], `packages/core/src/x.ts:${expected}`, text);
  });

  it('are not mistaken', () => {
    for (const text of [
      'const a = new Date(0);',
      'clock.nowMs();',
      'socket.setTimeout(1);',
      'interface X { setTimeout(ms: number): void }',
      'const a = { setTimeout: 1 };',
      "const a = 'Date.now()'; // Math.random()",
      'Math.max(1, 2);',
      'type Timer = ReturnType<typeof setTimeout>;',
    ]) {
      assert.deepEqual(found(text), [], text);
    }
  });

  it('fail the check where decisions are made, and not where time is read', () => {
    const text = 'export const now = () => Date.now();\n';
    write({
      'packages/runtime/src/node/clock.ts': text,
      'packages/cli/src/x.ts': text,
      'tests/x.ts': text,
      'packages/core/src/x.test.ts': text,
    });
    assert.deepEqual(checkCalls(folder).output, '');
    assert.equal(checkCalls(folder).ok, true);
    write({ 'packages/proxy/src/x.ts': text });
    const { ok, output } = checkCalls(folder);
    assert.equal(ok, false);
    assert.match(output, /^packages\/proxy\/src\/x\.ts:1:26 Date\.now is banned here/);
  });
});

describe('length', () => {
  it('of a file has a ceiling; of a function it is told', () => {
    write({ 'packages/core/src/long.ts': `export function long(): void {\n${'  // line\n'.repeat(80)}}\n` });
    const noted = checkSize(folder);
    assert.equal(noted.ok, true);
    assert.match(noted.output, /long\.ts:1 long has 82 lines/);
    write({ 'packages/core/src/long.ts': '// line\n'.repeat(601) });
    const { ok, output } = checkSize(folder);
    assert.equal(ok, false);
    assert.match(output, /has 601 lines/);
  });
});

describe('tools', () => {
  const tool = (name: string): Check => TOOL_CHECKS.find((check) => check.name === name) ?? assert.fail(name);

  function repository(text: string): void {
    for (const file of ['biome.json', '.oxlintrc.json', 'tsconfig.json', 'tsconfig.base.json'])
      cpSync(join(ROOT, file), join(folder, file));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    write({ 'packages/core/src/x.ts': text, 'packages/dashboard/src/x.ts': 'export const x = 1;\n', 'package.json': '{"type":"module"}' });
    cpSync(join(ROOT, 'packages/dashboard/tsconfig.json'), join(folder, 'packages/dashboard/tsconfig.json'));
  }

  it('format: fails for a file that is laid out otherwise, and names it', async () => {
    repository('export const a   = "x"\n');
    const { ok, output } = await tool('format').run(folder);
    assert.equal(ok, false);
    assert.match(output, /packages\/core\/src\/x\.ts/);
  });

  it('lint: fails for a promise that nobody waits for, which needs types to see', async () => {
    repository('async function work(): Promise<void> {}\nexport function start(): void {\n  work();\n}\n');
    const { ok, output } = await tool('lint').run(folder);
    assert.equal(ok, false);
    assert.match(output, /x\.ts:3:3: .*no-floating-promises/);
  });

  it('types: fails for a wrong type', async () => {
    repository("export const a: number = 'x';\n");
    const { ok, output } = await tool('types').run(folder);
    assert.equal(ok, false);
    assert.match(output, /x\.ts\(1,14\): error TS2322/);
  });

  it('format, lint and types: pass for good code', async () => {
    repository("export const a: string = 'x';\n");
    for (const name of ['format', 'lint', 'types']) {
      const { ok, output } = await tool(name).run(folder);
      assert.ok(ok, `${name}: ${output}`);
    }
  });
});

describe('links', () => {
  it('must lead to a file, and to a heading in it', () => {
    write({
      'README.md':
        '[a](docs/a.md) [b](docs/a.md#two-words) [c](nothing.md) [d](docs/a.md#none) [e](https://example.org) [f](#here)\n\n# Here\n\n`[g](x)`\n',
      'docs/a.md': '# One\n\n## Two words\n\n[back](../README.md#here)\n',
    });
    assert.deepEqual(deadLinks(folder, 'README.md'), [
      'README.md: the link to nothing.md leads nowhere',
      'README.md: docs/a.md has no heading for #none',
    ]);
    assert.deepEqual(deadLinks(folder, 'docs/a.md'), []);
  });
});

describe('npm run check', () => {
  const check = (name: string, ok: boolean): Check => ({
    name,
    what: 'something',
    run: async () => ({ ok, detail: 'x', output: ok ? '' : 'why' }),
  });

  it('runs everything, in order, even when something fails or cannot run', async () => {
    let text = '';
    const broken: Check = { name: 'broken', what: 'x', run: async () => Promise.reject(new Error('no luck')) };
    const failed = await runChecks(folder, [check('a', true), check('b', false), broken, check('c', true)], (part) => (text += part));
    assert.deepEqual(failed, ['b', 'broken']);
    assert.match(
      text,
      /^ok {4}a .*\nFAIL {2}b .*\n {6}why\nFAIL {2}broken .*could not run\n {6}Error: no luck[\s\S]*ok {4}c .*\n\n2 of 4 checks failed: b, broken in/,
    );
  });

  it('runs only what is asked for', () => {
    assert.deepEqual(chooseChecks([]), CHECKS);
    const names = (args: string[]) => (chooseChecks(args) as Check[]).map(({ name }) => name);
    assert.deepEqual(names(['--only', 'types,lint']), ['lint', 'types']);
    assert.deepEqual(names(['--only=docs', '--only', 'size']), ['size', 'docs']);
    assert.match(chooseChecks(['--only', 'typo']) as string, /no check typo; choose from format, lint/);
    assert.match(chooseChecks(['--only']) as string, /needs names/);
    assert.match(chooseChecks(['--fast']) as string, /unknown argument --fast/);
  });
});

describe('npm test', () => {
  const all = ['packages/core/src/a.test.ts', 'packages/wire/src/b.test.ts', 'packages/wire-more/src/c.test.ts', 'tests/tooling/d.test.ts'];

  it('runs everything, a folder, a file, or the tests of a file, and hands options on', () => {
    assert.deepEqual(new Set(planTests(all, []).files), new Set(all));
    assert.deepEqual(planTests(all, ['packages/wire/']).files, ['packages/wire/src/b.test.ts']);
    assert.deepEqual(planTests(all, ['packages/core/src/a.ts', './tests']).files, [
      'packages/core/src/a.test.ts',
      'tests/tooling/d.test.ts',
    ]);
    assert.deepEqual(planTests(all, ['--test-only', 'tests']).nodeOptions, ['--test-only']);
    assert.deepEqual(planTests(all, ['packages/wire', 'nowhere']).unmatched, ['nowhere']);
  });

  it('has files of pure packages share processes, the same ones in each run, and each of the others its own', () => {
    const core = Array.from({ length: 60 }, (_, index) => `packages/core/src/${String(index).padStart(2, '0')}.test.ts`);
    const groups = groupTests([...core, 'tests/soak/fuzz.test.ts', 'packages/dataplane/src/data-plane-egress.test.ts']);
    assert.deepEqual(
      groups.map(({ name, files }) => [name, files.length]),
      [
        ['tests-soak-fuzz', 1],
        ['packages-dataplane-src-data-plane-egress', 1],
        ['core-1', 20],
        ['core-2', 20],
        ['core-3', 20],
      ],
    );
    assert.deepEqual(groups.flatMap(({ files }) => files).slice(2), core);
  });

  it('begins with what took longest, and with the end-to-end tests while nothing is known', () => {
    const [fast, slow, end] = groupTests(['packages/a/x.test.ts', 'packages/a/y.test.ts', 'tests/z.test.ts']);
    const order = (times: Record<string, number>): unknown => longestFirst([fast!, slow!, end!], times);
    assert.deepEqual(order({}), [end, fast, slow]);
    assert.deepEqual(order({ 'packages-a-x': 10, 'packages-a-y': 20_000, 'tests-z': 11_000 }), [slow, end, fast]);
  });

  it('runs files that share a process as suites of their own: hooks stay with their file, and what fails is named', async () => {
    write({
      'a.test.ts': `import { after, beforeEach, test } from 'node:test';
        beforeEach(() => console.log('hook of a'));
        after(() => console.log('end of a'));
        test('first', () => console.log('in a'));`,
      'b.test.ts': `import { test } from 'node:test';
        test('second', () => { console.log('in b'); throw new Error('on purpose'); });`,
      'c.test.ts': "await import('./nothing.ts');",
    });
    const entries = writeEntries(folder, folder, [{ name: 'abc', files: ['a.test.ts', 'b.test.ts', 'c.test.ts'] }]);
    assert.deepEqual(entries.map(processOf), ['abc']);
    const { code, output } = await runProgram(folder, process.execPath, ['--test', '--test-reporter=spec', ...entries], {
      NODE_TEST_CONTEXT: undefined,
    });
    assert.equal(code, 1);
    assert.match(output, /hook of a\s+in a\s+end of a\s+in b/);
    assert.match(output, /✖ b\.test\.ts/);
    assert.match(output, /on purpose/);
    assert.match(output, /✖ c\.test\.ts[^]*nothing\.ts/);
  });

  it('hands reporters on, and groups nothing when names are looked for', async () => {
    const files = ['packages/core/src/a.test.ts', 'packages/core/src/b.test.ts'];
    const plan = async (...options: string[]): Promise<string[]> => {
      const { args, dispose } = await prepareTests(folder, planTests(files, [...options, 'packages/core']));
      dispose();
      return [...args];
    };
    const entries = (args: readonly string[]): unknown => args.map(processOf).filter((name) => name !== undefined);
    const plain = await plan();
    assert.deepEqual(entries(plain), ['core-1']);
    assert.ok(plain.includes('--test-reporter=spec') && plain.includes('--test-reporter-destination=stdout'));
    const chosen = await plan('--test-reporter=dot', '--test-reporter-destination=out.txt');
    assert.deepEqual(entries(chosen), ['core-1']);
    assert.ok(chosen.includes('--test-reporter-destination=out.txt') && !chosen.includes('--test-reporter=spec'));
    const named = await plan('--test-name-pattern=first');
    assert.deepEqual(named.slice(-2), files);
    assert.ok(named.includes('--test-name-pattern=first'));
  });

  it('starts the command from its sources where it cannot be bundled, and says why', async () => {
    let said = '';
    const command = (): Promise<string | undefined> => testedCommand(folder, (text) => (said += text));
    assert.deepEqual([await command(), said], [undefined, ''], 'without a bundler');
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(join(ROOT, 'node_modules/esbuild'), join(folder, 'node_modules/esbuild'));
    write({ 'package.json': '{}', 'packages/cli/package.json': '{}', 'packages/cli/preload/x.cjs': '' });
    assert.equal(await command(), undefined);
    assert.match(said, /could not be bundled.*main\.ts/s);
  });

  it('finds every test file of the repository', () => {
    const found = listFiles(ROOT, /\.test\.ts$/);
    assert.ok(found.includes('tests/tooling/checks.test.ts'));
    assert.ok(found.some((file) => file.startsWith('packages/')));
    assert.ok(!found.some((file) => file.includes('node_modules')));
    assert.deepEqual(
      sourceFiles(ROOT).filter((file) => file.startsWith('packages/api/src/gen/')),
      [],
    );
  });
});
