// The instances of a cluster as the caller's balancer sees them: which can be picked, and what speaks against the others.
import { createBalancer, formatLocality } from '@heddle/core';
import type { BalancedHost, Balancer, CallerZone, Locality } from '@heddle/core';
import type { Applied, AppliedCluster, SeenHost } from './dump.ts';
import { instanceOf, serviceOf } from './dump.ts';
import type { Candidate, CandidateList, CandidateView } from './types.ts';

/** Of instances that are listed; all are counted. */
const SHOWN_MAX = 200;
const BY_NAME = new Intl.Collator('en', { numeric: true });

interface View extends CandidateView {
  readonly host: SeenHost;
}

/** @param hash of the request, where the cluster is balanced by it. */
export function candidatesOf(applied: Applied, { config, views }: AppliedCluster, workload: string, hash: number | null): CandidateList {
  const byEndpoint = new Map<string, View[]>();
  for (const { worker, seen } of views) {
    const isKnown = seen.hosts.every(({ balancers }) => balancers[workload] !== undefined);
    const fresh = isKnown ? undefined : freshBalancer(applied, seen.hosts, config.balance, workload);
    for (const host of seen.hosts) {
      const view = viewOf(worker, host, workload, fresh);
      const key = `${host.address} ${host.port}`;
      const known = byEndpoint.get(key);
      if (known === undefined) byEndpoint.set(key, [view]);
      else known.push(view);
    }
  }
  const all = [...byEndpoint.values()].map(candidateOf).sort(byUse);
  return {
    all: all.length,
    canBePicked: all.filter(({ canBePicked }) => canBePicked).length,
    shown: all.slice(0, SHOWN_MAX),
    byHash: hash === null ? '' : instanceByHash(applied, views[0]?.seen.hosts ?? [], config, workload, hash),
  };
}

export const NO_CANDIDATES: CandidateList = { all: 0, canBePicked: 0, shown: [], byHash: '' };

function viewOf(worker: number | null, host: SeenHost, workload: string, fresh: Balancer<BalancedHost> | undefined): View {
  const known = host.balancers[workload];
  const balancer = known ?? fresh?.describe(host, 0) ?? {};
  const why = whyNot(host, balancer);
  const canBePicked = why === '';
  return {
    worker,
    host,
    canBePicked,
    why: canBePicked ? whyLess(balancer) : why,
    measured: known !== undefined,
    balancer,
    connections: host.connections,
  };
}

/** Why the host is not picked; empty if it is. */
function whyNot({ health, outlier }: SeenHost, { panic, localityShare, locality }: CandidateView['balancer']): string {
  if (health === 'draining') return 'draining';
  if (panic !== undefined) return '';
  if (outlier?.ejected === true) {
    const more = outlier.forMs === undefined ? 'for a while' : `for ${Math.ceil(outlier.forMs / 1_000)} s more`;
    return `left out by this proxy ${more}: ${outlier.reason}`;
  }
  if (health === 'unhealthy') return 'unhealthy';
  return localityShare === 0 ? `${String(locality)}: nearer instances take everything; only retries come here` : '';
}

function whyLess({ panic, weight, slowStartWeight, localityShare, locality }: CandidateView['balancer']): string {
  const reasons: string[] = [];
  if (panic !== undefined) reasons.push(String(panic));
  if (typeof slowStartWeight === 'number' && typeof weight === 'number')
    reasons.push(`slow start, at ${Math.round((100 * slowStartWeight) / weight)} % of its weight`);
  if (typeof localityShare === 'number' && localityShare < 1)
    reasons.push(`${String(locality)} gets ${Math.round(localityShare * 1_000) / 10} % of the requests`);
  return reasons.join('; ');
}

function candidateOf(views: readonly View[]): Candidate {
  const [{ host }] = views as readonly [View];
  const { instance, address, port, locality, weight } = host;
  const canBePicked = views.some((view) => view.canBePicked);
  const shown = views.map(({ worker, canBePicked: can, why, measured, balancer, connections }) => ({
    worker,
    canBePicked: can,
    why,
    measured,
    balancer,
    connections,
  }));
  return {
    instance,
    address,
    port,
    locality: locality === undefined ? '' : formatLocality(locality),
    weight,
    // One process may have left it out where others have not.
    health: views.find((view) => view.host.health === 'healthy')?.host.health ?? host.health,
    canBePicked,
    why: reasonsOf(views),
    views: shown,
  };
}

/** The same reason of all processes once, others with who says so. */
function reasonsOf(views: readonly View[]): string {
  const reasons = [...new Set(views.map(({ why }) => why))];
  if (reasons.length === 1) return reasons[0]!;
  return views.flatMap(({ worker, why }) => (why === '' ? [] : [`worker ${worker}: ${why}`])).join('; ');
}

function byUse(a: Candidate, b: Candidate): number {
  return Number(b.canBePicked) - Number(a.canBePicked) || BY_NAME.compare(a.instance, b.instance);
}

/** What the workload's balancer would begin with, for a workload that has not called the cluster yet. */
function freshBalancer(
  applied: Applied,
  hosts: readonly SeenHost[],
  balance: AppliedCluster['config']['balance'],
  workload: string,
): Balancer<BalancedHost> {
  const local = localityOf(applied, workload);
  const callers = callerZones(applied, workload);
  const balancer = createBalancer<BalancedHost>(balance, { random: () => 0, ...(local && { local }), callers: () => callers });
  balancer.update(hosts, 0);
  return balancer;
}

/** Where the workload runs, as far as the instances of its own service are known here. */
function localityOf(applied: Applied, workload: string): Locality | undefined {
  const own = instanceOf(workload);
  return ownEndpoints(applied, workload).find(({ instance }) => instance === own)?.locality;
}

/** As the data plane itself counts them. */
function callerZones(applied: Applied, workload: string): CallerZone[] {
  return ownEndpoints(applied, workload).flatMap(({ locality, health }) =>
    locality === undefined || health !== 'healthy' ? [] : [{ locality, count: 1 }],
  );
}

function ownEndpoints({ endpoints }: Applied, workload: string) {
  return endpoints.get(`outbound/${serviceOf(workload)}`)?.endpoints ?? [];
}

/** Empty where only the running balancer could say it: while instances are in slow start, or where they are told apart by place. */
function instanceByHash(
  applied: Applied,
  hosts: readonly SeenHost[],
  { balance }: AppliedCluster['config'],
  workload: string,
  hash: number,
): string {
  const { algorithm } = balance;
  if (algorithm !== 'ring-hash' && algorithm !== 'maglev') return '';
  const known = hosts.map((host) => host.balancers[workload] ?? {});
  if (known.some(({ slowStartWeight, locality }) => slowStartWeight !== undefined || locality !== undefined)) return '';
  const balancer = freshBalancer(applied, hosts, { ...balance, slowStartMs: 0 }, workload);
  return (balancer.pick({ nowMs: 0, hash, avoid: [] }) as SeenHost | undefined)?.instance ?? '';
}
