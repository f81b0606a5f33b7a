// One watcher of discovery: everything first, then what changed since its last message, however long it took to read that.
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { discovery } from '@heddle/api';
import type { Registry } from '../registry/registry.ts';
import { PacedWriter } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { listServices, serviceMessage } from './listing.ts';

export function watchServices(
  call: ServerWritableStream<discovery.WatchRequest, discovery.WatchResponse>,
  registry: Registry,
  streams: OpenStreams,
): void {
  const { namespace } = call.request;
  const prefix = namespace === '' ? '' : `${namespace}/`;
  /** Keys of services that changed since the last message: bounded by the number of services, not of changes. */
  const dirty = new Set<string>();
  const known = new Set<string>();
  let first = true;

  const next = (): discovery.WatchResponse | undefined => {
    const changed: discovery.ServiceMessage[] = [];
    const removed: string[] = [];
    if (first) {
      first = false;
      changed.push(...listServices(registry.snapshot(), namespace));
      for (const service of changed) known.add(`${service.namespace}/${service.name}`);
    } else {
      for (const key of dirty) {
        const view = registry.service(key);
        if (view !== undefined) {
          known.add(key);
          changed.push(serviceMessage(view));
        } else if (known.delete(key)) removed.push(key);
      }
      if (changed.length === 0 && removed.length === 0) return undefined;
    }
    dirty.clear();
    return { changed, removed, revision: registry.revision };
  };

  const writer = new PacedWriter<discovery.WatchResponse>(call as unknown as ServerWritableStream<never, discovery.WatchResponse>, next);
  const subscription = registry.onChange((change) => {
    for (const key of change.services) if (key.startsWith(prefix)) dirty.add(key);
    if (dirty.size > 0) writer.poke();
  });
  call.on('cancelled', () => subscription.close());
  call.on('close', () => subscription.close());
  streams.add(call, writer);
  writer.poke();
}
