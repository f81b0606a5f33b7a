// One document of an issuer: over TLS (plainly only from this very machine), bounded in size and time, no redirects.
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import type { Clock } from '@heddle/runtime';
import { isLoopback } from '../server/listening.ts';

export interface FetchOptions {
  readonly clock: Clock;
  /** Authorities besides those of the platform. */
  readonly rootsPem?: readonly string[];
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
export function fetchJson(url: string, { clock, rootsPem }: FetchOptions): Promise<unknown> {
  const problem = addressProblem(url);
  if (problem !== undefined) return Promise.reject(new Error(`${url} ${problem}`));
  return new Promise((resolve, reject) => {
    const options = {
      headers: { accept: 'application/json' },
      agent: false as const,
      ...(rootsPem !== undefined && { ca: [...rootsPem] }),
    };
    const call = url.startsWith('https:') ? tlsRequest(url, { ...options, minVersion: 'TLSv1.2' }) : plainRequest(url, options);
    const timer = clock.after(TIMEOUT_MS, () => call.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    call.on('close', () => timer.cancel());
    call.on('error', (error) => reject(new Error(`${url}: ${error.message}`, { cause: error })));
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      if (response.statusCode !== 200) call.destroy(new Error(`answered with ${response.statusCode}`));
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > BYTES_MAX) call.destroy(new Error(`its answer has more than ${BYTES_MAX} bytes`));
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
