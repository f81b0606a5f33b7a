// Everything that workers have been told, so that a new one can be told it again: in the order in which nothing refers to what is missing.
import { type Resource, type ResourceKind, resourceName } from '@heddle/core';
import type { ResourceUpdate, SocketBind, WorkloadIdentity } from '@heddle/dataplane';
import { keyOf } from './socket-network.ts';

/** What is referred to comes before what refers. */
const ORDER = ['secret', 'cluster', 'endpoints', 'route', 'listener'] as const satisfies readonly ResourceKind[];

export class ToldState {
  readonly reserved = new Map<string, SocketBind>();
  readonly identities = new Map<string, WorkloadIdentity>();
  readonly certificates = new Map<string, WorkloadIdentity>();
  /** Credential to workload. */
  readonly credentials = new Map<string, string>();
  anonymous: string | undefined;
  private readonly resources = new Map<ResourceKind, Map<string, Resource>>();

  reserve(bind: SocketBind): void {
    this.reserved.set(keyOf(bind), bind);
  }

  release(bind: SocketBind): void {
    this.reserved.delete(keyOf(bind));
  }

  apply({ kind, upserts, removed }: ResourceUpdate): void {
    let held = this.resources.get(kind);
    if (held === undefined) this.resources.set(kind, (held = new Map()));
    for (const name of removed) held.delete(name);
    for (const resource of upserts) held.set(resourceName(kind, resource), resource);
  }

  updates(): ResourceUpdate[] {
    return ORDER.map((kind) => ({ kind, upserts: [...(this.resources.get(kind)?.values() ?? [])], removed: [] })).filter(
      ({ upserts }) => upserts.length > 0,
    );
  }
}
