// An explanation for people: the outcome first, then the way of the request from its caller to the instances, in short blocks.
import type { Palette } from '../output/palette.ts';
import type { Action, DecisionFacts, Rules, Explanation } from '@heddle/dataplane/explain';
import { instancesText } from './explain-instances.ts';
import { changesText, faultText, hashText, limitText, matchText, retryText, timeText } from './explain-words.ts';

/** Of what was passed over; `-o json` has more. */
const PASSED_OVER_MAX = 5;
const TITLE_WIDTH = 11;

type Block = readonly [title: string, lines: readonly string[]];

/** @param asked the question as it was written. */
export function explanationText(asked: string, answer: Explanation, palette: Palette): string {
  const blocks: Block[] = [
    ['Caller', callerLines(answer)],
    ['Listener', listenerLines(answer)],
    ['Route', routeLines(answer, palette)],
    ...(answer.action === null ? [] : actionBlocks(answer, answer.action)),
    ['Access', accessLines(answer, palette)],
    ['Note', answer.notes],
  ];
  const shown = blocks.filter(([, lines]) => lines.length > 0).map((block) => blockText(block, palette));
  const parts = [`${palette.bold(asked)}\n${outcomeText(answer, palette)}`, shown.join('')];
  return [...parts, ...instancesText(answer, palette)].join('\n');
}

function blockText([title, lines]: Block, palette: Palette): string {
  return lines.map((line, at) => `${at === 0 ? palette.bold(title.padEnd(TITLE_WIDTH)) : ' '.repeat(TITLE_WIDTH)}${line}\n`).join('');
}

function outcomeText({ outcome }: Explanation, palette: Palette): string {
  const { kind, summary, code, status, mend, similar } = outcome;
  const mark = kind === 'refused' ? palette.bad : kind === 'answered' ? palette.warn : palette.good;
  const error = code === null ? '' : ` (${status} ${code})`;
  const meant = similar.length === 0 ? '' : `  did you mean ${similar.join(', ')}?\n`;
  return `${mark(kind)}: ${summary}${error}\n${meant}${mend === '' ? '' : `  mend: ${mend}\n`}`;
}

function callerLines({ node, caller }: Explanation): string[] {
  const { workload, why, others } = caller;
  return [`${workload}, which ${why}, at ${node}`, ...(others.length === 0 ? [] : [`the same from ${others.join(', ')}`])];
}

function listenerLines({ listener }: Explanation): string[] {
  if (listener === null) return [];
  const { name, address, port, state, why, others } = listener;
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const also = others.length === 0 ? [] : [`${others.join(', ')} ${others.length === 1 ? 'leads' : 'lead'} there, too`];
  return [`${name} on ${place}, ${state}`, `because ${why}`, ...also];
}

function routeLines({ route }: Explanation, palette: Palette): string[] {
  if (route === null) return [];
  const { name, virtualHost, domain, position, routes, match, passedOver, passedOverCount } = route;
  if (virtualHost === '') return ['none'];
  const found = name === '' ? `none of ${routes}` : `${name}, number ${position} of ${routes}`;
  const more = passedOverCount - PASSED_OVER_MAX;
  return [
    `${found}, of ${virtualHost} by its domain ${domain}`,
    ...(match === null ? [] : [`takes ${matchText(match)}`]),
    ...passedOver.slice(0, PASSED_OVER_MAX).map(({ route: other, why }) => palette.dim(`not ${other}: ${why}`)),
    ...(more > 0 ? [palette.dim(`and ${more} more not (-o json)`)] : []),
  ];
}

