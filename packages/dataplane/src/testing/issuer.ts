// An issuer of tokens on loopback, whose keys, answers and failures a test decides. Its tokens are signed with `jose`. Tests only.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TokenAlgorithm, TokenIssuer } from '@heddle/core';
import { createLogger, createMetrics, nodeClock, nodeNetwork, nodeRandom } from '@heddle/runtime/node';
import { DEFAULT_LIMITS } from '@heddle/core';
import type { Limits } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import type { AuthnDeps } from '../authn/authn.ts';
import { HttpsClient } from '../asking/https-client.ts';

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

type Reply = { readonly status?: number; readonly body: unknown; readonly headers?: Record<string, string> };

export async function signingKey(alg: TokenAlgorithm = 'ES256', kid: string = randomUUID()): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export class TestIssuer {
  keys: SigningKey[] = [];
  /** Answers are held back until the test lets them go. */
  gate: Promise<void> = Promise.resolve();
  isDown = false;
  readonly asked: Asked[] = [];
  /** By path; each replaces what is answered otherwise. */
  readonly replies = new Map<string, (asked: Asked) => Reply>();
  private readonly server: http.Server;

  private constructor(server: http.Server) {
    this.server = server;
    server.on('request', (request, response) => void this.answer(request, response));
  }

  static async start(...algorithms: readonly TokenAlgorithm[]): Promise<TestIssuer> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const issuer = new TestIssuer(server);
    for (const alg of algorithms.length === 0 ? (['ES256'] as const) : algorithms) issuer.keys.push(await signingKey(alg));
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  count(path: string): number {
    return this.asked.filter((asked) => asked.path === path).length;
  }

  /** A token that is valid for `shop` for ten minutes, but for what the test says; undefined takes a claim away. */
  async token(
    claims: Record<string, unknown> = {},
    header: Record<string, unknown> = {},
    key: SigningKey = this.keys[0]!,
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1_000);
    const all = { iss: this.url, aud: 'shop', sub: 'ann', iat: now, exp: now + 600, ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
  }

  /** The policy for its tokens. */
  config(more: Partial<TokenIssuer> = {}): TokenIssuer {
    return {
      name: 'login',
      issuer: this.url,
      audiences: ['shop'],
      keys: { kind: 'url', url: `${this.url}/jwks` },
      keysMaxAgeMs: 600_000,
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
      skewMs: 60_000,
      claimHeaders: [],
      forward: true,
      ...more,
    };
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '', headers } = request;
    const asked: Asked = { method, path, headers, form: new URLSearchParams(Buffer.concat(chunks).toString()) };
    this.asked.push(asked);
    await this.gate;
    if (this.isDown) {
      request.socket.destroy();
      return;
    }
    const { status = 200, body, headers: more = {} } = this.replies.get(path)?.(asked) ?? this.reply(path);
    response.writeHead(status, { 'content-type': 'application/json', ...more });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }

  private reply(path: string): Reply {
    if (path === '/jwks') return { body: { keys: this.keys.map(({ jwk }) => jwk) } };
    if (path === '/.well-known/openid-configuration') return { body: { issuer: this.url, jwks_uri: `${this.url}/jwks` } };
    return { status: 404, body: { error: 'not_found' } };
  }
}

/** What authn needs of a data plane, with a clock that the test may turn forward and a log that it may read. */
export function authnDeps(limits: Partial<Limits> = {}): {
  deps: AuthnDeps;
  lines: string[];
  metrics: () => string;
  later: (ms: number) => void;
  /** Timers that are set. */
  timers: () => number;
} {
  const lines: string[] = [];
  const metrics = createMetrics();
  let aheadMs = 0;
  const set = new Set<Timer>();
  const clock = {
    wallMs: () => nodeClock.wallMs() + aheadMs,
    nowMs: () => nodeClock.nowMs() + aheadMs,
    after: (delayMs: number, run: () => void): Timer => {
      const timer = nodeClock.after(delayMs, () => {
        set.delete(timer);
        run();
      });
      set.add(timer);
      return { cancel: () => (set.delete(timer), timer.cancel()) };
    },
  };
  const all = { ...DEFAULT_LIMITS, ...limits };
  const logger = createLogger({ level: 'debug', format: 'json', destination: { write: (line) => void lines.push(line) } });
  const client = new HttpsClient({ network: nodeNetwork, clock, limits: all });
  const later = (ms: number): void => void (aheadMs += ms);
  const deps = { clock, random: nodeRandom, logger, metrics, limits: all, client };
  return { deps, lines, metrics: () => metrics.expose(), later, timers: () => set.size };
}
