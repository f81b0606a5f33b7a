// Builds every package for publishing: JavaScript, declarations and source maps in `dist`, in the order of their dependencies,
// resolved as a user would resolve them (without the source condition); the `heddle` command is bundled besides. `npm run build -- wire core` builds some of them.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleClient } from './bundle-client.ts';
import { bundleCommand, canBundle } from './bundle.ts';
import { bundleDashboard } from './dashboard.ts';
import { run } from './run.ts';

export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** Package folders so that each comes after those it depends on. Throws when they depend on one another in a circle. */
export function buildOrder(manifests: ReadonlyMap<string, Manifest>): string[] {
  const folderOf = new Map([...manifests].map(([folder, { name }]) => [name, folder]));
  const order: string[] = [];
  const visit = (folder: string, path: readonly string[]): void => {
    if (order.includes(folder)) return;
    if (path.includes(folder)) throw new Error(`packages depend on one another in a circle: ${[...path, folder].join(' -> ')}`);
    for (const name of Object.keys(manifests.get(folder)?.dependencies ?? {}).sort()) {
      const dependency = folderOf.get(name);
      if (dependency !== undefined) visit(dependency, [...path, folder]);
    }
    order.push(folder);
  };
  for (const folder of [...manifests.keys()].sort()) visit(folder, []);
  return order;
}

export function readManifests(root: string): Map<string, Manifest> {
  const folders = readdirSync(join(root, 'packages')).filter((folder) => existsSync(join(root, 'packages', folder, 'package.json')));
  return new Map(
    folders.map((folder) => [folder, JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest]),
  );
}

/** Builds one package into its `dist`; throws with the compiler's messages. */
async function buildPackage(root: string, compiler: string, folder: string, manifest: Manifest): Promise<void> {
  const base = join(root, 'packages', folder);
  const project = join(base, 'dist/tsconfig.json');
  rmSync(dirname(project), { recursive: true, force: true });
  mkdirSync(dirname(project));
  const compilerOptions = {
    rootDir: '../src',
    outDir: '.',
    noEmit: false,
    customConditions: [],
    allowImportingTsExtensions: false,
    rewriteRelativeImportExtensions: true,
    declaration: true,
    declarationMap: true,
    sourceMap: true,
    stripInternal: true,
  };
  const exclude = ['../src/**/*.test.ts', '../src/**/testing/**', '../src/**/*test-support.ts', '../src/**/*-contract.ts'];
  writeFileSync(project, JSON.stringify({ extends: '../../../tsconfig.base.json', compilerOptions, include: ['../src/**/*.ts'], exclude }));
  try {
    const { code, output } = await run(root, compiler, ['-p', project, '--pretty', 'false']);
    if (code !== 0) throw new Error(`${manifest.name} does not compile:\n${output}`);
  } finally {
    rmSync(project, { force: true });
  }
  makeExecutable(base, manifest);
}

function makeExecutable(base: string, { bin = {} }: Manifest): void {
  for (const program of Object.values(bin)) chmodSync(join(base, program), 0o755);
}

const BUNDLES: Readonly<Record<string, (root: string, toolsRoot: string) => Promise<unknown>>> = {
  cli: bundleCommand,
  client: bundleClient,
  dashboard: bundleDashboard,
};
/** These have no modules for Node: their bundle is all there is. */
const PAGES: ReadonlySet<string> = new Set(['dashboard']);

async function bundle(root: string, folder: string, toolsRoot: string, write: (text: string) => void): Promise<void> {
  const make = BUNDLES[folder];
  if (make === undefined) return;
  if (canBundle(toolsRoot)) await make(root, toolsRoot);
  else if (PAGES.has(folder)) throw new Error(`esbuild is not installed (\`npm install\`): ${folder} cannot be built`);
  else write(`esbuild is not installed (\`npm install\`): ${folder} was not bundled, and starts slowly\n`);
}

/** `compilerRoot` is where TypeScript and esbuild are installed; another folder than `root` when a copy is built. */
export async function build(
  root: string,
  only: readonly string[],
  write: (text: string) => void,
  compilerRoot: string = root,
): Promise<void> {
  const manifests = readManifests(root);
  const unknown = only.filter((folder) => !manifests.has(folder));
  if (unknown.length > 0) throw new Error(`there is no package ${unknown.join(', ')}; choose from ${[...manifests.keys()].join(', ')}`);
  const compiler = join(compilerRoot, 'node_modules/@typescript/native/bin/tsc');
  for (const folder of buildOrder(manifests)) {
    const manifest = manifests.get(folder);
    if (manifest === undefined || (only.length > 0 && !only.includes(folder))) continue;
    if (!PAGES.has(folder)) await buildPackage(root, compiler, folder, manifest);
    await bundle(root, folder, compilerRoot, write);
    write(`built ${manifest.name}\n`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build(resolve(import.meta.dirname, '..'), process.argv.slice(2), (text) => process.stdout.write(text));
  } catch (error) {
    process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
