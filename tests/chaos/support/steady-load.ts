// A steady load on connections that stay open, by HTTP/1.1 or HTTP/2, for as long as it is wanted: an open loop whose pace does not depend on
// the answers. Counts are kept, and the first failures whole.
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';

export interface SteadyTarget {
  readonly name: string;
  readonly proxyPort: number;
  readonly url: string;
  readonly how: 'http1' | 'http2';
  readonly method: 'GET' | 'POST';
  readonly requestsPerSecond: number;
}

export interface SteadyFailure {
  readonly client: string;
  /** Seconds since the load began. */
  readonly atSeconds: number;
  /** 0: no response. */
  readonly status: number;
  readonly reason: string;
}

export interface SteadyCounts {
  readonly sent: number;
  readonly answered: number;
  readonly failed: number;
  /** Answers by the instance that gave them. */
  readonly byInstance: Readonly<Record<string, number>>;
  readonly failures: readonly SteadyFailure[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const FAILURES_KEPT = 50;
const TIMEOUT_MS = 30_000;
const SOCKETS_MAX = 16;
/** Milliseconds of histogram buckets: each 5 % above the one before. */
const STEP = 1.05;

export class SteadyLoad {
  readonly #target: SteadyTarget;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX });
  #session: ClientHttp2Session | undefined;
  readonly #startMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #running = new Set<Promise<void>>();
  readonly #byInstance: Record<string, number> = {};
  readonly #failures: SteadyFailure[] = [];
  readonly #buckets: number[] = [];
  #sent = 0;
  #answered = 0;
  #failed = 0;
  #maxMs = 0;

  constructor(target: SteadyTarget) {
    this.#target = target;
    this.#timer = setInterval(() => this.#send(), 5);
  }

  get counts(): SteadyCounts {
    return {
      ...{ sent: this.#sent, answered: this.#answered, failed: this.#failed },
      byInstance: { ...this.#byInstance },
      failures: [...this.#failures],
      ...{ p50Ms: this.#quantile(0.5), p99Ms: this.#quantile(0.99), maxMs: this.#maxMs },
    };
  }

  /** Sends nothing more; resolves when every request has ended. */
  async stop(): Promise<SteadyCounts> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    this.#agent.destroy();
    this.#session?.close();
    return this.counts;
  }

  #send(): void {
    const due = Math.floor(((performance.now() - this.#startMs) / 1_000) * this.#target.requestsPerSecond);
    for (; this.#sent < due; this.#sent += 1) {
      const one: Promise<void> = this.#one().then(() => void this.#running.delete(one));
      this.#running.add(one);
    }
  }

  async #one(): Promise<void> {
    const startMs = performance.now();
    const { status, text } = await (this.#target.how === 'http1' ? this.#http1() : this.#http2()).catch((error: Error) => ({
      status: 0,
      text: error.message,
    }));
    const tookMs = performance.now() - startMs;
    this.#maxMs = Math.max(this.#maxMs, tookMs);
    const bucket = Math.max(0, Math.ceil(Math.log(Math.max(1, tookMs * 10)) / Math.log(STEP)));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    if (status === 200) {
      const { instance } = JSON.parse(text) as { instance: string };
      this.#answered += 1;
      this.#byInstance[instance] = (this.#byInstance[instance] ?? 0) + 1;
      return;
    }
    this.#failed += 1;
    if (this.#failures.length >= FAILURES_KEPT) return;
    const atSeconds = (startMs - this.#startMs) / 1_000;
    this.#failures.push({ client: this.#target.name, atSeconds, status, reason: text.slice(0, 300) });
  }

  #http1(): Promise<{ status: number; text: string }> {
    const { proxyPort, url, method } = this.#target;
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...{ host: '127.0.0.1', port: proxyPort, path: url, method, agent: this.#agent, timeout: TIMEOUT_MS },
          headers: { host: new URL(url).host },
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (piece: string) => {
            text += piece;
          });
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        },
      );
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
      sent.on('error', reject);
      sent.end(method === 'POST' ? 'once' : undefined);
    });
  }

  #http2(): Promise<{ status: number; text: string }> {
    const { url, method } = this.#target;
    const { host, pathname, search } = new URL(url);
    const stream = this.#connected().request({
      ':method': method,
      ':path': `${pathname}${search}`,
      ':authority': host,
      ':scheme': 'http',
    });
    stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error('no answer in time')));
    return new Promise((resolve, reject) => {
      let status = 0;
      let text = '';
      stream.setEncoding('utf8');
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('data', (piece: string) => {
        text += piece;
      });
      stream.on('error', reject);
      stream.on('end', () => resolve({ status, text }));
      stream.end(method === 'POST' ? 'once' : undefined);
    });
  }

  /** One connection, and another when the proxy has said that it ends. */
  #connected(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = connect(`http://127.0.0.1:${this.#target.proxyPort}`);
    session.on('error', () => {});
    session.on('goaway', () => {
      if (this.#session === session) this.#session = undefined;
      session.close();
    });
    this.#session = session;
    return session;
  }

  #quantile(share: number): number {
    let left = (this.#answered + this.#failed) * (1 - share);
    for (let bucket = this.#buckets.length - 1; bucket >= 0; bucket--) {
      left -= this.#buckets[bucket] ?? 0;
      if (left <= 0) return Math.round(STEP ** bucket) / 10;
    }
    return 0;
  }
}
