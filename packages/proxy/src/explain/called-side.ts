// What happens at the called instances, where this data plane hosts them: their way in has routes of its own, with the service's rate limits.
import type { PlainRequest } from '@heddle/core';
import type { Applied, AppliedListener } from './dump.ts';
import { instanceOf } from './dump.ts';
import { findRoute } from './routes.ts';
import { rulesOf } from './rules.ts';
import type { CalledSide, Candidate, Target } from './types.ts';

/** @param request as it is passed on, with the caller's identity. */
export function calledSides(applied: Applied, targets: readonly Target[], request: PlainRequest): CalledSide[] {
  const candidates = new Map<string, Candidate>();
  for (const { candidates: list } of targets) for (const one of list.shown) candidates.set(`${one.address} ${one.port}`, one);
  return [...candidates.values()].flatMap((candidate) => {
    const listener = applied.listeners.find((one) => leadsTo(one, candidate));
    return listener === undefined ? [] : [calledSide(applied, listener, request)];
  });
}

/** Instances of other machines may have the same address behind another network. */
function leadsTo({ direction, port, workload = '' }: AppliedListener, candidate: Candidate): boolean {
  return direction === 'inbound' && port === candidate.port && instanceOf(workload) === candidate.instance;
}

function calledSide(applied: Applied, { name, workload = '', status, filter }: AppliedListener, request: PlainRequest): CalledSide {
  const config = filter.kind === 'http' ? applied.routes.get(filter.routeConfigName) : undefined;
  const route = config === undefined ? undefined : findRoute(config, request).route;
  const action = route?.action;
  const clusterName = action?.kind === 'forward' ? action.clusters[0]?.cluster : action?.kind === 'tunnel' ? action.cluster : undefined;
  const cluster = clusterName === undefined ? undefined : applied.clusters.get(clusterName);
  const [application] = cluster?.views[0]?.seen.hosts ?? [];
  return {
    instance: instanceOf(workload),
    listener: name,
    state: status.state,
    application: application === undefined ? '' : `${application.address}:${application.port}`,
    route: route?.name ?? '',
    idleTimeoutMs: action?.kind === 'forward' || action?.kind === 'tunnel' ? (action.idleTimeoutMs ?? 0) : 0,
    rateLimits: route === undefined ? [] : rulesOf(route, request, request.sourceIdentity).rateLimits,
    adaptiveConcurrency: cluster?.config.adaptiveConcurrency ?? null,
    concurrency: (cluster?.views ?? []).flatMap(({ seen }) => (seen.concurrency === undefined ? [] : [seen.concurrency])),
    activeRequests: status.activeRequests,
  };
}
