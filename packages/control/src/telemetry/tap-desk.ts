// Who looks at live requests: what was asked for goes to the data planes that may see it, and what they tell comes together here. Everything
// is bounded: how many look, how much a second, how much waits for a slow reader; what is left out is counted and told.
import { telemetry } from '@heddle/api';
import { isSecretHeader, type TapFilter, type TapOrder, TAP_LIMITS, tapProblem, type TapRecord, TokenBucket } from '@heddle/core';
import type { Clock, Timer } from '@heddle/runtime';
import type { Registry } from '../registry/registry.ts';
import { hasRole } from '../server/caller.ts';
import type { AttachedPlane } from './attached-plane.ts';
import type { TelemetryServer } from './server.ts';
import { OPERATOR, OUTSIDE, ownServiceOf, type TrafficBook, UNKNOWN } from './traffic-book.ts';

/** A person reads some hundreds at most before they ask for less. */
const WAITING_MAX = 1_000;

export interface TapWish {
  readonly filter: TapFilter;
  readonly perSecond: number;
  readonly forMs: number;
  readonly headers: readonly string[];
}

export interface TappedRequest {
  readonly node: string;
  /** Within this tap, from 1 on. */
  readonly number: number;
  readonly record: TapRecord;
}

export interface TapLost {
  /** More than were asked for in a second. */
  readonly overLimit: number;
  /** The reader was too slow. */
  readonly slowReader: number;
}

export type TapMessage =
  /** Data planes that look: first, and when it changes. */
  | { readonly kind: 'watchers'; readonly dataPlanes: number }
  | ({ readonly kind: 'request' } & TappedRequest)
  | ({ readonly kind: 'lost' } & TapLost)
  /** Last. */
  | { readonly kind: 'end'; readonly reason: string; readonly told: number; readonly lost: number };

/** It cannot be looked at. */
export class TapRefusal extends Error {
  readonly kind: 'invalid' | 'not-found' | 'limit';

  constructor(kind: TapRefusal['kind'], message: string) {
    super(message);
    this.name = 'TapRefusal';
    this.kind = kind;
  }
}

export interface TapDeskOptions {
  readonly registry: Pick<Registry, 'service'>;
  readonly server: Pick<TelemetryServer, 'planes' | 'listen'>;
  readonly book: Pick<TrafficBook, 'isCovered' | 'covered' | 'isDestination'>;
  readonly clock: Clock;
}

export class TapDesk {
  readonly #options: TapDeskOptions;
  readonly #taps = new Map<string, OpenTap>();
  #next = 1;

