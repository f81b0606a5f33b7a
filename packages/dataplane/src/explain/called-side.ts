// What happens at the called instances, where this data plane hosts them: their way in has routes of its own, with the service's rate limits.
import type { PlainRequest } from '@heddle/core';
import type { Applied, AppliedListener } from './dump.ts';
import { instanceOf } from './dump.ts';
import { decisionOf } from './decision.ts';
import type { DecisionOptions } from './decision.ts';
import { findRoute } from './routes.ts';
import { rulesOf } from './rules.ts';
import type { CalledSide, Candidate, Target } from './types.ts';

/** @param request as it is passed on, with the caller's identity. */
export function calledSides(applied: Applied, targets: readonly Target[], request: PlainRequest, options: DecisionOptions): CalledSide[] {
  const candidates = new Map<string, Candidate>();
  for (const { candidates: list } of targets) for (const one of list.shown) candidates.set(`${one.address} ${one.port}`, one);
  return [...candidates.values()].flatMap((candidate) => {
    const listener = applied.listeners.find((one) => leadsTo(one, candidate));
    return listener === undefined ? [] : [calledSide(applied, listener, request, options)];
  });
}

/** Instances of other machines may have the same address behind another network. */
function leadsTo({ direction, port, workload = '' }: AppliedListener, candidate: Candidate): boolean {
  return direction === 'inbound' && port === candidate.port && instanceOf(workload) === candidate.instance;
}

function calledSide(applied: Applied, listener: AppliedListener, request: PlainRequest, options: DecisionOptions): CalledSide {
  const { name, workload = '', status, filter } = listener;
  const config = filter.kind === 'http' ? applied.routes.get(filter.routeConfigName) : undefined;
  const found = config === undefined ? undefined : findRoute(config, request);
  const route = found?.route;
  const virtualHost = config?.virtualHosts.find((host) => host.name === found?.taken.virtualHost);
  const action = route?.action;
  const clusterName = action?.kind === 'forward' ? action.clusters[0]?.cluster : action?.kind === 'tunnel' ? action.cluster : undefined;
  const cluster = clusterName === undefined ? undefined : applied.clusters.get(clusterName);
  const [application] = cluster?.views[0]?.seen.hosts ?? [];
  return {
    instance: instanceOf(workload),
    listener: name,
    state: status.state,
    application: application === undefined ? '' : `${application.address}:${application.port}`,
    decision: virtualHost === undefined ? null : decisionOf(listener, virtualHost, request, options),
    route: route?.name ?? '',
    idleTimeoutMs: action?.kind === 'forward' || action?.kind === 'tunnel' ? (action.idleTimeoutMs ?? 0) : 0,
    rateLimits: route === undefined ? [] : rulesOf(route, request, request.sourceIdentity).rateLimits,
    adaptiveConcurrency: cluster?.config.adaptiveConcurrency ?? null,
    concurrency: (cluster?.views ?? []).flatMap(({ seen }) => (seen.concurrency === undefined ? [] : [seen.concurrency])),
    activeRequests: status.activeRequests,
  };
}
