// The published `heddle` command as a few large files instead of 600 small ones, which halves its start. What a command imports when it is
// called stays a file of its own. Programs that are started as processes lie beside `main.js`, where its parts look for them.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, relative } from 'node:path';

/** Started by name: `self.ts`, `worker-process.ts` and `proxy-static-file.ts` say where. */
const PROGRAMS = ['cli/src/main.ts', 'cli/src/commands/proxy-static-reader.ts', 'proxy/src/workers/worker-main.ts'];

/** These stay dependencies. The first read files of their own folder, or are shared with packages that do; the last two have no licence file. */
export const NOT_BUNDLED = ['@grpc/*', 'grpc-health-check', '@bufbuild/protobuf', '@bufbuild/cel'];

/** Beside the bundle: the licences of what is in it. */
export const NOTICES = 'THIRD-PARTY.txt';

/** What is used of esbuild. */
export interface Bundler {
  build(options: object): Promise<{
    readonly metafile: { readonly inputs: Readonly<Record<string, unknown>>; readonly outputs: Readonly<Record<string, unknown>> };
  }>;
}

/**
 * `toolsRoot` is where esbuild is installed. `out` is the `dist` of the CLI, whose `main.js` is replaced. Resolves to the names of the files.
 * Throws with esbuild's messages.
 */
export async function bundleCommand(root: string, toolsRoot: string, out: string = join(root, 'packages/cli/dist')): Promise<string[]> {
  const packages = join(root, 'packages');
  const bundler = createRequire(join(toolsRoot, 'package.json'))('esbuild') as Bundler;
  rmSync(join(out, 'main.js.map'), { force: true });
  const { metafile } = await bundler.build({
    entryPoints: PROGRAMS.map((program) => ({ in: join(packages, program), out: basename(program, '.ts') })),
    outdir: out,
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    chunkNames: 'part-[name]-[hash]',
    format: 'esm',
    platform: 'node',
    target: 'node24',
    conditions: ['heddle-source'],
    external: NOT_BUNDLED,
    // CommonJS packages ask for Node's own modules with `require`, which an ES module does not have.
    banner: { js: "import { createRequire as heddleRequire } from 'node:module';\nconst require = heddleRequire(import.meta.url);" },
    legalComments: 'none',
    metafile: true,
    logLevel: 'silent',
  });
  writeFileSync(join(out, NOTICES), thirdParty(root, Object.keys(metafile.inputs)));
  return [NOTICES, ...Object.keys(metafile.outputs).map((path) => basename(path))];
}

/** Names, versions and licences of the packages of which something is in the bundle, as their licences ask for. */
export function thirdParty(root: string, inputs: readonly string[]): string {
  const folders = new Set(inputs.flatMap((input) => /^.*\/?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0] ?? []));
  const notices = [...folders].map((folder) => {
    const place = join(root, folder);
    const { name, version, license } = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as Readonly<Record<string, string>>;
    const file = readdirSync(place).find((entry) => /^(licen[cs]e|copying)([-.].*)?$/i.test(entry));
    if (file === undefined || license === undefined) throw new Error(`${relative(root, place)} has no licence that could go along`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(place, file), 'utf8').trim()}\n`;
  });
  return `The files of this folder contain code of these packages.\n\n${notices.sort().join(`\n${'-'.repeat(72)}\n\n`)}`;
}

/** Whether the machine has what bundling needs. */
export function canBundle(toolsRoot: string): boolean {
  return existsSync(join(toolsRoot, 'node_modules/esbuild/package.json'));
}
