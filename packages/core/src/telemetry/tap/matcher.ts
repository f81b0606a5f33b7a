// Whether a request fits a filter. Made once for each tap, asked for each request: the cheap questions come first, and nothing is put together.
import type { TapFilter } from './order.ts';

/** What a filter looks at. */
export interface TapCandidate {
  readonly source: string;
  readonly destination: string;
  readonly instance: string;
  readonly route: string;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** 0: there was no answer. In words of HTTP whatever was spoken. */
  readonly status: number;
  /** Empty: none. */
  readonly error: string;
  readonly durationMs: number;
  readonly traceId: string;
}

const ANY = 'any';

export class TapMatcher {
  readonly #filter: TapFilter;
  readonly #method: string | undefined;
  readonly #traceId: string | undefined;
  /** Statuses from and to, in pairs. */
  readonly #statuses: readonly number[];
  readonly #parts: readonly string[] | undefined;

  constructor(filter: TapFilter) {
    this.#filter = filter;
    this.#method = filter.method?.toUpperCase();
    this.#traceId = filter.traceId?.toLowerCase();
    this.#statuses = (filter.status?.split(',') ?? []).flatMap((part) => {
      const first = Number(/xx$/i.test(part) ? `${part[0]}00` : part);
      return [first, /xx$/i.test(part) ? first + 99 : first];
    });
    this.#parts = filter.path?.includes('*') === true ? filter.path.split('*') : undefined;
  }

  fits(request: TapCandidate): boolean {
    const { service, source, destination, instance, route, slowerThanMs, error } = this.#filter;
    if (destination !== undefined && request.destination !== destination) return false;
    if (source !== undefined && request.source !== source) return false;
    if (service !== undefined && request.destination !== service && request.source !== service) return false;
    if (slowerThanMs !== undefined && request.durationMs < slowerThanMs) return false;
    if (error !== undefined && !fitsError(error, request)) return false;
    if (this.#statuses.length > 0 && !this.#fitsStatus(request.status)) return false;
    if (instance !== undefined && request.instance !== instance) return false;
    if (route !== undefined && (request.route || 'default') !== route) return false;
    if (this.#method !== undefined && request.method !== this.#method) return false;
    if (this.#traceId !== undefined && request.traceId !== this.#traceId) return false;
    return this.#fitsPath(request.path);
  }

  #fitsStatus(status: number): boolean {
    for (let at = 0; at < this.#statuses.length; at += 2)
      if (status >= this.#statuses[at]! && status <= this.#statuses[at + 1]!) return true;
    return false;
  }

  #fitsPath(path: string): boolean {
    const { path: wanted } = this.#filter;
    if (wanted === undefined) return true;
    const parts = this.#parts;
    if (parts === undefined) return path.startsWith(wanted);
    const [first = '', last = ''] = [parts[0], parts.at(-1)];
    if (path.length < first.length + last.length || !path.startsWith(first) || !path.endsWith(last)) return false;
    // From left to right, each as early as it can be: linear in the path for each part.
    const end = path.length - last.length;
    let at = first.length;
    for (let index = 1; index < parts.length - 1; index += 1) {
      const found = path.indexOf(parts[index]!, at);
      if (found === -1 || found + parts[index]!.length > end) return false;
      at = found + parts[index]!.length;
    }
    return true;
  }
}

/** `5xx`: the application answered so; a failure too. */
function fitsError(wanted: string, { error, status }: TapCandidate): boolean {
  const isOfApplication = error === '' && status >= 500;
  if (wanted === ANY) return error !== '' || isOfApplication;
  return wanted === '5xx' ? isOfApplication : error === wanted;
}
