// The files of the dashboard, as they are served: read once, with their types, entity tags, and compressed when first asked for so.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

export interface PageFile {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly type: string;
  /** Entity tag without its quotes. */
  readonly tag: string;
  /** Its name has the hash of its content: it never changes. */
  readonly isLasting: boolean;
  gzipped(): Uint8Array<ArrayBuffer>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** Where the package of the dashboard keeps them; undefined where it is not installed. */
export function pagesDirectory(): string | undefined {
  try {
    return dirname(fileURLToPath(import.meta.resolve('@heddle/dashboard/index.html')));
  } catch {
    return undefined;
  }
}

/** By path: `/`, `/assets/app-….js`. Undefined: they have not been built. */
export function readPages(directory: string): ReadonlyMap<string, PageFile> | undefined {
  let names: string[];
  try {
    names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  } catch {
    return undefined;
  }
  const pages = new Map<string, PageFile>();
  for (const name of names) {
    const type = TYPES[extname(name)];
    const path = join(directory, name);
    if (type === undefined || !statSync(path).isFile()) continue;
    const file = pageFile(readFileSync(path), type, name.startsWith('assets'));
    pages.set(name === 'index.html' ? '/' : `/${name.replaceAll('\\', '/')}`, file);
  }
  return pages.has('/') ? pages : undefined;
}

function pageFile(content: Uint8Array, type: string, isLasting: boolean): PageFile {
  let packed: Uint8Array<ArrayBuffer> | undefined;
  const body = new Uint8Array(content);
  return {
    body,
    type,
    tag: createHash('sha256').update(body).digest('base64url').slice(0, 22),
    isLasting,
    gzipped: () => (packed ??= new Uint8Array(gzipSync(body))),
  };
}
