// A steady, bounded load: an open loop that sends at a fixed rate, whatever comes back, and keeps every outcome.
import { Agent, request } from 'node:http';

export interface Outcome {
  readonly sentMs: number;
  readonly durationMs: number;
  /** 0: no response; `error` says why. */
  readonly status: number;
  readonly error: string;
  readonly body: string;
  readonly errorCode: string;
}

export interface Load {
  readonly outcomes: Outcome[];
  /** Stops sending and resolves when every request has ended. */
  stop(): Promise<Outcome[]>;
}

export interface Target {
  readonly proxy: { readonly host: string; readonly port: number };
  readonly url: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const REQUESTS_MAX = 20_000;

/** One request through an HTTP proxy; never rejects. */
export function callThroughProxy(target: Target, agent?: Agent): Promise<Outcome> {
  const sentMs = performance.now();
  return new Promise((resolve) => {
    const finish = (status: number, error: string, body: string, errorCode = '') =>
      resolve({ sentMs, durationMs: performance.now() - sentMs, status, error, body, errorCode });
    const outgoing = request(
      {
        host: target.proxy.host,
        port: target.proxy.port,
        path: target.url,
        method: target.method ?? 'GET',
        headers: { host: new URL(target.url).host, ...target.headers },
        agent,
        timeout: 30_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => finish(0, error.message, ''));
        response.on('end', () =>
          finish(response.statusCode ?? 0, '', Buffer.concat(chunks).toString(), String(response.headers['x-heddle-error'] ?? '')),
        );
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer within 30 s')));
    outgoing.on('error', (error) => finish(0, error.message, ''));
    outgoing.end(target.body);
  });
}

export function startLoad(target: Target, requestsPerSecond: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const outcomes: Outcome[] = [];
  const running = new Set<Promise<void>>();
  const startMs = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(REQUESTS_MAX, Math.floor(((performance.now() - startMs) / 1000) * requestsPerSecond));
    while (sent < due) {
      sent += 1;
      const one: Promise<void> = callThroughProxy(target, agent).then((outcome) => {
        outcomes.push(outcome);
        running.delete(one);
      });
      running.add(one);
    }
  }, 5);
  return {
    outcomes,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
      agent.destroy();
      return outcomes;
    },
  };
}

/** For messages: how many outcomes of each kind, failures with their reasons. */
export function summarize(outcomes: readonly Outcome[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const kind = outcome.status === 0 ? `error: ${outcome.error}` : `${outcome.status} ${outcome.errorCode}`.trim();
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
