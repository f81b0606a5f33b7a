// Calls of the REST API with the token of who has logged in. What is refused is an ApiError, in the words of the control plane.
import type { Problem } from './types.ts';

export class ApiError extends Error {
  /** 0: there was no answer. */
  readonly status: number;
  readonly code: string;
  /** What to do about it; empty: nobody knows. */
  readonly mend: string;

  constructor(status: number, code: string, message: string, mend = '') {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.mend = mend;
  }
}

export interface ApiOptions {
  /** Undefined: nobody has logged in. */
  readonly token: () => string | undefined;
  /** The token is not taken any more. */
  readonly onRefused: () => void;
  readonly fetch: typeof fetch;
}

type Query = Readonly<Record<string, string | number | undefined>>;

export interface StreamOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Api {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  /** Rejects with ApiError; with the reason of `signal` when that is aborted. */
  async get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
    const response = await this.#fetch(withQuery(path, query), signal === undefined ? {} : { signal });
    return (await response.json()) as T;
  }

  /** Undefined where the answer has no body. Rejects with ApiError. */
  async send<T>(method: 'PUT' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T | undefined> {
    const response = await this.#fetch(path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return text === '' ? undefined : (JSON.parse(text) as T);
  }

  /** The answer when its head is there; its body goes on. Rejects with ApiError. */
  stream(path: string, query: Query, { signal, headers = {} }: StreamOptions): Promise<Response> {
    return this.#fetch(withQuery(path, query), { signal, headers: { accept: 'text/event-stream', ...headers } });
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const token = this.#options.token();
    const headers = { ...(init.headers as Record<string, string>), ...(token !== undefined && { authorization: `Bearer ${token}` }) };
    let response: Response;
    try {
      response = await this.#options.fetch(`/api/v1${path}`, { ...init, headers, cache: 'no-store' });
    } catch (error) {
      if (init.signal?.aborted === true) throw error;
      throw new ApiError(0, 'UNREACHABLE', 'the control plane does not answer', 'it may be starting; this page tries again by itself');
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401 && token !== undefined) this.#options.onRefused();
    throw problem;
  }
}

async function problemOf(response: Response): Promise<ApiError> {
  const { status } = response;
  const { code, detail, mend, errors } = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const faults = (errors ?? []).map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  const message = [detail, faults].filter((part) => part !== undefined && part !== '').join(': ');
  return new ApiError(status, code ?? 'UNKNOWN', message === '' ? `the control plane answered with ${status}` : message, mend ?? '');
}

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter((entry): entry is [string, string | number] => entry[1] !== undefined && entry[1] !== '');
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()}`;
}

/** `default/orders` as a part of a path. */
export function pathOf(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}
