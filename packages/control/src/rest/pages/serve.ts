// Answers with the files of the dashboard. The page needs no token: what it shows, it asks the API for, with one. It may run nothing but its own
// script and talk to nobody but this server.
import { isKnown } from '../conditions.ts';
import { ProblemError } from '../problems.ts';
import { type PageFile, pagesDirectory, readPages } from './files.ts';

/** Besides those that every answer has. */
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
};

const LASTING = 'public, max-age=31536000, immutable';
/** Asked about again each time, so that an upgraded control plane shows its own. */
const FRESH = 'no-cache';

export interface PageRequest {
  readonly path: string;
  readonly acceptEncoding: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

export class Pages {
  readonly #directory: string | undefined;
  #files: ReadonlyMap<string, PageFile> | undefined;

  /** Default: those of the installed package. */
  constructor(directory: string | undefined = pagesDirectory()) {
    this.#directory = directory;
  }

  /** Undefined: there is no such file. Throws ProblemError NOT_FOUND where there is no dashboard. */
  answer({ path, acceptEncoding = '', ifNoneMatch }: PageRequest): Response | undefined {
    // Read at the first request: a control plane that nobody looks at does without.
    this.#files ??= this.#directory === undefined ? undefined : readPages(this.#directory);
    if (this.#files === undefined && path === '/')
      throw new ProblemError('NOT_FOUND', 'the dashboard has not been built', {
        mend: 'build it with `npm run generate`; the API is at /api/v1/openapi.json',
      });
    const file = this.#files?.get(path);
    if (file === undefined) return undefined;
    const headers: Record<string, string> = {
      ...PAGE_HEADERS,
      'content-type': file.type,
      'cache-control': file.isLasting ? LASTING : FRESH,
      // Weak: one tag for the file in whatever encoding.
      etag: `W/"${file.tag}"`,
      vary: 'accept-encoding',
    };
    if (isKnown(ifNoneMatch, file.tag)) return new Response(null, { status: 304, headers });
    const isPacked = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/i.test(acceptEncoding);
    const body = isPacked ? file.gzipped() : file.body;
    return new Response(body, {
      headers: { ...headers, 'content-length': String(body.length), ...(isPacked && { 'content-encoding': 'gzip' }) },
    });
  }
}
