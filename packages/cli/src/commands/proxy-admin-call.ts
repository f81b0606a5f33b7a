// One call to the admin API of a proxy on this machine.
import { request } from 'node:http';
import type { HostPort } from '../options.ts';

export interface AdminCall extends HostPort {
  readonly token: string;
  readonly path: string;
  /** Sent by POST, as JSON. Absent: GET. */
  readonly body?: object;
  readonly timeoutMs: number;
  /** Of the answer: a program that is no proxy may send without an end. */
  readonly charsMax: number;
}

/** Rejects with what went wrong on the way. */
export function callAdmin({ host, port, token, path, body, timeoutMs, charsMax }: AdminCall): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(timeoutMs);
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    ...(payload !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
  };
  const method = payload === undefined ? 'GET' : 'POST';
  return new Promise((resolve, reject) => {
    const asked = request({ host, port, method, path, headers, agent: false, signal }, (response) => {
      const parts: string[] = [];
      let chars = 0;
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        parts.push(part);
        chars += part.length;
        if (chars > charsMax) response.destroy(new Error('the answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: parts.join('') }));
    });
    asked.on('error', (error) => reject(signal.aborted ? new Error(`nothing came within ${timeoutMs / 1_000} s`) : error));
    asked.end(payload);
  });
}
