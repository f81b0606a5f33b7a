// Which files are ours: what the checks look at, found by walking, so that a file cannot escape a check by not being listed.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The folders that hold code; everything else at the root is configuration or prose. */
const CODE_FOLDERS = ['packages', 'examples', 'tests', 'tools', 'bench'];
const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', '.heddle', '.toolchain', '.git']);
export const GENERATED_FOLDER = 'packages/api/src/gen';

const CODE = /(?<!\.d)\.(ts|tsx|mts|mjs|js)$/;

/** Paths relative to the root, sorted, of every file under the folders whose path matches; generated code is left out. */
export function listFiles(root: string, pattern: RegExp, folders: readonly string[] = CODE_FOLDERS): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!SKIPPED_FOLDERS.has(entry.name) && path !== GENERATED_FOLDER) walk(path);
      } else if (pattern.test(path)) found.push(path);
    }
  };
  const present = new Set(readdirSync(root));
  for (const folder of folders) if (folder === '' || present.has(folder)) walk(folder);
  return found.sort();
}

/** Hand-written code. */
export function sourceFiles(root: string): string[] {
  return listFiles(root, CODE);
}

export function isTestFile(path: string): boolean {
  return path.endsWith('.test.ts') || path.startsWith('tests/') || /(^|\/)(testing|test-support|fixtures)(\/|\.ts$)/.test(path);
}