function actionBlocks(answer: Explanation, action: Action): Block[] {
  switch (action.kind) {
    case 'tunnel':
      return [
        [
          'Tunnel',
          [
            action.tunnel === '' ? 'the bytes go to the instance as they are' : `by CONNECT ${action.tunnel}`,
            ...idleLine(action.idleTimeoutMs),
          ],
        ],
      ];
    case 'redirect':
      return ruleBlocks(answer, action);
    case 'respond':
      return [
        ['Answer', [action.contentType, ...(action.body === '' ? [] : [JSON.stringify(action.body)])]],
        ...ruleBlocks(answer, action),
      ];
    case 'forward': {
      const { rewrite, time, retry, retryNote, hedge, hedgeNote, hash } = action;
      return [
        ['Rewrite', rewrite === null ? [] : [`asks ${rewrite.authority} for ${rewrite.path}`]],
        ['Time', timeText(time, retry, answer.clusters)],
        ['Retry', retryText(retry, retryNote, answer.clusters)],
        ['Hedge', hedge === null ? [] : [`${hedge.attempts} more after ${hedge.afterMs} ms each; ${hedgeNote}`]],
        ['Hash', hash === null ? [] : [hashText(hash)]],
        [
          'Mirror',
          answer.mirrors.map(
            ({ cluster, percent, canBePicked, all }) =>
              `${percent} % of the requests also to ${cluster} (${canBePicked} of ${all} instances)`,
          ),
        ],
        ...ruleBlocks(answer, action),
      ];
    }
  }
}

function idleLine(idleMs: number): string[] {
  return idleMs === 0 ? [] : [`ends after ${idleMs} ms without a byte`];
}

function ruleBlocks({ clusters, calledSide }: Explanation, { requestHeaders, responseHeaders, fault, rateLimits }: Rules): Block[] {
  const ofClusters = clusters.flatMap((target) => [
    ...changesText(`request to ${target.name}`, target.requestHeaders),
    ...changesText(`response of ${target.name}`, target.responseHeaders),
  ]);
  const atInstances = new Set(calledSide.flatMap((side) => side.rateLimits.map((limit) => `at each instance: ${limitText(limit)}`)));
  return [
    ['Headers', [...changesText('request', requestHeaders), ...changesText('response', responseHeaders), ...ofClusters]],
    ['Fault', fault === null ? [] : faultText(fault)],
    ['Limits', [...rateLimits.map((limit) => `here: ${limitText(limit)}`), ...atInstances]],
  ];
}

function accessLines({ access, clusters, calledSide }: Explanation, palette: Palette): string[] {
  if (clusters.length === 0) return [];
  const { shows, asks, summary, token } = access;
  const proof = asks.length === 0 ? [] : [`${shows === '' ? '' : `calls as ${shows}; `}must be answered by ${asks.join(' or ')}`];
  const attached = token === '' ? [] : [`the call gets the token "${token}"`];
  // All instances of a service decide alike.
  const decisions = new Map(
    calledSide.flatMap(({ decision }) => (decision === null ? [] : [[JSON.stringify(decision), decision] as const])),
  );
  return [
    ...summary.split('. '),
    ...proof,
    ...attached,
    ...[...decisions.values()].flatMap((decision) => decisionLines(decision, palette)),
  ];
}

function decisionLines(decision: DecisionFacts, palette: Palette): string[] {
  const { allowed, reason, token, rules, rulesCount, watched, authorizer, issuers } = decision;
  const shown = rules.filter(({ fits }) => !fits).slice(0, PASSED_OVER_MAX);
  const more = rulesCount - rules.filter(({ fits }) => fits).length - shown.length;
  return [
    `the called side ${allowed ? palette.good('allows') : palette.bad('refuses')} it: ${reason}`,
    ...(token === '' ? [] : [token]),
    ...watched.map(({ rule, effect }) => `only watched: ${rule === '' ? 'the default' : `rule "${rule}"`} would ${effect} it`),
    ...(authorizer === '' || !allowed ? [] : [`then ${authorizer} is asked`]),
    ...(issuers.length === 0 ? [] : [`a token that comes with it must be a valid one of ${issuers.join(' or ')}; none is assumed here`]),
    ...shown.map(({ name, why }) => palette.dim(`not rule "${name}": ${why}`)),
    ...(more > 0 ? [palette.dim(`and ${more} more rules not (-o json)`)] : []),
  ];
}
