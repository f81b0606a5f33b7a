// Bundles the dashboard into `packages/dashboard/dist`: one page, one script and one style sheet with the hash of their content in their names, and
// the licences of what is in them. The bootstrap calls it when the sources are newer.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bundler, NOTICES, thirdParty } from './bundle.ts';

/** In the page, where the names of the bundle go. */
const PLACES: Readonly<Record<string, RegExp>> = { js: /%SCRIPT%/, css: /%STYLE%/ };

/** `toolsRoot` is where esbuild is installed. What is in `out` is replaced. Throws with esbuild's messages. */
export async function bundleDashboard(root: string, toolsRoot: string, out: string = join(root, 'packages/dashboard/dist')): Promise<void> {
  const home = join(root, 'packages/dashboard');
  const work = `${out}.${process.pid}`;
  const bundler = createRequire(join(toolsRoot, 'package.json'))('esbuild') as Bundler;
  try {
    const { metafile } = await bundler.build({
      entryPoints: [{ in: join(home, 'src/main.tsx'), out: 'app' }],
      outdir: join(work, 'assets'),
      absWorkingDir: root,
      bundle: true,
      entryNames: '[name]-[hash]',
      format: 'esm',
      platform: 'browser',
      target: ['es2022', 'chrome123', 'firefox121', 'safari17.5'],
      jsx: 'automatic',
      jsxImportSource: 'preact',
      minify: true,
      legalComments: 'none',
      metafile: true,
      logLevel: 'silent',
    });
    let page = readFileSync(join(home, 'src/index.html'), 'utf8');
    for (const path of Object.keys(metafile.outputs)) {
      const name = basename(path);
      page = page.replace(PLACES[name.split('.').at(-1) ?? ''] ?? /$^/, `/assets/${name}`);
    }
    writeFileSync(join(work, 'index.html'), page);
    writeFileSync(join(work, 'icon.svg'), readFileSync(join(home, 'src/icon.svg')));
    writeFileSync(join(work, NOTICES), thirdParty(root, Object.keys(metafile.inputs)));
    rmSync(out, { recursive: true, force: true });
    renameSync(work, out);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = resolve(import.meta.dirname, '..');
  try {
    await bundleDashboard(root, root);
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
