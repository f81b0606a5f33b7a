// Which of several clusters a request goes to: by chance, or by a hash, so that a user stays on one side.
import { hashText, mixHash } from '../balancing/hash-text.ts';
import type { WeightedCluster } from '../model/route.ts';
import { RouteFault } from './error.ts';

export const WEIGHT_MAX = 1_000_000;

/**
 * Weighted rendezvous hashing: each cluster draws a lot from the hash and its own name, and the best lot wins. So when the weight of one
 * changes, users move only from it or to it; between two clusters no one moves against the change; the order of the list does not matter.
 */
export class Split<C extends WeightedCluster = WeightedCluster> {
  /** Those with a weight, in the order of the list. */
  readonly clusters: readonly C[];
  private readonly sum: number;
  private readonly seeds: Uint32Array;

  /** @throws RouteFault when there is no cluster, a weight is none or all weights are 0. */
  constructor(clusters: readonly C[]) {
    checkWeights(clusters);
    this.clusters = clusters.length === 1 ? clusters : clusters.filter(({ weight }) => weight > 0);
    this.sum = this.clusters.reduce((sum, { weight }) => sum + weight, 0);
    // A cluster that is listed twice, with other headers, draws twice.
    const nth = new Map<string, number>();
    this.seeds = Uint32Array.from(this.clusters, ({ cluster }) => {
      const times = nth.get(cluster) ?? 0;
      nth.set(cluster, times + 1);
      return hashText(cluster, times);
    });
  }

  /** @param random uniform in [0, 1). */
  byChance(random: number): C {
    const { clusters } = this;
    const last = clusters.length - 1;
    let left = random * this.sum;
    for (let index = 0; index < last; index++) {
      const cluster = clusters[index] as C;
      left -= cluster.weight;
      if (left < 0) return cluster;
    }
    return clusters[last] as C;
  }

  /** @param hash unsigned 32-bit. The same hash gets the same cluster from every data plane. */
  byHash(hash: number): C {
    const { clusters, seeds } = this;
    let best = clusters[0] as C;
    if (clusters.length === 1) return best;
    let bestLot = Infinity;
    for (let index = 0; index < clusters.length; index++) {
      const cluster = clusters[index] as C;
      // Exponentially distributed with the weight as rate: the smallest is each one's with a chance of weight / sum.
      const lot = -Math.log((mixHash(hash ^ (seeds[index] as number)) + 0.5) / 4_294_967_296) / cluster.weight;
      if (lot < bestLot) {
        bestLot = lot;
        best = cluster;
      }
    }
    return best;
  }
}

function checkWeights(clusters: readonly WeightedCluster[]): void {
  if (clusters.length === 0) throw new RouteFault('there is no cluster to forward to', 'name at least one');
  for (const { cluster, weight } of clusters) {
    if (cluster === '') throw new RouteFault('a cluster has no name', 'name it');
    if (!Number.isInteger(weight) || weight < 0 || weight > WEIGHT_MAX)
      throw new RouteFault(
        `the weight ${weight} of cluster "${cluster}" is not a whole number from 0 to ${WEIGHT_MAX}`,
        'write one that is',
      );
  }
  if (clusters.length > 1 && clusters.every(({ weight }) => weight === 0))
    throw new RouteFault('the weights of all clusters are 0, so that no request could go anywhere', 'give at least one of them a weight');
}
