// Which data planes have the trust bundle as it is now. A rotation of the root waits for all of them: for those that are connected until they
// acknowledge it, and for those whose stream broke until they are back, or have been away for so long that they count as gone.
import { TRUST_BUNDLE } from '@heddle/core';
import type { DataPlaneFlavour, ResourceKind } from '@heddle/core';
import type { Clock } from '@heddle/runtime';
import type { Straggler } from '../drain/barrier.ts';
import { DEPARTED_MS } from '../drain/departures.ts';
import { hasSpoken } from '../drain/stream.ts';
import type { DrainStream } from '../drain/stream.ts';

export interface TrustStream {
  /** Empty until it has said it. */
  readonly node: string;
  readonly identity: string;
  readonly flavour: DataPlaneFlavour;
  readonly session: Omit<DrainStream['session'], 'subscription'> & {
    subscription(kind: ResourceKind): { readonly wildcard: boolean; readonly names: ReadonlySet<string> } | undefined;
  };
}

export interface TrustProgress {
  /** Data planes that follow the bundle, or that did a short while ago. */
  readonly dataPlanes: number;
  readonly acknowledged: number;
  /** The others, sorted by name. */
  readonly stragglers: readonly Straggler[];
  /** Nodes of those that follow it, and the identities with which they are connected. */
  readonly nodes: ReadonlySet<string>;
  readonly identities: ReadonlySet<string>;
}

export interface TrustFollowersOptions {
  readonly streams: () => Iterable<TrustStream>;
  /** The versions in which the bundle is sent now, to data planes of any kind. */
  readonly versions: () => Iterable<string>;
  /** Those that were there before this control plane was. */
  readonly nodes: Iterable<string>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** As many streams as one control plane serves. */
const DEPARTED_MAX = 5_000;

export class TrustFollowers {
  readonly #options: TrustFollowersOptions;
  /** By node: when it counts as gone; in that order. */
  readonly #departed = new Map<string, number>();

  constructor(options: TrustFollowersOptions) {
    this.#options = options;
    for (const node of options.nodes) this.#departed.set(node, options.clock.nowMs() + DEPARTED_MS);
  }

  ended({ node, session }: TrustStream): void {
    if (node === '' || !follows(session)) return;
    const nowMs = this.#options.clock.nowMs();
    this.#departed.delete(node);
    this.#departed.set(node, nowMs + DEPARTED_MS);
    for (const [oldest, untilMs] of this.#departed) {
      if (untilMs > nowMs && this.#departed.size <= DEPARTED_MAX) break;
      this.#departed.delete(oldest);
    }
  }

  progress(): TrustProgress {
    const versions = new Set(this.#options.versions());
    const reasons = new Map<string, Straggler['reason'] | undefined>();
    const nodes = new Set<string>();
    const identities = new Set<string>();
    for (const { node, identity, flavour, session } of this.#options.streams()) {
      if (node === '') continue;
      // One of ours that has just come may still go by what it had.
      const isNew = flavour === 'heddle' && !hasSpoken({ session });
      if (!follows(session) && !isNew) continue;
      nodes.add(node);
      identities.add(identity);
      const confirmation = isNew ? 'unacknowledged' : session.confirms('secret', TRUST_BUNDLE, (version) => versions.has(version));
      reasons.set(node, reasons.get(node) ?? (confirmation === 'yes' ? undefined : confirmation));
    }
    const nowMs = this.#options.clock.nowMs();
    const connected = new Set(Array.from(this.#options.streams(), ({ node }) => node));
    for (const [node, untilMs] of this.#departed) if (untilMs > nowMs && !connected.has(node)) reasons.set(node, 'disconnected');
    const stragglers = [...reasons].flatMap(([node, reason]): Straggler[] => (reason === undefined ? [] : [{ node, reason }]));
    stragglers.sort((a, b) => (a.node < b.node ? -1 : 1));
    return { dataPlanes: reasons.size, acknowledged: reasons.size - stragglers.length, stragglers, nodes, identities };
  }
}

function follows(session: TrustStream['session']): boolean {
  const secrets = session.subscription('secret');
  return secrets !== undefined && (secrets.wildcard || secrets.names.has(TRUST_BUNDLE));
}
