// Live requests of one data path: who asked for them is an onlooker for as long as that is wanted. While nobody asks, a request costs what it
// costs without all this. What is told is put together for requests that fit and are within the limit alone, and holds no secret.
import {
  isSecretHeader,
  REDACTED,
  redactedHeader,
  redactedPath,
  TAP_LIMITS,
  type TapHeader,
  TapMatcher,
  type TapOrder,
  type TapRecord,
  tapRefusal,
  type TapSide,
} from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import type { TapPort } from '../../data-plane-types.ts';
import type { EndedRequest, Onlookers, RequestObserver } from '../../stack/ended-request.ts';
import { headerOf } from '../../stack/request-view.ts';
import { httpStatusOf, methodAndPath } from '../export/request-facts.ts';
import { TapSender, type TellTap } from './sender.ts';

export class RequestTaps implements TapPort {
  readonly #onlookers: Onlookers;
  readonly #clock: Clock;
  readonly #taps = new Map<string, Tap>();

  constructor(onlookers: Onlookers, clock: Clock) {
    this.#onlookers = onlookers;
    this.#clock = clock;
  }

  start(order: TapOrder, tell: TellTap): void {
    const { id } = order;
    this.stop(id);
    const reason = tapRefusal(order, this.#taps.size);
    if (reason !== undefined) return void tell({ kind: 'ended', id, reason });
    const tap = new Tap(order, this.#clock, new TapSender(order, this.#clock, tell, () => this.stop(id)));
    this.#taps.set(id, tap);
    this.#onlookers.list = [...this.#onlookers.list, tap];
  }

  stop(id: string): void {
    const tap = this.#taps.get(id);
    if (tap === undefined) return;
    this.#taps.delete(id);
    this.#onlookers.list = this.#onlookers.list.filter((one) => one !== tap);
    tap.sender.close();
  }

  stopAll(): void {
    for (const id of [...this.#taps.keys()]) this.stop(id);
  }
}

class Tap implements RequestObserver {
  readonly sender: TapSender;
  readonly #headers: readonly string[];
  readonly #callers: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #matcher: TapMatcher;

  constructor({ filter, headers, callers }: TapOrder, clock: Clock, sender: TapSender) {
    this.sender = sender;
    this.#headers = headers;
    this.#callers = new Set(callers);
    this.#clock = clock;
    this.#matcher = new TapMatcher(filter);
  }

  ended(request: EndedRequest): void {
    const { labels, instance, route, error, durationMs, traceId } = request;
    // Copies that nobody waits for are no requests to those who look.
    if (labels.direction === 'mirror') return;
    const { source, destination } = labels;
    if (labels.direction === 'inbound' && this.#callers.has(source)) return;
    const { method, path } = methodAndPath(request.head);
    const status = httpStatusOf(request);
    if (!this.#matcher.fits({ source, destination, instance, route, method, path, status, error, durationMs, traceId })) return;
    if (this.sender.admits()) this.sender.add(this.#recordOf(request, labels.direction, method, path));
  }

  #recordOf(request: EndedRequest, side: TapSide, method: string, path: string): TapRecord {
    const { labels, instance, route, protocol, status, grpcStatus, error, durationMs, requestBytes, responseBytes, tries, traceId } =
      request;
    return {
      timeMs: Math.floor(this.#clock.wallMs()),
      side,
      ...{ source: labels.source, destination: labels.destination, instance, route: route === '' ? 'default' : route, protocol },
      method: method.slice(0, TAP_LIMITS.headerNameLength),
      path: redactedPath(path),
      ...{ status, grpcStatus, error, requestBytes, responseBytes, tries, traceId },
      durationMs: Math.round(durationMs * 1_000) / 1_000,
      headers: this.#headersOf(request),
    };
  }

  #headersOf({ head }: EndedRequest): TapHeader[] {
    const told: TapHeader[] = [];
    for (const name of this.#headers) {
      const value = headerOf(head, name);
      if (value !== undefined) told.push({ name, value: isSecretHeader(name) ? REDACTED : redactedHeader(name, value) });
    }
    return told;
  }
}