  constructor(options: TapDeskOptions) {
    this.#options = options;
    options.server.listen({
      onAttached: (plane) => {
        for (const tap of this.#taps.values()) tap.ask(plane);
      },
      onLeft: (plane) => {
        for (const tap of this.#taps.values()) tap.left(plane);
      },
      onTap: (plane, message) => this.#take(plane, message),
    });
  }

  /** @param poke there may be something to read. Throws TapRefusal. */
  open(wish: TapWish, poke: () => void): OpenTap {
    this.#check(wish);
    if (this.#taps.size >= TAP_LIMITS.taps) throw new TapRefusal('limit', `${TAP_LIMITS.taps} taps are open, the most there may be`);
    const id = String(this.#next++);
    const { server, book, clock } = this.#options;
    const tap = new OpenTap(
      { ...wish, filter: named(wish.filter, OUTSIDE, UNKNOWN), id },
      { book, clock, poke, onEnd: () => this.#taps.delete(id) },
    );
    this.#taps.set(id, tap);
    for (const plane of server.planes()) tap.ask(plane);
    return tap;
  }

  close(): void {
    for (const tap of [...this.#taps.values()]) tap.end('the control plane is stopping');
  }

  #check({ filter, headers, perSecond, forMs }: TapWish): void {
    const problem = tapProblem(filter, headers);
    if (problem !== undefined) throw new TapRefusal('invalid', `${problem.field}: it ${problem.reason}`);
    const secret = headers.find(isSecretHeader);
    if (secret !== undefined) throw new TapRefusal('invalid', `headers: ${secret} is never told, as it may hold a secret`);
    if (!(perSecond >= 1 && perSecond <= TAP_LIMITS.perSecond))
      throw new TapRefusal('invalid', `perSecond: it is within 1 and ${TAP_LIMITS.perSecond}`);
    if (!(forMs >= 1 && forMs <= TAP_LIMITS.forMs)) throw new TapRefusal('invalid', `forMs: it is within 1 and ${TAP_LIMITS.forMs} ms`);
    const { registry, book } = this.#options;
    const { service, source, destination } = filter;
    const isCaller = (key: string): boolean => key === OPERATOR || key === OUTSIDE || registry.service(key) !== undefined;
    const unknown = [source, service].find((key) => key !== undefined && !isCaller(key) && !(key === service && book.isDestination(key)));
    const missing = unknown ?? (destination === undefined || book.isDestination(destination) ? undefined : destination);
    if (missing !== undefined) throw new TapRefusal('not-found', `there is no service ${missing}`);
  }

  #take(plane: AttachedPlane, message: Extract<telemetry.FromDataPlane, { $case: 'tapRecords' | 'tapEnded' }>): void {
    const tap = this.#taps.get(message.value.id);
    // Of a tap that has ended meanwhile something may still be under way.
    if (tap === undefined) return;
    if (message.$case === 'tapEnded') return tap.left(plane);
    const { records, lost } = telemetry.readTapRecords(message.value);
    tap.take(plane, records, lost);
  }
}

/** Callers that have proven nothing have another name in data planes than in the graph. */
function named<T extends { readonly source?: string | undefined }>(of: T, from: string, to: string): T {
  return of.source === from ? { ...of, source: to } : of;
}

interface OpenTapOptions {
  readonly book: TapDeskOptions['book'];
  readonly clock: Clock;
  readonly poke: () => void;
  readonly onEnd: () => void;
}

export class OpenTap {
  readonly #order: Omit<TapOrder, 'callers'>;
  readonly #options: OpenTapOptions;
  readonly #planes = new Set<AttachedPlane>();
  readonly #endMs: number;
  readonly #rate: { readonly requests: number; readonly perMs: number; readonly burst: number };
  readonly #bucket: TokenBucket;
  readonly #timer: Timer;
  #waiting: TappedRequest[] = [];
  #lost: { overLimit: number; slowReader: number } = { overLimit: 0, slowReader: 0 };
  #toldWatchers = -1;
  #number = 0;
  #told = 0;
  #lostInAll = 0;
  #end: string | undefined;
  #isOver = false;

  constructor(order: Omit<TapOrder, 'callers'>, options: OpenTapOptions) {
    const { clock } = options;
    this.#order = order;
    this.#options = options;
    this.#rate = { requests: order.perSecond, perMs: 1_000, burst: order.perSecond };
    this.#bucket = new TokenBucket(this.#rate, clock.nowMs());
    this.#endMs = clock.nowMs() + order.forMs;
    this.#timer = clock.after(order.forMs, () => this.end('its time is over'));
  }

  /** The data plane looks too, if it may see what is asked for. */
  ask(plane: AttachedPlane): void {
    const forMs = Math.floor(this.#endMs - this.#options.clock.nowMs());
    if (forMs < 1 || !this.#maySee(plane) || !plane.tell(telemetry.tapStartMessage({ ...this.#order, forMs, callers: this.#callers() })))
      return;
    this.#planes.add(plane);
    this.#options.poke();
  }

  left(plane: AttachedPlane): void {
    if (this.#planes.delete(plane)) this.#options.poke();
  }

  take(plane: AttachedPlane, records: readonly TapRecord[], lost: number): void {
    if (!this.#planes.has(plane) || this.#end !== undefined) return;
    const nowMs = this.#options.clock.nowMs();
    this.#lost.overLimit += lost;
    for (const record of records) {
      if (!this.#isItsOwn(plane, record)) continue;
      if (!this.#bucket.tryTake(this.#rate, nowMs)) this.#lost.overLimit += 1;
      else if (this.#waiting.length >= WAITING_MAX) this.#lost.slowReader += 1;
      else this.#waiting.push({ node: plane.node, number: (this.#number += 1), record: named(record, UNKNOWN, OUTSIDE) });
    }
    this.#options.poke();
  }

  /** What the reader has not read yet; undefined: nothing, for now or, where `isOver`, for ever. */
  next(): TapMessage | undefined {
    if (this.#planes.size !== this.#toldWatchers && this.#end === undefined) {
      this.#toldWatchers = this.#planes.size;
      return { kind: 'watchers', dataPlanes: this.#toldWatchers };
    }
    const request = this.#waiting.shift();
    if (request !== undefined) {
      this.#told += 1;
      return { kind: 'request', ...request };
    }
    const { overLimit, slowReader } = this.#lost;
    if (overLimit + slowReader > 0) {
      this.#lost = { overLimit: 0, slowReader: 0 };
      this.#lostInAll += overLimit + slowReader;
      return { kind: 'lost', overLimit, slowReader };
    }
    if (this.#end === undefined || this.#isOver) return undefined;
    this.#isOver = true;
    return { kind: 'end', reason: this.#end, told: this.#told, lost: this.#lostInAll };
  }

  /** The end was read. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Data planes stop looking; what is there can still be read. */
  end(reason: string): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    this.#timer.cancel();
    for (const plane of this.#planes) plane.tell({ $case: 'tapStop', value: { id: this.#order.id } });
    this.#planes.clear();
    this.#options.onEnd();
    this.#options.poke();
  }

  /** The reader is gone. */
  close(): void {
    this.#waiting = [];
    this.end('nobody reads it');
  }

  #callers(): string[] {
    return [...this.#options.book.covered()].slice(0, TAP_LIMITS.callers);
  }

  /** A workload sees what it calls and who calls it; the operator's data planes may come to host anything. */
  #maySee({ caller }: AttachedPlane): boolean {
    const { source, destination, service } = this.#order.filter;
    if (hasRole(caller, 'operator')) return true;
    const own = ownServiceOf(caller);
    if (source !== undefined && (destination !== undefined || this.#options.book.isCovered(source)))
      return own === source || (own === destination && !this.#options.book.isCovered(source));
    return service === undefined || destination === undefined || [service, destination].includes(own) || service === destination;
  }

  /** A workload speaks for its own service; of what both sides see the calling one tells, where it is a data plane of ours. */
  #isItsOwn({ caller }: AttachedPlane, { side, source, destination }: TapRecord): boolean {
    const own = ownServiceOf(caller);
    if (!hasRole(caller, 'operator') && own !== (side === 'outbound' ? source : destination)) return false;
    return side === 'outbound' || !this.#options.book.isCovered(source);
  }
}
