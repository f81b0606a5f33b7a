// Whose registration streams are open: as long as one is, its data plane speaks for its instance itself.
import { instanceName } from '../registry/keys.ts';
import type { InstanceRef } from '../registry/keys.ts';
import type { Lease } from '../registry/lease.ts';

export class Registrants {
  /** By name of the instance; of several streams the one that has registered last. */
  readonly #connected = new Map<string, Lease>();

  add(lease: Lease): void {
    this.#connected.set(instanceName(lease.ref), lease);
  }

  /** Its stream has ended. */
  remove(lease: Lease): void {
    const name = instanceName(lease.ref);
    if (this.#connected.get(name) === lease) this.#connected.delete(name);
  }

  isConnected(ref: InstanceRef): boolean {
    return this.#connected.has(instanceName(ref));
  }
}
