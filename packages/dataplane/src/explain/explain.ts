// What this data plane would do with a request, from its applied state: a pure function, so that it can be asked of a dump as well. Decides
// nothing itself: routes, splits, balancers and time limits are core's, as they are for requests.
import { ERRORS, Redirect } from '@heddle/core';
import type { PlainRequest, Route, VirtualHost } from '@heddle/core';
import { isOutside } from '../listener/outside.ts';
import { accessTo, identityTowards } from './access.ts';
import { calledSides } from './called-side.ts';
import { chooseCaller } from './callers.ts';
import type { ChosenCaller } from './callers.ts';
import type { DecisionOptions } from './decision.ts';
import type { Applied } from './dump.ts';
import { readDump, serviceOf } from './dump.ts';
import { forwardFacts } from './forward.ts';
import { notesOn } from './notes.ts';
import { answeringOutcome, forwardOutcome, refusal, tunnelOutcome, unanswered } from './outcome.ts';
import { domainsOf, findRoute, plainRequest, takesRequests } from './routes.ts';
import { rulesOf } from './rules.ts';
import { similarNames } from './similar.ts';
import { forwardTargets, mirrorsOf, singleTarget } from './targets.ts';
import type { Access, Action, CalledSide, Explanation, Mirrored, Outcome, Question, TakenRoute, Target } from './types.ts';
import { findWay, portsTo, targetOf } from './ways.ts';
import type { Way } from './ways.ts';

/** What was found out behind the listener. */
interface Found {
  readonly outcome: Outcome;
  readonly route: TakenRoute | null;
  readonly action: Action | null;
  readonly targets: readonly Target[];
  readonly mirrors: readonly Mirrored[];
  /** As it is passed on. */
  readonly passedOn: Question;
  readonly notes: readonly string[];
}

/**
 * @param dump of the data plane (`configDump`). @param options needed where policies have conditions, which may ask for the time too.
 * @throws QuestionError when nobody here is, or may be, the caller that was named.
 */
export function explain(dump: object, question: Question, options: DecisionOptions = { wallMs: 0 }): Explanation {
  const applied = readDump(dump);
  const caller = chooseCaller(applied, question.from);
  const way = findWay(applied, question, caller.workload);
  const found = way === undefined ? noWay(applied, question) : behind(applied, way);
  const workload = way?.workload ?? caller.workload;
  const target = found.targets.find(({ taken }) => taken === true) ?? found.targets[0];
  const cluster = target === undefined ? undefined : applied.clusters.get(target.name)?.config;
  const identity = identityTowards(cluster, workload);
  const access = accessTo(cluster, workload, hostOf(applied, found.route));
  const calledSide = calledSides(applied, found.targets, plainRequest(found.passedOn, identity), options);
  return {
    node: applied.node,
    question,
    outcome: decided(withIdentity(applied, found.outcome, identity, workload), access, calledSide, workload),
    caller: { ...callerOf(caller, workload), identity },
    listener: way === undefined ? null : listenerOf(applied, way, target),
    route: found.route,
    action: found.action,
    clusters: found.targets,
    mirrors: found.mirrors,
    access,
    calledSide,
    notes: [...(way?.notes ?? []), ...found.notes, ...notesOn(found.action, found.targets)],
  };
}

function callerOf(caller: ChosenCaller, workload: string): ChosenCaller {
  return workload === caller.workload ? caller : { workload, why: 'owns the port', others: [] };
}

function hostOf({ routes }: Applied, route: TakenRoute | null): VirtualHost | undefined {
  return route === null ? undefined : routes.get(route.config)?.virtualHosts.find(({ name }) => name === route.virtualHost);
}

