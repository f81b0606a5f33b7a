// Routes in one line for people: which requests they take, and what becomes of these.
import { DEFAULT_NAMESPACE } from '@heddle/core';
import type { FieldMatch, PathMatch, PathRewrite, RedirectAction, RequestMatch, Route, TextMatch } from '@heddle/core';
import { OUTBOUND } from '../compiler/names.ts';

/** `GET|PUT /v2/** x-beta=1 ?debug`. Empty: every request. */
export function matchText(match: Route['match']): string {
  if (match.kind === 'connect') return 'CONNECT';
  const { path, methods, headers = [], query = [], authority } = match;
  const parts = [
    ...(methods === undefined ? [] : [methods.join('|')]),
    ...(takesAllPaths(path) ? [] : [pathText(path)]),
    ...(authority === undefined ? [] : [`authority${comparison(authority)}`]),
    ...headers.map((header) => fieldText(header)),
    ...query.map((parameter) => fieldText(parameter, '?')),
  ];
  return parts.join(' ');
}

/** `orders{version=v2} 10 %, orders{version=v1} 90 %`; services of the default namespace by their name alone. */
export function actionText({ action, fault }: Route): string {
  const faults =
    fault === undefined
      ? ''
      : `; fault ${[fault.delay === undefined ? [] : `delay ${fault.delay.percent} %`, fault.abort === undefined ? [] : `abort ${fault.abort.percent} %`].flat().join(', ')}`;
  switch (action.kind) {
    case 'forward': {
      const sum = action.clusters.reduce((total, { weight }) => total + weight, 0);
      const share = (weight: number): string => (action.clusters.length === 1 ? '' : ` ${rounded((100 * weight) / sum)} %`);
      const to = action.clusters.map(({ cluster, weight }) => `${clusterText(cluster)}${share(weight)}`).join(', ');
      const mirrors = (action.mirrors ?? [])
        .map(({ cluster, percent }) => `; mirror ${clusterText(cluster)} ${rounded(percent)} %`)
        .join('');
      return `${to}${mirrors}${faults}`;
    }
    case 'tunnel':
      return `${clusterText(action.cluster)} as bytes`;
    case 'redirect':
      return `redirect ${action.status}${redirectText(action)}${faults}`;
    case 'respond':
      return `respond ${action.status}${faults}`;
  }
}

const OPERATORS: Readonly<Record<TextMatch['kind'], string>> = { exact: '=', prefix: '^=', suffix: '$=', contains: '*=', regex: '~=' };

function takesAllPaths({ kind, value }: RequestMatch['path']): boolean {
  return (kind === 'prefix' || kind === 'segments') && value === '/';
}

export function pathText({ kind, value }: PathMatch): string {
  if (kind === 'prefix') return `${value}*`;
  if (kind === 'segments') return `${value}/**`;
  return kind === 'regex' ? `~${value}` : value;
}

export function comparison(match: TextMatch): string {
  return `${OPERATORS[match.kind]}${match.value}`;
}

export function fieldText({ name, match, invert }: FieldMatch, mark = ''): string {
  return `${invert === true ? '!' : ''}${mark}${name}${match === undefined ? '' : comparison(match)}`;
}

function clusterText(cluster: string): string {
  const name = cluster.startsWith(OUTBOUND) ? cluster.slice(OUTBOUND.length) : cluster;
  return name.startsWith(`${DEFAULT_NAMESPACE}/`) ? name.slice(DEFAULT_NAMESPACE.length + 1) : name;
}

function redirectText({ scheme, authority, path, stripQuery }: RedirectAction): string {
  const parts = [
    scheme === undefined ? '' : `${scheme}:`,
    authority === undefined ? '' : `//${authority}`,
    path === undefined ? '' : rewriteText(path),
  ];
  const target = parts.join('');
  return `${target === '' ? '' : ` to ${target}`}${stripQuery === true ? ' without query' : ''}`;
}

function rewriteText(path: PathRewrite): string {
  if (path.kind === 'regex') return `~${path.pattern} → ${path.substitution}`;
  return path.kind === 'prefix' ? `${path.value}*` : path.value;
}

function rounded(percent: number): number {
  return Math.round(percent * 100) / 100;
}
