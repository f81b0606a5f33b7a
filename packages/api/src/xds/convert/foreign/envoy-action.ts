// Where requests go, in Envoy's words: clusters by weight, hashes, new paths, copies; and answers that need no cluster.
import type { ForwardAction, HashSource, PathMatch, RedirectAction, RespondAction, Route } from '@heddle/core';
import { type FractionalPercent, FractionalPercent_DenominatorType } from '../../../gen/foreign/envoy/type/v3/percent.ts';
import { HeaderValueOption_HeaderAppendAction } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import {
  type RedirectAction as RedirectMessage,
  RedirectAction_RedirectResponseCode,
  type Route as RouteMessage,
  type RouteAction,
  type RouteAction_HashPolicy,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import type { At } from '../rejection.ts';
import { encodeDuration } from '../values.ts';
import { type Direction, envoyHeaderChanges } from './envoy-headers.ts';
import { envoyRewrite } from './envoy-rewrite.ts';

const MILLIONTHS_PER_PERCENT = 10_000;
const { MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT, PERMANENT_REDIRECT } = RedirectAction_RedirectResponseCode;
const REDIRECT_CODES: Readonly<Record<RedirectAction['status'], RedirectAction_RedirectResponseCode>> = {
  301: MOVED_PERMANENTLY,
  302: FOUND,
  303: SEE_OTHER,
  307: TEMPORARY_REDIRECT,
  308: PERMANENT_REDIRECT,
};

/** As fine as Envoy has it. */
export function fraction(percent: number): FractionalPercent {
  return { numerator: Math.round(percent * MILLIONTHS_PER_PERCENT), denominator: FractionalPercent_DenominatorType.MILLION };
}

/** All but time limits and retries. Throws XdsRejection for what Envoy cannot be told. */
export function envoyForward(route: Route, action: ForwardAction, path: PathMatch, direction: Direction, at: At): RouteAction {
  const { hash, rewrite, mirrors = [] } = action;
  const newPath = rewrite?.path === undefined ? undefined : envoyRewrite(rewrite.path, path, at.field('rewrite'));
  const authority = rewrite?.authority;
  return {
    clusterSpecifier: clusterSpecifier(route, action, direction, at),
    ...(newPath?.kind === 'prefix' && { prefixRewrite: newPath.value }),
    ...(newPath?.kind === 'regex' && { regexRewrite: newPath.value }),
    ...(authority !== undefined && { hostRewriteSpecifier: { $case: 'hostRewriteLiteral', value: authority } }),
    hashPolicy: hash.map(hashPolicy),
    requestMirrorPolicies: mirrors.map(({ cluster, percent }) => ({
      cluster,
      runtimeFraction: { defaultValue: fraction(percent) },
    })),
  };
}

/** Whether the changes of the route are made with those of the cluster that is taken. */
export function changesByCluster({ clusters }: ForwardAction): boolean {
  return (
    clusters.length > 1 &&
    clusters.some(({ requestHeaders, responseHeaders }) => requestHeaders !== undefined || responseHeaders !== undefined)
  );
}

function clusterSpecifier(route: Route, action: ForwardAction, direction: Direction, at: At): NonNullable<RouteAction['clusterSpecifier']> {
  const { clusters, splitByHash } = action;
  const [one, ...others] = clusters;
  if (one !== undefined && others.length === 0) return { $case: 'cluster', value: one.cluster };
  const own = changesByCluster(action);
  return {
    $case: 'weightedClusters',
    value: {
      clusters: clusters.map((cluster, index) => ({
        name: cluster.cluster,
        weight: cluster.weight,
        ...(own && envoyHeaderChanges([route, cluster], direction, at.item('clusters', index))),
      })),
      ...(splitByHash === true && { randomValueSpecifier: { $case: 'useHashPolicy', value: true } }),
    },
  };
}

/** The first that the request has counts. */
function hashPolicy(source: HashSource): RouteAction_HashPolicy {
  return { policySpecifier: hashSpecifier(source), terminal: true };
}

function hashSpecifier(source: HashSource): NonNullable<RouteAction_HashPolicy['policySpecifier']> {
  switch (source.kind) {
    case 'header':
      return { $case: 'header', value: { headerName: source.name } };
    case 'query':
      return { $case: 'queryParameter', value: { name: source.name } };
    case 'source':
      return { $case: 'connectionProperties', value: { sourceIp: true } };
    case 'cookie': {
      const { name, ttlMs } = source;
      return { $case: 'cookie', value: { name, ...(ttlMs !== undefined && { ttl: encodeDuration(ttlMs), path: '/' }) } };
    }
  }
}

export function envoyRedirect(action: RedirectAction, path: PathMatch, at: At): RedirectMessage {
  const { status, scheme, authority, path: rewrite, stripQuery } = action;
  return {
    responseCode: REDIRECT_CODES[status],
    ...(scheme !== undefined && { schemeRewriteSpecifier: { $case: 'schemeRedirect', value: scheme } }),
    ...(authority !== undefined && { hostRedirect: authority }),
    ...(rewrite !== undefined && { pathRewriteSpecifier: redirectPath(rewrite, path, at) }),
    stripQuery: stripQuery === true,
  };
}

function redirectPath(
  rewrite: NonNullable<RedirectAction['path']>,
  path: PathMatch,
  at: At,
): NonNullable<RedirectMessage['pathRewriteSpecifier']> {
  const { kind, value } = envoyRewrite(rewrite, path, at);
  return kind === 'prefix' ? { $case: 'prefixRewrite', value } : { $case: 'regexRewrite', value };
}

export function envoyResponse({
  status,
  body,
  contentType,
}: Omit<RespondAction, 'kind'>): Pick<RouteMessage, 'action' | 'responseHeadersToAdd'> {
  const { OVERWRITE_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  return {
    action: {
      $case: 'directResponse',
      value: { status, ...(body !== '' && { body: { specifier: { $case: 'inlineString', value: body } } }) },
    },
    ...(contentType !== '' && {
      responseHeadersToAdd: [
        { header: { key: 'content-type', value: contentType.replaceAll('%', '%%') }, appendAction: OVERWRITE_IF_EXISTS_OR_ADD },
      ],
    }),
  };
}
