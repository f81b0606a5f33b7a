// One document of an issuer, or an answer of a server that the mesh file names: bounded in size and time, no redirects. Over TLS; plainly only
// from this very machine, or where whoever configured it says so.
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Clock } from '@heddle/runtime';
import { isLoopback } from './listening.ts';

export interface FetchOptions {
  readonly clock: Clock;
  /** Authorities besides those of the platform. */
  readonly rootsPem?: readonly string[];
  /** Also without TLS from other machines. */
  readonly isPlainAllowed?: true;
  /** Default: 10 s. */
  readonly timeoutMs?: number;
  /** Default: 256 kB. */
  readonly bytesMax?: number;
}

/** Key sets and discovery documents have some kB. */
const BYTES_MAX = 262_144;
const TIMEOUT_MS = 10_000;

/** Why the address cannot be asked; undefined: it can. @param from who sends us there: only a server of this machine can lead to another one of it without TLS. */
export function addressProblem(text: string, from?: string): string | undefined {
  if (!URL.canParse(text)) return 'is no URL';
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== '' || password !== '') return 'must not hold a password';
  const isOfHere = isLocal(hostname) && (from === undefined || isLocal(new URL(from).hostname));
  return protocol === 'https:' || (protocol === 'http:' && isOfHere) ? undefined : 'must begin with https://';
}

function isLocal(hostname: string): boolean {
  return isLoopback(hostname.replace(/^\[|\]$/g, ''));
}

/** Rejects with an Error that says why. */
export function fetchJson(
  url: string,
  { clock, rootsPem, isPlainAllowed, timeoutMs = TIMEOUT_MS, bytesMax = BYTES_MAX }: FetchOptions,
): Promise<unknown> {
  const problem = isPlainAllowed === true ? undefined : addressProblem(url);
  if (problem !== undefined) return Promise.reject(new Error(`${url} ${problem}`));
  return new Promise((resolve, reject) => {
    const options = {
      headers: { accept: 'application/json' },
      agent: false as const,
      ...(rootsPem !== undefined && { ca: [...rootsPem] }),
    };
    const call = url.startsWith('https:') ? tlsRequest(url, { ...options, minVersion: 'TLSv1.2' }) : plainRequest(url, options);
    const timer = clock.after(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    call.on('close', () => timer.cancel());
    call.on('error', (error) => reject(new Error(`${url}: ${error.message}`, { cause: error })));
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      if (response.statusCode !== 200) call.destroy(new Error(`answered with ${response.statusCode}`));
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bytesMax) call.destroy(new Error(`its answer has more than ${bytesMax} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', (error) => reject(new Error(`${url}: ${error.message}`, { cause: error })));
      response.on('end', () => {
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
        } catch (error) {
          reject(new Error(`${url}: its answer is not JSON`, { cause: error }));
        }
      });
    });
    call.end();
  });
}
