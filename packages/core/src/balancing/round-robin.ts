// Round robin: the healthy hosts in a fixed order, each in turn, weights ignored. The order is by address and port, so a
// list that comes back in another order, longer or shorter, does not disturb the turn of the hosts that stay: between any
// two of them the number of picks never differs by more than one. Retries go around by themselves, so that a host that
// fails gets its own turn only, and the others share what it leaves.
import type { BalancedHost, Balancer, PickRequest } from './balancer.ts';
import { compareHosts, isSameHost } from './balancer.ts';

export class RoundRobin<H extends BalancedHost> implements Balancer<H> {
  readonly policy = 'round-robin';
  private healthy: readonly H[] = [];
  private cursor = 0;
  /** Where the search for a host that is not to be avoided begins. */
  private retryCursor = 0;
  /** The host whose turn it was when none was left: where the rotation goes on. */
  private pendingTurn: H | undefined;
  private readonly random: () => number;
  private begun = false;

  constructor(random: () => number) {
    this.random = random;
  }

  get healthyCount(): number {
    return this.healthy.length;
  }

  update(hosts: readonly H[]): void {
    const turn = this.healthy[this.cursor] ?? this.pendingTurn;
    const next = pickable(hosts);
    this.healthy = next;
    if (next.length === 0) {
      this.cursor = 0;
      this.pendingTurn = turn;
      return;
    }
    this.pendingTurn = undefined;
    if (!this.begun) {
      this.begun = true;
      this.cursor = Math.floor(this.random() * next.length);
      return;
    }
    // The first that stays at or after the one whose turn it is; past the last one the round begins again.
    const index = turn === undefined ? 0 : next.findIndex((host) => compareHosts(host, turn) >= 0);
    this.cursor = index === -1 ? 0 : index;
  }

  pick(request: PickRequest<H>): H | undefined {
    const healthy = this.healthy;
    const count = healthy.length;
    if (count === 0) return undefined;
    if (request.avoid.length > 0) return this.pickAgain(request.avoid, healthy);
    const index = this.cursor;
    this.cursor = index + 1 === count ? 0 : index + 1;
    return healthy[index];
  }

  /** A retry: it takes no host's turn away. */
  private pickAgain(avoid: readonly H[], healthy: readonly H[]): H {
    const count = healthy.length;
    // Among avoid.length + 1 hosts in a row one is not to be avoided, unless all are.
    const steps = Math.min(avoid.length, count - 1);
    const first = this.retryCursor < count ? this.retryCursor : 0;
    let index = first;
    for (let step = 0; step < steps && isAvoided(healthy[index] as H, avoid); step++) {
      index = index + 1 === count ? 0 : index + 1;
    }
    if (steps > 0 && isAvoided(healthy[index] as H, avoid)) index = first;
    this.retryCursor = index + 1 === count ? 0 : index + 1;
    return healthy[index] as H;
  }

  /** Load does not matter to a rotation. */
  started(): void {}

  /** Nor does latency. */
  finished(): void {}
}

/** The healthy ones in order, each once: a host listed twice must not get a double share. */
function pickable<H extends BalancedHost>(hosts: readonly H[]): H[] {
  const sorted = hosts.filter((host) => host.health === 'healthy').sort(compareHosts);
  return sorted.filter((host, index) => index === 0 || !isSameHost(host, sorted[index - 1] as H));
}

function isAvoided(host: BalancedHost, avoid: readonly BalancedHost[]): boolean {
  for (let index = 0; index < avoid.length; index++) {
    if (isSameHost(host, avoid[index] as BalancedHost)) return true;
  }
  return false;
}
