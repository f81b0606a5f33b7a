// Looks names of others up at other resolvers: from the cache where it can, each question once at a time, one resolver after the other.
// Never asks itself, and notices when a question that it has asked comes back to it.
import { DEFAULT_LIMITS, type Limits, type SocketAddress } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { DO_BIT, EDE, type ExtendedError, FLAG, RCODE } from '../wire/codes.ts';
import type { Query } from '../wire/query.ts';
import type { DnsMetrics } from '../server/metrics.ts';
import { Cache, STALE_TTL_SECONDS } from './cache.ts';
import { ask, type ExchangeWorld } from './exchange.ts';
import type { Reply } from './reply.ts';
import { isOwn, type Resolvers } from './resolvers.ts';

export interface ForwarderOptions extends ExchangeWorld {
  readonly resolvers: Resolvers;
  readonly logger: Logger;
  readonly metrics: DnsMetrics;
  readonly limits?: Limits;
}

/** An answer, with how old it is, or with other times to live in place of its own; or why there is none. */
export type Looked =
  | {
      readonly kind: 'reply';
      readonly reply: Reply;
      readonly ageSeconds: number;
      readonly ttlSeconds?: number;
      readonly error?: ExtendedError;
    }
  | { readonly kind: 'failed'; readonly error: ExtendedError };

interface Flight {
  readonly result: Promise<Looked>;
  /** The question as it went out last. */
  sent: Uint8Array;
}

