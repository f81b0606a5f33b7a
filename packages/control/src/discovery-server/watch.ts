// One watcher of discovery: everything first, or what it has missed; then what changed since its last message, however long it took to
// read that.
import { status } from '@grpc/grpc-js';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import type { Registry } from '../registry/registry.ts';
import { PacedWriter, logRefusal } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import { listServices, serviceMessage } from './listing.ts';

type Call = ServerWritableStream<discovery.WatchRequest, discovery.WatchResponse>;

export function watchServices(call: Call, registry: Registry, streams: OpenStreams, logger: Logger): void {
  let watcher: Watcher;
  try {
    watcher = new Watcher(call.request, registry);
  } catch (error) {
    const refused = statusOf(error, logger);
    logRefusal(call, refused, logger);
    call.emit('error', refused);
    return;
  }
  const writer = new PacedWriter<discovery.WatchResponse>(call as unknown as ServerWritableStream<never, discovery.WatchResponse>, () =>
    watcher.next(),
  );
  const subscription = registry.onChange((change) => {
    if (watcher.changed(change.services)) writer.poke();
  });
  call.on('cancelled', () => subscription.close());
  call.on('close', () => subscription.close());
  streams.add(call, writer);
  writer.poke();
}

class Watcher {
  readonly #registry: Registry;
  readonly #namespace: string;
  /** Keys of services that changed since the last message: bounded by the number of services, not of changes. */
  readonly #dirty = new Set<string>();
  #begun = false;
  readonly #isComplete: boolean;

  /** Throws InvalidMessageError; CallError OUT_OF_RANGE for a revision from which there is no way on. */
  constructor({ namespace, fromRevision, history }: discovery.WatchRequest, registry: Registry) {
    if (namespace !== '') discovery.nameFromMessage(namespace, 'namespace');
    this.#registry = registry;
    this.#namespace = namespace;
    this.#isComplete = fromRevision === 0;
    if (this.#isComplete) return;
    const missed = registry.changedSince(fromRevision, history);
    if (missed.known) this.changed(missed.services);
    else throw outOfRange(missed.reason, fromRevision, registry.revision);
  }

  /** Whether there is something to tell. */
  changed(services: Iterable<string>): boolean {
    for (const key of services) if (this.#namespace === '' || key.startsWith(`${this.#namespace}/`)) this.#dirty.add(key);
    return this.#dirty.size > 0;
  }

  next(): discovery.WatchResponse | undefined {
    const { revision, history } = this.#registry;
    if (!this.#begun && this.#isComplete) {
      this.#begun = true;
      this.#dirty.clear();
      return { changed: listServices(this.#registry.snapshot(), this.#namespace), removed: [], revision, complete: true, history };
    }
    // The first one of a watch that goes on is sent also when nothing was missed: it says so.
    if (this.#begun && this.#dirty.size === 0) return undefined;
    this.#begun = true;
    const changed: discovery.ServiceMessage[] = [];
    const removed: string[] = [];
    for (const key of this.#dirty) {
      const view = this.#registry.service(key);
      if (view === undefined) removed.push(key);
      else changed.push(serviceMessage(view));
    }
    this.#dirty.clear();
    return { changed, removed, revision, complete: false, history };
  }
}

function outOfRange(reason: 'compacted' | 'ahead' | 'other-history', from: number, revision: number): CallError {
  const why = {
    compacted: `it is not known any more what changed since revision ${from}`,
    ahead: `the registry is at revision ${revision} and has not got to ${from}: it was restored from older data`,
    'other-history': `revision ${from} was told before the registry was restored from older data`,
  }[reason];
  return new CallError(status.OUT_OF_RANGE, `${why}; watch again without from_revision`, { word: reason, revision });
}
