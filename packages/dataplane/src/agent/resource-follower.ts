// Who reads the configuration besides the data path: told what was applied, and heard when it needs more.
import type { ResourceUpdate, WantedResources } from '../data-plane.ts';

export interface ResourceFollower {
  /** Adds what it needs to what the data path wants. */
  join(wanted: WantedResources): WantedResources;
  /** After the data path has taken the update. */
  applied(update: ResourceUpdate): void;
  /** To be called when `join` would give something else. */
  onWantedChange: (() => void) | undefined;
}
