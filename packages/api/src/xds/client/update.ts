// What a data plane is told to apply.
import type { ResourceKind, ResourceTypes } from '@heddle/core';

export interface KindUpdate<K extends ResourceKind> {
  readonly kind: K;
  /** New or changed. */
  readonly upserts: readonly ResourceTypes[K][];
  /** Gone. For kinds subscribed by name also names that do not exist. */
  readonly removed: readonly string[];
  /** The server's name for the state that this update leads to. */
  readonly version: string;
}

export type ResourceUpdate = { [K in ResourceKind]: KindUpdate<K> }[ResourceKind];
