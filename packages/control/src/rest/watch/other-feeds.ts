// Data planes, events and traffic of one watch.
import type { EventLog, LoggedEvent } from '../../events/log.ts';
import { eventText } from '../present.ts';
import { SnapshotParts, changesMessage, resync } from './feed.ts';
import type { Feed, Message } from './feed.ts';
import type { ProxyChanges } from './proxy-changes.ts';
import type { TrafficSource } from '../sources.ts';

/** Ids that wait for a slow reader: more than there are data planes, so only ones that come and go reach it. */
const DIRTY_MAX = 10_000;

export class ProxyFeed implements Feed {
  readonly kind = 'proxies';
  readonly #changes: ProxyChanges;
  readonly #revision: () => number;
  readonly #dirty = new Set<string>();
  readonly #subscription: { close(): void };
  #snapshot: SnapshotParts<string> | undefined;

  constructor(changes: ProxyChanges, revision: () => number, poke: () => void) {
    this.#changes = changes;
    this.#revision = revision;
    this.#subscription = changes.subscribe((ids) => {
      for (const id of ids) this.#dirty.add(id);
      if (this.#dirty.size > DIRTY_MAX) {
        this.#dirty.clear();
        this.#snapshot = this.#everything();
      }
      poke();
    });
    this.#snapshot = this.#everything();
  }

  get settled(): boolean {
    return this.#snapshot === undefined && this.#dirty.size === 0;
  }

  get urgent(): boolean {
    return this.#snapshot !== undefined;
  }

  next(): Message | undefined {
    if (this.#snapshot === undefined) return changesMessage(this.kind, this.#revision(), this.#dirty, (id) => this.#changes.get(id));
    const { message, last } = this.#snapshot.next();
    if (last) this.#snapshot = undefined;
    return message;
  }

  close(): void {
    this.#subscription.close();
  }

  #everything(): SnapshotParts<string> {
    return new SnapshotParts(this.kind, this.#revision(), this.#changes.all(), (text) => text);
  }
}

/** With these a watch begins; the others are in the list of events. */
const EVENTS_FIRST = 100;
const EVENTS_MAX = 200;

export class EventFeed implements Feed {
  readonly kind = 'events';
  readonly #source: EventLog;
  readonly #revision: () => number;
  readonly #subscription: { close(): void };
  #snapshot: SnapshotParts<LoggedEvent> | undefined;
  /** The last that was told. */
  #toldId: number;
  #newestId: number;

  /** @param after the last event that the reader knows; undefined: it knows none. */
  constructor(source: EventLog, after: number | undefined, revision: () => number, poke: () => void) {
    this.#source = source;
    this.#revision = revision;
    this.#newestId = source.lastId;
    this.#toldId = after ?? this.#newestId;
    if (after === undefined) this.#snapshot = this.#newest();
    this.#subscription = source.onEvent(({ id }) => {
      this.#newestId = id;
      poke();
    });
  }

  /** Where a watch that breaks now goes on. */
  get toldId(): number {
    return this.#toldId;
  }

  get settled(): boolean {
    return this.#snapshot === undefined && this.#toldId >= this.#newestId;
  }

  get urgent(): boolean {
    return this.#snapshot !== undefined;
  }

  next(): Message | undefined {
    if (this.#snapshot !== undefined) {
      const { message, last } = this.#snapshot.next();
      if (last) this.#snapshot = undefined;
      return message;
    }
    if (this.#toldId >= this.#newestId) return undefined;
    const events = this.#source.list({ after: this.#toldId, limit: EVENTS_MAX });
    const [oldest] = events;
    if (oldest === undefined || oldest.id > this.#toldId + 1) {
      this.#toldId = this.#newestId;
      this.#snapshot = this.#newest();
      return resync([this.kind], 'more has happened than was read');
    }
    this.#toldId = events.at(-1)?.id ?? this.#toldId;
    const data = `{"kind":"events","revision":${this.#revision()},"changed":[${events.map(eventText).join(',')}],"removed":[]}`;
    return { event: 'changes', data };
  }

  close(): void {
    this.#subscription.close();
  }

  #newest(): SnapshotParts<LoggedEvent> {
    return new SnapshotParts(this.kind, this.#revision(), this.#source.list({ limit: EVENTS_FIRST }), eventText);
  }
}

type WatchedTraffic = Pick<TrafficSource, 'graph' | 'onTraffic'>;

const TRAFFIC_WINDOW_MS = 10_000;

/** The graph as it is, once in each interval; who reads slowly gets the newest. */
export class TrafficFeed implements Feed {
  readonly kind = 'traffic';
  readonly settled = true;
  readonly urgent = false;
  readonly #source: WatchedTraffic;
  readonly #namespace: string | undefined;
  readonly #subscription: { close(): void };
  #isDue = true;

  constructor(source: WatchedTraffic, namespace: string | undefined, poke: () => void) {
    this.#source = source;
    this.#namespace = namespace;
    this.#subscription = source.onTraffic(() => {
      this.#isDue = true;
      poke();
    });
  }

  next(): Message | undefined {
    if (!this.#isDue) return undefined;
    this.#isDue = false;
    return { event: 'traffic', data: JSON.stringify(this.#source.graph(TRAFFIC_WINDOW_MS, this.#namespace)) };
  }

  close(): void {
    this.#subscription.close();
  }
}