/** What the caller's side refuses itself, and what the called one does: all instances of a service have the same rules. */
function decided(outcome: Outcome, { mayTry }: Access, calledSide: readonly CalledSide[], workload: string): Outcome {
  if (outcome.kind !== 'forwarded' && outcome.kind !== 'tunnelled') return outcome;
  if (mayTry === false) return refusal('ACCESS_DENIED', `the called service allows ${serviceOf(workload)} nothing`);
  const refusing = calledSide.find(({ decision }) => decision?.allowed === false);
  const { code, reason, token } = refusing?.decision ?? {};
  if (refusing === undefined || code === undefined || code === null) return outcome;
  return refusal(code, `${refusing.instance} refuses it: ${reason}${token === '' ? '' : `; ${token}`}`);
}

/** Without a certificate nothing can be called that asks for one. */
function withIdentity({ identities }: Applied, outcome: Outcome, identity: string, workload: string): Outcome {
  const lacks = identity !== '' && !identities.includes(workload);
  if (!lacks || (outcome.kind !== 'forwarded' && outcome.kind !== 'tunnelled')) return outcome;
  return refusal('NO_IDENTITY', `workload ${workload} has no certificate yet`);
}

function listenerOf(applied: Applied, { listener, why, workload }: Way, target: Target | undefined): Explanation['listener'] {
  const { name, status } = listener;
  const others = target === undefined ? [] : portsTo(applied, workload, target.service).filter((other) => other !== name);
  return { name, address: status.address, port: status.port, state: status.state, reason: status.reason, why, others };
}

function nothing(outcome: Outcome, passedOn: Question, route: TakenRoute | null = null): Found {
  return { outcome, route, action: null, targets: [], mirrors: [], passedOn, notes: [] };
}

function noWay(applied: Applied, question: Question): Found {
  const { port } = targetOf(question);
  const ports = applied.listeners.filter(({ direction }) => direction === 'outbound').map((one) => `${one.status.address}:${one.port}`);
  const served = ports.length === 0 ? 'it has none at all' : `it has ${ports.slice(0, 10).join(', ')}${ports.length > 10 ? ', …' : ''}`;
  const summary = `this proxy has no listener for ${question.authority} (port ${port}); ${served}`;
  const mend = 'call it by its name through the proxy (HTTP_PROXY), or by a port of `outbounds`';
  return nothing(unanswered(summary, mend, similarTo(applied, question)), question);
}

/** Names of hosts that some listener has routes for. */
function similarTo({ routes }: Applied, { authority }: Question): string[] {
  return similarNames(authority, [...routes.values()].flatMap(domainsOf));
}

function behind(applied: Applied, way: Way): Found {
  const { listener, filter, question, workload } = way;
  const { state, reason } = listener.status;
  if (state === 'waiting') return nothing(unanswered(`the listener waits: ${reason}`, 'see `heddle describe proxy` and its log'), question);
  if (state === 'draining')
    return nothing(unanswered('the listener takes no new connections: this proxy is shutting down', ERRORS.DRAINING.mend), question);
  if (filter.kind === 'tcp') {
    const action = { kind: 'tunnel', tunnel: filter.tunnel ?? '', idleTimeoutMs: filter.idleTimeoutMs ?? 0 } as const;
    const note = question.method === 'CONNECT' ? [] : ['this port carries bytes: what the request says is not looked at'];
    return bytes(applied, way, filter.cluster, action, null, note);
  }
  if (question.scheme === 'https' && listener.tls === undefined)
    return nothing(refusal('NOT_IMPLEMENTED', 'this port takes no TLS', [], 'use http://: the mesh encrypts by itself'), question);
  const config = applied.routes.get(filter.routeConfigName);
  if (config === undefined)
    return nothing(refusal('NO_HEALTHY_INSTANCE', `the route configuration "${filter.routeConfigName}" has not arrived yet`), question);
  const request = plainRequest(question);
  const { taken, route } = findRoute(config, request);
  if (route === undefined) {
    if (question.method === 'CONNECT' && takesRequests(config, question.authority)) return tunnelForRequests(way, taken);
    return nothing(noRoute(applied, way, taken), question, taken);
  }
  const { action } = route;
  if (action.kind !== 'tunnel') return requested(applied, way, request, taken, route);
  const tunnel = action.how === 'forward' ? question.authority : '';
  return bytes(
    applied,
    { ...way, workload },
    action.cluster,
    { kind: 'tunnel', tunnel, idleTimeoutMs: action.idleTimeoutMs ?? 0 },
    taken,
    [],
  );
}

