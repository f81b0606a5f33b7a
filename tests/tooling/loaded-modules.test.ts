// What runs beside every service is loaded for every service: no code that only a reader of mesh files needs.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, describe, it } from 'node:test';
import { Cleanup, control, joinToken } from '../support/planes.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const RECORDER = join(ROOT, 'tests/fixtures/record-loads.mjs');
const MAIN = join(ROOT, 'packages/cli/src/main.ts');
const DEADLINE_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), 'heddle-loaded-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The packages of node_modules of which a Node process, or one that it started, loaded a module, by `import` or by `require`. */
async function packagesLoaded(args: readonly string[], stopAt?: string): Promise<Set<string>> {
  const urls = [...(await modulesLoaded(args, stopAt)).values()].flat();
  return new Set(urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []));
}

/**
 * The URLs of the modules that each process loaded, those of Node included, by process id.
 * @param stopAt what it writes when it has started and is told to stop; without it, the process ends by itself.
 */
async function modulesLoaded(args: readonly string[], stopAt?: string): Promise<Map<string, string[]>> {
  const file = join(mkdtempSync(join(folder, 'run-')), 'loaded');
  const child = spawn(process.execPath, ['--conditions=heddle-source', '--import', RECORDER, ...args], {
    cwd: ROOT,
    env: { ...process.env, LOADED_MODULES: file, HEDDLE_JOIN_TOKEN: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  let output = '';
  const read = (text: string): void => {
    output += text;
    if (stopAt !== undefined && output.includes(stopAt)) child.kill('SIGTERM');
  };
  child.stdout.setEncoding('utf8').on('data', read);
  child.stderr.setEncoding('utf8').on('data', read);
  const code = await new Promise((done, failed) => child.on('error', failed).on('close', done));
  assert.equal(code, 0, output);
  assert.ok(stopAt === undefined || output.includes(stopAt), output);
  const loaded = new Map<string, string[]>();
  for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
    const [pid = '', url = ''] = line.split(' ');
    loaded.set(pid, [...(loaded.get(pid) ?? []), url]);
  }
  return loaded;
}

/** Those of them that only a reader of mesh files or of conditions needs. */
const ofReaders = (packages: ReadonlySet<string>): string[] => ['zod', 'yaml', '@bufbuild/cel'].filter((name) => packages.has(name));

/** What a static proxy has no use for once its file is read. */
const UNNEEDED = /\/node_modules\/(?:@grpc|@bufbuild|zod|yaml)\/|\/packages\/(?:api|control)\/|^node:http2?$/;

describe('the code that a process loads', () => {
  it('has no schema, no YAML, no conditions and no library of gRPC in a proxy that follows a control plane', async (t) => {
    const cleanup = new Cleanup();
    t.after(() => cleanup.run());
    const plane = await control(cleanup);
    const token = join(folder, 'token');
    writeFileSync(token, await joinToken(plane, 'operator', 'heddle-system'), { mode: 0o600 });
    const args = ['--node', 'x', '--control', `${plane.address}:${plane.port}`, '--join-token-file', token, '--outbound-port', '0'];
    const more = ['--admin-port', '0', '--log-format', 'json', '--state-dir', join(folder, 'state')];
    const packages = await packagesLoaded([MAIN, 'proxy', ...args, ...more], 'configuration stream is up');
    assert.ok(packages.has('@bufbuild/protobuf') && packages.has('pino'), [...packages].join(', '));
    assert.deepEqual(ofReaders(packages), []);
    assert.deepEqual(
      [...packages].filter((name) => name.startsWith('@grpc/')),
      [],
    );
  });

  it('has neither these nor gRPC, protobuf or node:http in a static proxy, with one process or with workers', async () => {
    const file = join(folder, 'static.yaml');
    writeFileSync(
      file,
      'listeners:\n  - { port: 0, protocol: http, service: a }\nservices:\n  a: { protocol: http, endpoints: ["127.0.0.1:1"] }\n',
    );
    for (const [workers, processes] of [
      ['1', 1],
      ['2', 3],
    ] as const) {
      const args = [MAIN, 'proxy', '--static', file, '--workers', workers, '--admin-port', '0', '--log-format', 'json'];
      const all = [...(await modulesLoaded(args, 'the proxy is up')).values()];
      const isReader = (urls: string[]): boolean => urls.some((url) => url.endsWith('/commands/proxy-static-reader.ts'));
      assert.ok(all.some((urls) => isReader(urls) && urls.some((url) => UNNEEDED.test(url))));
      const staying = all.filter((urls) => !isReader(urls));
      assert.equal(staying.length, processes);
      for (const urls of staying) {
        assert.ok(urls.some((url) => url.endsWith('/packages/dataplane/src/data-plane.ts')));
        assert.deepEqual(
          urls.filter((url) => UNNEEDED.test(url)),
          [],
        );
      }
    }
  });

  it('has neither in the supervisor of a sidecar', async () => {
    const packages = await packagesLoaded([
      '--input-type=module',
      '-e',
      `await import(${JSON.stringify(join(ROOT, 'packages/cli/src/commands/run.ts'))})`,
    ]);
    assert.ok(packages.has('@grpc/grpc-js'), [...packages].join(', '));
    assert.deepEqual(ofReaders(packages), []);
  });

  it('has both where a mesh file is read, so that they would be seen', async () => {
    const file = join(folder, 'heddle.yaml');
    writeFileSync(file, 'mesh: test\nservices:\n  orders: { port: 8081, uses: [] }\n');
    const packages = await packagesLoaded([MAIN, 'validate', '--file', file]);
    assert.deepEqual(ofReaders(packages), ['zod', 'yaml']);
  });
});
