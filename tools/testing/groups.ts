// Which test files share a process. Those of a package of pure decisions spend most of their time on starting Node and loading the same modules: a
// few processes run them all, one after the other, each file as a suite of its own, so that its hooks are its own too. A file that changes what
// belongs to the whole process is left alone.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Files that share processes, so many at most in each. */
interface SharedFiles {
  readonly name: string;
  readonly paths: RegExp;
  readonly filesMax: number;
}

/** Measured: a third to a half of the work of one process for each file. Where a file's own work counts for more, or it starts programs, it is alone. */
const SHARED: readonly SharedFiles[] = [
  { name: 'core', paths: /^packages\/core\//, filesMax: 25 },
  { name: 'api', paths: /^packages\/api\//, filesMax: 13 },
  { name: 'wire', paths: /^packages\/wire\//, filesMax: 13 },
  { name: 'runtime', paths: /^packages\/(runtime|dns)\//, filesMax: 20 },
  { name: 'control', paths: /^packages\/control\//, filesMax: 14 },
  { name: 'data-plane', paths: /^packages\/dataplane\/src\/data-plane-/, filesMax: 6 },
  { name: 'dataplane', paths: /^packages\/dataplane\//, filesMax: 15 },
  // Both planes in the test itself; the names are those that begin so.
  {
    name: 'planes',
    paths: /^tests\/integration\/(administration|compromised|explain|mtls|planes(?!-healing)|rest|rules|secrets|tokens)/,
    filesMax: 4,
  },
];

/** These change or measure what belongs to the whole process. */
const ALONE: ReadonlySet<string> = new Set([
  // The roots that Node trusts, which it reads once.
  'packages/dataplane/src/data-plane-egress.test.ts',
  // How much memory is used.
  'packages/dataplane/src/data-plane-http2-abuse.test.ts',
]);

/** What one process runs. */
export interface TestProcess {
  /** Of a group, or of its only file; the same in every run of all tests. */
  readonly name: string;
  /** Relative to the root. */
  readonly files: readonly string[];
}

export function groupTests(files: readonly string[]): TestProcess[] {
  const alone: string[] = [];
  const members = new Map<SharedFiles, string[]>();
  for (const file of files) {
    const shared = ALONE.has(file) ? undefined : SHARED.find(({ paths }) => paths.test(file));
    if (shared === undefined) alone.push(file);
    else members.set(shared, [...(members.get(shared) ?? []), file]);
  }
  return [...eachAlone(alone), ...[...members].flatMap(([shared, itsFiles]) => split(shared, itsFiles))];
}

function eachAlone(files: readonly string[]): TestProcess[] {
  return files.map((file) => ({ name: nameOf(file.replace(/\.test\.ts$/, '')), files: [file] }));
}

/** Equal parts in the order of the names, so that a file has the same neighbours in every run of all. */
function split({ name, filesMax }: SharedFiles, files: readonly string[]): TestProcess[] {
  const count = Math.ceil(files.length / filesMax);
  return Array.from({ length: count }, (_, index) => ({
    name: `${name}-${index + 1}`,
    files: files.slice(Math.floor((index * files.length) / count), Math.floor(((index + 1) * files.length) / count)),
  }));
}

function nameOf(path: string): string {
  return path.replace(/[^\w-]+/g, '-');
}

/**
 * Writes the module that each process runs to `folder`, and returns their paths. Node's runner begins with what sorts first, so they are numbered in
 * the order of `processes`.
 */
export function writeEntries(root: string, folder: string, processes: readonly TestProcess[]): string[] {
  return processes.map(({ name, files }, index) => {
    const entry = join(folder, `${String(index).padStart(4, '0')}-${name}.mjs`);
    writeFileSync(entry, files.length === 1 ? loadOf(root, files[0] ?? '') : suitesOf(root, files));
    return entry;
  });
}

/** The name of the process whose entry that is. */
export function processOf(entry: string): string | undefined {
  return /(?:^|\/)\d{4}-([\w-]+)\.mjs$/.exec(entry)?.[1];
}

function loadOf(root: string, file: string): string {
  return `await import(${JSON.stringify(pathToFileURL(join(root, file)).href)});\n`;
}

function suitesOf(root: string, files: readonly string[]): string {
  const suites = files.map((file) => `describe(${JSON.stringify(file)}, async () => {\n  ${loadOf(root, file)}});\n`);
  return `import { describe } from 'node:test';\n${suites.join('')}`;
}
