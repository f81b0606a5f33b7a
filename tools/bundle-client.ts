// The published `@heddle/client` as few files, so that it starts quickly: its doors, and apart from them, in `@heddle/dataplane`, the engine, of which
// an application loads what it uses when it uses it. The client is what an application depends on; the engine is the same in every placement.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Bundler, NOT_BUNDLED } from './bundle.ts';

interface Plugins {
  readonly onResolve: (options: { filter: RegExp; namespace?: string }, resolve: (asked: { path: string }) => object | undefined) => void;
  readonly onLoad: (options: { filter: RegExp; namespace: string }, load: (asked: { path: string }) => object) => void;
}

/** The packages that are the engine of the data plane. */
const ENGINE = /^@heddle\/(?:api|core|dataplane|runtime|wire)(?:\/|$)/;
/** Where it is, for the client: one door for each door of these packages that is used. */
const ENGINE_DOORS = '@heddle/dataplane/inside';

const LIBRARY = {
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  conditions: ['heddle-source'],
  // Names stay for those who read a stack trace or a profile.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'silent',
};

/** Replaces the JavaScript in the `dist` of the client, and puts the engine into that of the data plane. Throws with esbuild's messages. */
export async function bundleClient(root: string, toolsRoot: string): Promise<void> {
  const bundler = createRequire(join(toolsRoot, 'package.json'))('esbuild') as Bundler;
  const client = join(root, 'packages/client');
  const { exports } = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8')) as { exports: Record<string, { default: string }> };
  const doors = Object.values(exports).map((door) => /^\.\/dist\/(.+)\.js$/.exec(door.default)?.[1] ?? '');
  const out = join(client, 'dist');
  removeCode(out);
  const names = new Map<string, Set<string>>();
  await bundler.build({
    ...LIBRARY,
    // The second half of `register`, which most processes never load.
    entryPoints: [...doors, 'register/join'].map((door) => ({ in: join(client, 'src', `${door}.ts`), out: door })),
    outdir: out,
    absWorkingDir: root,
    chunkNames: 'parts/[name]-[hash]',
    plugins: [{ name: 'engine-apart', setup: (plugins: Plugins) => engineApart(plugins) }],
  });
  for (const file of codeFiles(out)) noteImports(readFileSync(join(out, file), 'utf8'), names);
  await bundler.build({
    ...LIBRARY,
    entryPoints: [...names.keys()].map((door) => ({ in: `engine:${door}`, out: door })),
    outdir: join(root, 'packages/dataplane/dist/inside'),
    absWorkingDir: root,
    chunkNames: 'parts/[name]-[hash]',
    external: [...NOT_BUNDLED, 'jose'],
    plugins: [{ name: 'engine-doors', setup: (plugins: Plugins) => engineDoors(plugins, names, client) }],
  });
}

/** `@heddle/runtime/node` becomes `@heddle/dataplane/inside/runtime-node`, which is made afterwards. */
function engineApart({ onResolve }: Plugins): void {
  onResolve({ filter: ENGINE }, ({ path }) => ({
    path: `${ENGINE_DOORS}/${path.slice('@heddle/'.length).replaceAll('/', '-')}`,
    external: true,
  }));
}

function engineDoors({ onResolve, onLoad }: Plugins, names: ReadonlyMap<string, ReadonlySet<string>>, resolveDir: string): void {
  onResolve({ filter: /^engine:/ }, ({ path }) => ({ path: path.slice('engine:'.length), namespace: 'engine' }));
  onLoad({ filter: /.*/, namespace: 'engine' }, ({ path }) => {
    const contents = `export { ${[...(names.get(path) ?? [])].sort().join(', ')} } from '@heddle/${path.replace('-', '/')}';`;
    return { contents, resolveDir, loader: 'js' };
  });
}

/** Which names of which door of the engine the code of a bundle imports. */
function noteImports(code: string, names: Map<string, Set<string>>): void {
  for (const [, list = '', door = ''] of code.matchAll(/import\s*\{([^}]*)\}\s*from\s*"@heddle\/dataplane\/inside\/([^"]+)"/g)) {
    const known = names.get(door) ?? new Set();
    for (const name of list.split(',')) known.add(name.trim().split(/\s+as\s+/)[0]!);
    names.set(door, known);
  }
}

function codeFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
}

/** Declarations stay; maps would lead to sources that are not shipped. */
function removeCode(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) if (/\.(?:js|map)$/.test(name)) rmSync(join(folder, name));
}
