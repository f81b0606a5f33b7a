// Opens a watch: where it begins, from what the client knows already, and how many there may be.
import type { EventLog } from '../../events/log.ts';
import type { Clock } from '@heddle/runtime';
import type { Registry } from '../../registry/registry.ts';
import type { OpenTap } from '../../telemetry/tap-desk.ts';
import { ProblemError } from '../problems.ts';
import { WATCH_KINDS } from '../schema/watch.ts';
import type { WatchKind } from '../schema/watch.ts';
import type { ProxySource, TrafficSource } from '../sources.ts';
import { resync } from './feed.ts';
import type { Feed, Message } from './feed.ts';
import { EventFeed, ProxyFeed, TrafficFeed } from './other-feeds.ts';
import { ProxyChanges } from './proxy-changes.ts';
import { RegistryChanges } from './registry-changes.ts';
import type { ItemChange } from './registry-changes.ts';
import { RegistryFeed } from './registry-feed.ts';
import { WatchStream } from './stream.ts';
import { TapFeed } from './tap-feed.ts';
import { Turns } from './turns.ts';

/** Each may hold a megabyte of names for a slow reader. */
const STREAMS_MAX = 64;

export interface WatchesOptions {
  readonly registry: Registry;
  readonly proxies: ProxySource;
  readonly traffic: Pick<TrafficSource, 'graph' | 'onTraffic'>;
  readonly events: EventLog;
  /** Tells this run of the control plane from others: what it counts begins anew with it. */
  readonly epoch: string;
  readonly clock: Clock;
}

export interface WatchRequest {
  readonly kinds: readonly WatchKind[];
  readonly namespace: string | undefined;
  readonly lastEventId: string | undefined;
}

/** What a stream had told, and of what. */
interface State {
  readonly epoch: string;
  readonly revision: number;
  readonly eventId: number;
  readonly kinds: readonly WatchKind[];
  readonly namespace: string | undefined;
}

/** What a client that comes back has missed. */
interface Resumption {
  readonly missed: ItemChange;
  readonly eventId: number;
  readonly kinds: readonly WatchKind[];
}

export class Watches {
  readonly #options: WatchesOptions;
  readonly #registryChanges: RegistryChanges;
  readonly #proxyChanges: ProxyChanges;
  readonly #turns = new Turns();
  readonly #open = new Set<WatchStream>();
  #closed = false;

  constructor(options: WatchesOptions) {
    this.#options = options;
    this.#registryChanges = new RegistryChanges(options.registry);
    this.#proxyChanges = new ProxyChanges(options.proxies, options.clock);
  }

  get count(): number {
    return this.#open.size;
  }

  /** Throws ProblemError LIMIT or UNAVAILABLE. */
  open(request: WatchRequest): ReadableStream<Uint8Array> {
    this.#admit();
    const resumed = this.#resume(request);
    const { registry, clock, epoch } = this.#options;
    let events: EventFeed | undefined;
    const stream = new WatchStream({
      clock,
      turns: this.#turns,
      preamble: request.lastEventId === undefined ? [] : preamble(request, resumed, registry.revision),
      feeds: (poke) =>
        WATCH_KINDS.filter((kind) => request.kinds.includes(kind)).map((kind): Feed => {
          const known = resumed?.kinds.includes(kind) === true ? resumed : undefined;
          if (kind === 'proxies') return new ProxyFeed(this.#proxyChanges, () => registry.revision, poke);
          if (kind === 'traffic') return new TrafficFeed(this.#options.traffic, request.namespace, poke);
          if (kind === 'events') return (events = new EventFeed(this.#options.events, known?.eventId, () => registry.revision, poke));
          return new RegistryFeed({
            kind,
            registry,
            changes: this.#registryChanges,
            namespace: request.namespace,
            missed: known?.missed,
            poke,
          });
        }),
      stateId: () =>
        formatState({
          epoch,
          revision: registry.revision,
          eventId: events?.toldId ?? 0,
          kinds: request.kinds,
          namespace: request.namespace,
        }),
      onEnd: () => this.#open.delete(stream),
    });
    this.#open.add(stream);
    return stream.body;
  }

  /** Live requests. Throws ProblemError LIMIT or UNAVAILABLE. @param tap is opened with what is to be called when there may be something to say. */
  async openTap(tap: (poke: () => void) => Promise<OpenTap>): Promise<ReadableStream<Uint8Array>> {
    this.#admit();
    let poke = (): void => {};
    const opened = await tap(() => poke());
    const { clock } = this.#options;
    const stream = new WatchStream({
      ...{ clock, turns: this.#turns, preamble: [], stateId: () => '' },
      feeds: (wake) => {
        poke = wake;
        return [new TapFeed(opened, () => stream.end())];
      },
      onEnd: () => this.#open.delete(stream),
    });
    this.#open.add(stream);
    return stream.body;
  }

  #admit(): void {
    if (this.#closed) throw new ProblemError('UNAVAILABLE', 'the control plane is stopping');
    if (this.#open.size >= STREAMS_MAX)
      throw new ProblemError('LIMIT', `${STREAMS_MAX} watches are open, which is the most there may be`, {
        headers: { 'retry-after': '5' },
      });
  }

  close(): void {
    this.#closed = true;
    for (const stream of [...this.#open]) stream.end();
    this.#registryChanges.close();
    this.#proxyChanges.close();
  }

  #resume({ lastEventId, namespace }: WatchRequest): Resumption | undefined {
    const state = parseState(lastEventId ?? '');
    if (state === undefined || state.epoch !== this.#options.epoch || state.namespace !== namespace) return undefined;
    const missed = this.#registryChanges.since(state.revision);
    if (missed === undefined || state.eventId > this.#options.events.lastId) return undefined;
    return { missed, eventId: state.eventId, kinds: state.kinds };
  }
}

/** Data planes always begin with a snapshot: what they have applied is no state that was kept. Traffic has no state at all. */
function preamble({ kinds }: WatchRequest, resumed: Resumption | undefined, revision: number): Message[] {
  const known = kinds.filter((kind) => kind !== 'proxies' && kind !== 'traffic' && resumed?.kinds.includes(kind) === true);
  const unknown = kinds.filter((kind) => !known.includes(kind) && kind !== 'traffic');
  const reason =
    resumed === undefined ? 'what was known is too old, or of another control plane or another watch' : 'nothing was known of it';
  return [
    ...(known.length === 0 ? [] : [{ event: 'resumed', data: JSON.stringify({ kinds: known, revision }) } as const]),
    ...(unknown.length === 0 ? [] : [resync(unknown, reason)]),
  ];
}

function formatState({ epoch, revision, eventId, kinds, namespace = '' }: State): string {
  return `${epoch}.${revision}.${eventId}.${WATCH_KINDS.map((kind) => (kinds.includes(kind) ? '1' : '0')).join('')}.${namespace}`;
}

function parseState(text: string): State | undefined {
  const [, epoch = '', revision, eventId, kinds = '', namespace = ''] =
    /^([0-9a-z]+)\.(\d{1,15})\.(\d{1,15})\.([01]{5})\.(.{0,63})$/.exec(text) ?? [];
  if (epoch === '') return undefined;
  return {
    epoch,
    revision: Number(revision),
    eventId: Number(eventId),
    kinds: WATCH_KINDS.filter((_, index) => kinds[index] === '1'),
    namespace: namespace === '' ? undefined : namespace,
  };
}