/** A resolver that did not answer is asked last for so long. */
const DOWN_MS = 10_000;
/** A question that nobody could answer is not asked again for so long (RFC 9520 §3.2: at least one second). */
const FAILURE_MS = 5_000;
const FAILURES_MAX = 1_024;
/** With fewer letters it is no wonder that somebody else has drawn the same case. */
const TELLING_LETTERS_MIN = 6;
/** Between two log lines of the same kind. */
const TELL_EVERY_MS = 60_000;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #limits: Limits;
  readonly #cache: Cache;
  readonly #flights = new Map<string, Flight>();
  readonly #downUntilMs = new Map<string, number>();
  readonly #failures = new Map<string, { readonly untilMs: number; readonly failure: Looked }>();
  /** Where this server listens. */
  #own: readonly SocketAddress[] = [];
  #waiting = 0;
  #told = new Map<string, number>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#cache = new Cache({ entriesMax: this.#limits.dnsCacheEntriesMax, bytesMax: this.#limits.dnsCacheBytesMax });
    options.metrics.onExpose(() => options.metrics.cacheEntries.set(this.#cache.size));
  }

  listensOn(own: readonly SocketAddress[]): void {
    this.#own = own;
  }

  /** Never rejects. */
  async look(query: Query): Promise<Looked> {
    const { metrics, clock } = this.#options;
    const key = keyOf(query);
    const flight = this.#flights.get(key);
    if (flight !== undefined && isEcho(query.question.bytes, flight.sent)) return this.#looped(query);
    const nowMs = clock.nowMs();
    const hit = this.#cache.get(key, nowMs);
    if (hit !== undefined && !hit.isStale) {
      metrics.cacheHits.add(1);
      return { kind: 'reply', reply: hit.reply, ageSeconds: hit.ageSeconds };
    }
    const failed = this.#failures.get(key);
    if (failed !== undefined && failed.untilMs > nowMs) return failed.failure;
    if (this.#waiting >= this.#limits.dnsForwardedMax) {
      this.#tell('full', `${this.#waiting} forwarded queries wait for answers (dnsForwardedMax); further ones fail at once`);
      return failure(EDE.NETWORK_ERROR, 'too many queries wait for other resolvers');
    }
    this.#waiting += 1;
    try {
      return await (flight?.result ?? this.#begin(key, query));
    } finally {
      this.#waiting -= 1;
    }
  }

  #begin(key: string, query: Query): Promise<Looked> {
    this.#options.metrics.cacheMisses.add(1);
    const flight: Flight = { result: Promise.resolve().then(() => this.#fly(key, query, flight)), sent: new Uint8Array() };
    this.#flights.set(key, flight);
    return flight.result;
  }

  async #fly(key: string, query: Query, flight: Flight): Promise<Looked> {
    const { clock, metrics } = this.#options;
    try {
      const reply = await this.#askAll(query, flight);
      const nowMs = clock.nowMs();
      metrics.forwarded[typeof reply === 'string' ? 'failed' : 'answered'].add(1);
      if (typeof reply !== 'string') {
        this.#cache.put(key, reply, nowMs);
        this.#failures.delete(key);
        return { kind: 'reply', reply, ageSeconds: 0 };
      }
      const looked = this.#instead(key, reply, nowMs);
      this.#failures.delete(key);
      this.#failures.set(key, { untilMs: nowMs + FAILURE_MS, failure: looked });
      for (const oldest of this.#failures.keys()) {
        if (this.#failures.size <= FAILURES_MAX) break;
        this.#failures.delete(oldest);
      }
      return looked;
    } finally {
      this.#flights.delete(key);
    }
  }

  /** When nobody answers: what was true not long ago (RFC 8767), or the failure. */
  #instead(key: string, reason: string, nowMs: number): Looked {
    const hit = this.#cache.get(key, nowMs);
    if (hit === undefined) {
      this.#tell('failed', `names of others cannot be looked up: ${reason}`);
      return failure(EDE.NO_REACHABLE_AUTHORITY, reason);
    }
    const { reply, ageSeconds } = hit;
    return { kind: 'reply', reply, ageSeconds, ttlSeconds: STALE_TTL_SECONDS, error: { code: EDE.STALE, text: reason } };
  }

  /** One after the other, those that failed lately last, and all again while there is time. Resolves to the reason when nobody answers. */
  async #askAll(query: Query, flight: Flight): Promise<Reply | string> {
    const { clock, resolvers } = this.#options;
    const endMs = clock.nowMs() + this.#limits.dnsForwardTimeoutMs;
    const all = resolvers().filter((resolver) => !isOwn(resolver, this.#own));
    if (all.length === 0) return 'there is no resolver besides this server';
    const order = all.toSorted((a, b) => Number(this.#isDown(a)) - Number(this.#isDown(b)));
    let reason = '';
    let refusal: Reply | undefined;
    for (let round = 0; round < 2; round += 1) {
      for (const resolver of order) {
        const leftMs = endMs - clock.nowMs();
        if (leftMs <= 0) return refusal ?? reason;
        const reply = await this.#askOne(resolver, query, flight, Math.min(leftMs, this.#limits.dnsTryTimeoutMs));
        if (typeof reply === 'string') {
          this.#downUntilMs.set(placeOf(resolver), clock.nowMs() + DOWN_MS);
          reason = `${placeOf(resolver)}: ${reply}`;
          continue;
        }
        this.#downUntilMs.delete(placeOf(resolver));
        if (reply.rcode === RCODE.NOERROR || reply.rcode === RCODE.NXDOMAIN) return reply;
        // Another one may know better.
        refusal ??= reply;
      }
      if (refusal !== undefined) return refusal;
    }
    return reason;
  }

  async #askOne(resolver: SocketAddress, query: Query, flight: Flight, timeoutMs: number): Promise<Reply | string> {
    const options = {
      resolver,
      query,
      timeoutMs,
      udpBytes: this.#limits.dnsUdpBytesMax,
      onSend: (question: Uint8Array) => {
        flight.sent = question;
      },
    };
    const reply = await ask(this.#options, { ...options, withEdns: true });
    // RFC 6891 §7: servers that do not know EDNS0 say that the query is malformed.
    const knowsNoEdns = typeof reply !== 'string' && !reply.hasEdns && (reply.rcode === RCODE.FORMERR || reply.rcode === RCODE.NOTIMP);
    return knowsNoEdns ? ask(this.#options, { ...options, withEdns: false }) : reply;
  }

  #isDown(resolver: SocketAddress): boolean {
    return (this.#downUntilMs.get(placeOf(resolver)) ?? 0) > this.#options.clock.nowMs();
  }

  #looped(query: Query): Looked {
    this.#options.metrics.loops.add(1);
    this.#tell(
      'loop',
      `a question of this server came back to it (${query.question.name}): a resolver that it asks asks this server in turn`,
    );
    return failure(EDE.NETWORK_ERROR, 'forwarding loop: a resolver that this server asks asks it in turn');
  }

  #tell(kind: string, message: string): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < (this.#told.get(kind) ?? -Infinity) + TELL_EVERY_MS) return;
    this.#told.set(kind, nowMs);
    this.#options.logger.warn({}, message);
  }
}

function failure(code: ExtendedError['code'], text: string): Looked {
  return { kind: 'failed', error: { code, text } };
}

function placeOf({ address, port }: SocketAddress): string {
  return `${address} port ${port}`;
}

/** Everything that an answer depends on. */
function keyOf({ question, edns, flags }: Query): string {
  return `${question.name} ${question.type} ${question.class} ${edns?.dnssecOk === true ? DO_BIT : 0} ${flags & (FLAG.CD | FLAG.AD)}`;
}

/** Whether it is what was sent, with the case of letters that was drawn for it. */
function isEcho(question: Uint8Array, sent: Uint8Array): boolean {
  let upper = 0;
  let lower = 0;
  for (const byte of sent.subarray(0, -4)) {
    if (byte >= 0x41 && byte <= 0x5a) upper += 1;
    else if (byte >= 0x61 && byte <= 0x7a) lower += 1;
  }
  return upper > 0 && lower > 0 && upper + lower >= TELLING_LETTERS_MIN && Buffer.compare(question, sent) === 0;
}