function bytes(
  applied: Applied,
  { question, workload }: Way,
  cluster: string,
  action: Extract<Action, { kind: 'tunnel' }>,
  route: TakenRoute | null,
  notes: readonly string[],
): Found {
  const passedOn = { ...question, method: 'CONNECT', authority: action.tunnel === '' ? question.authority : action.tunnel, path: '' };
  const target = singleTarget(applied, cluster, plainRequest(passedOn), workload, null);
  return { outcome: tunnelOutcome(target), route, action, targets: [target], mirrors: [], passedOn, notes };
}

/** The tunnel is opened, and what comes in it is routed by itself. */
function tunnelForRequests({ question, notes }: Way, route: TakenRoute): Found {
  if (notes.length > 0)
    return nothing(
      refusal(
        'BAD_REQUEST',
        `${question.authority} takes requests, not TLS, in the tunnel`,
        [],
        'use http://: the mesh encrypts by itself',
      ),
      question,
      route,
    );
  const summary = `the tunnel is opened; ${question.authority} takes requests, and those that come in it are routed one by one`;
  return nothing({ kind: 'tunnelled', summary, code: null, status: 200, mend: '', similar: [] }, question, route);
}

/** With the code that the listener answers with. */
function noRoute(applied: Applied, { listener, question }: Way, { virtualHost, reason }: TakenRoute): Outcome {
  if (listener.workload === undefined && isOutside(question.authority))
    return refusal('EGRESS_REFUSED', reason, similarTo(applied, question));
  if (virtualHost === '') return refusal('NO_SUCH_SERVICE', reason, similarTo(applied, question));
  const isBytes = question.method !== 'CONNECT' && !takesSome(applied, listener, question);
  const mend = isBytes
    ? `it takes connections, not requests: explain CONNECT ${question.authority}`
    : 'change the request, or add a rule that takes it';
  return refusal('NO_SUCH_SERVICE', reason, [], mend);
}

function takesSome({ routes }: Applied, { filter }: Way['listener'], { authority }: Question): boolean {
  const config = filter.kind === 'http' ? routes.get(filter.routeConfigName) : undefined;
  return config !== undefined && takesRequests(config, authority);
}

function requested(applied: Applied, { question, workload, listener }: Way, request: PlainRequest, taken: TakenRoute, route: Route): Found {
  const rules = rulesOf(route, request, serviceOf(workload));
  const { action } = route;
  const found = { route: taken, targets: [], mirrors: [], passedOn: question, notes: [] };
  switch (action.kind) {
    case 'redirect': {
      const location = new Redirect(action, route.match).location(request, listener.tls === undefined ? 'http' : 'https') ?? '';
      const facts = { kind: 'redirect', status: action.status, location, ...rules } as const;
      return { ...found, action: facts, outcome: answeringOutcome(facts) };
    }
    case 'respond': {
      const facts = { ...action, ...rules };
      return { ...found, action: facts, outcome: answeringOutcome(facts) };
    }
    case 'tunnel':
      throw new Error('a route for CONNECT took a request');
    case 'forward': {
      const { facts, path, authority } = forwardFacts(route, action, request, rules);
      const targets = forwardTargets(applied, action, request, workload, facts.hash?.hash ?? null);
      return {
        ...found,
        action: facts,
        outcome: forwardOutcome(facts, targets, path),
        targets,
        mirrors: mirrorsOf(applied, action, workload),
        passedOn: { ...question, path: path ?? question.path, authority },
      };
    }
  }
}
