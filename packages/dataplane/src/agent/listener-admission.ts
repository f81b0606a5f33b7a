// Which listeners of the configuration this data plane serves: those on sockets that it has bound for a workload it hosts. The rest
// is kept aside: a restarted data plane is told of workloads that are only about to come back, and nobody who registers an instance
// under this data plane's name may make it open ports.
import type { Listener, SocketAddress } from '@heddle/core';
import type { ResourceUpdate } from '../data-plane.ts';

export type ListenerUpdate = ResourceUpdate<'listener'>;

/** `workload` is undefined for the shared outbound proxy. */
export type OwnsSocket = (workload: string | undefined, socket: SocketAddress) => boolean;

export interface Admission {
  /** For the data path. What it serves and may no longer serve is in `removed`. */
  readonly update: ListenerUpdate;
  /** To be kept aside once the update has been applied. */
  readonly aside: readonly Listener[];
}

export class ListenerAdmission {
  readonly #owns: OwnsSocket;
  readonly #aside = new Map<string, Listener>();

  constructor(owns: OwnsSocket) {
    this.#owns = owns;
  }

  admit({ upserts, removed }: ListenerUpdate): Admission {
    const admitted: Listener[] = [];
    const aside: Listener[] = [];
    for (const listener of upserts) (this.#owns(listener.workload, listener) ? admitted : aside).push(listener);
    return { update: { kind: 'listener', upserts: admitted, removed: [...removed, ...aside.map(({ name }) => name)] }, aside };
  }

  /** The update has been applied. */
  applied({ update, aside }: Admission): void {
    for (const name of [...update.removed, ...update.upserts.map((listener) => listener.name)]) this.#aside.delete(name);
    for (const listener of aside) this.#aside.set(listener.name, listener);
  }

  /** What was kept aside and can be served by now; undefined when there is nothing of that kind. */
  due(): Admission | undefined {
    const upserts = [...this.#aside.values()].filter((listener) => this.#owns(listener.workload, listener));
    return upserts.length === 0 ? undefined : { update: { kind: 'listener', upserts, removed: [] }, aside: [] };
  }

  get aside(): readonly string[] {
    return [...this.#aside.keys()].sort();
  }
}
