// The example clients of `heddle.discovery.v1`, made from the .proto files as a stranger would: copied away, generated, and for Go built
// once for each state of their sources.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cleanup, temporaryDirectory } from '../../support/planes.ts';
import { pathOf, pythonWith, reason, run } from './programs.ts';
import { testCache } from './python-packages.ts';

const EXAMPLES = join(import.meta.dirname, '../../../examples/discovery-clients');
const PROTO = join(import.meta.dirname, '../../../packages/api/proto');
const GO_BUILD_TIMEOUT_MS = 300_000;

export interface DiscoveryExample {
  readonly language: string;
  readonly command: string;
  /** The command line for one of `list`, `watch`, `register`. */
  args(control: string, stateDir: string, command: string, options: Readonly<Record<string, string>>): string[];
}

const python = pythonWith('grpc, grpc_tools');
const go = [pathOf('go'), '/usr/local/go/bin/go'].find(existsSync);
const goCache = (): string => {
  const hash = createHash('sha256');
  const sources = ['go/main.go', 'go/go.mod', 'go/go.sum', 'go/generate.sh'].map((name) => join(EXAMPLES, name));
  for (const file of [...sources, join(PROTO, 'heddle/discovery/v1/discovery.proto')]) hash.update(readFileSync(file));
  return testCache(`discovery-go-${hash.digest('hex').slice(0, 16)}`);
};

export const skipPython =
  python === undefined ? reason('grpcio and grpcio-tools for Python (Debian packages python3-grpcio, python3-grpc-tools)') : false;
export const skipGo = whyNoGo();

function whyNoGo(): string | false {
  if (existsSync(goCache())) return false;
  if (go === undefined || python === undefined) return reason('go (https://go.dev/dl) and protoc (Debian package python3-grpc-tools)');
  return reason('the example in Go, which is built only when HEDDLE_REQUIRE_INTEROP=1 is set');
}

/** Throws with what went wrong. */
export async function pythonExample(cleanup: Cleanup): Promise<DiscoveryExample> {
  const folder = await copied(cleanup, 'python');
  await must('/bin/sh', [join(folder, 'generate.sh')], { PROTO, PYTHON: python ?? 'python3' });
  return {
    language: 'Python',
    command: python ?? 'python3',
    args: (control, stateDir, command, options) => [
      ...['-u', join(folder, 'discovery_client.py'), '--control', control, '--state-dir', stateDir, command],
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]),
    ],
  };
}

/** Throws with what went wrong. */
export async function goExample(cleanup: Cleanup): Promise<DiscoveryExample> {
  const path = goCache();
  if (!existsSync(path)) {
    const folder = await copied(cleanup, 'go');
    const env = { PROTO, PROTOC: `${python ?? 'python3'} -m grpc_tools.protoc`, PATH: `${process.env.PATH}:${join(go ?? '', '..')}` };
    await must('/bin/sh', [join(folder, 'generate.sh')], env);
    mkdirSync(testCache(), { recursive: true });
    const target = testCache(`discovery-build-${process.pid}`);
    await must(go ?? 'go', ['build', '-trimpath', '-o', target, '.'], { GOFLAGS: '-mod=readonly' }, folder);
    renameSync(target, path);
  }
  return {
    language: 'Go',
    command: path,
    args: (control, stateDir, command, { lease, ...options }) => [
      ...['-control', control, '-state-dir', stateDir, ...(lease === undefined ? [] : ['-lease', `${lease}s`])],
      ...Object.entries(options).flatMap(([name, value]) => [`-${name}`, value]),
      command,
    ],
  };
}

async function copied(cleanup: Cleanup, language: string): Promise<string> {
  const folder = await temporaryDirectory(cleanup);
  await cp(join(EXAMPLES, language), folder, { recursive: true, filter: (path) => !path.endsWith('generated') });
  return folder;
}

async function must(program: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd?: string): Promise<void> {
  const { code, stderr } = await run(program, args, { env, timeoutMs: GO_BUILD_TIMEOUT_MS, ...(cwd === undefined ? {} : { cwd }) });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${stderr}`);
}
