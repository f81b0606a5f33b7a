// On whose behalf the request is made: the one that was named, else whoever calls without saying who it is, else the only one there is.
import { DEFAULT_NAMESPACE } from '@heddle/core';
import type { Applied } from './dump.ts';
import { instanceOf, serviceOf } from './dump.ts';
import { QuestionError } from './question.ts';
import { similarNames } from './similar.ts';

export interface ChosenCaller {
  readonly workload: string;
  readonly why: string;
  readonly others: readonly string[];
}

/** Of those that are listed to a person. */
const LISTED_MAX = 10;

/** Workloads that call through this data plane. */
export function callersOf({ identities, listeners, anonymousWorkload }: Applied): string[] {
  const all = new Set(identities);
  for (const { direction, workload } of listeners) if (direction === 'outbound' && workload !== undefined) all.add(workload);
  if (anonymousWorkload !== null) all.add(anonymousWorkload);
  return [...all].sort(byNearness);
}

/** @param from see `Question`. @throws QuestionError when it names nobody here, or has to name somebody. */
export function chooseCaller(applied: Applied, from: string): ChosenCaller {
  const callers = callersOf(applied);
  if (from !== '') return named(callers, from);
  const { anonymousWorkload } = applied;
  if (anonymousWorkload !== null)
    return { workload: anonymousWorkload, why: 'stands for callers that do not say who they are', others: [] };
  const [first, ...others] = callers;
  if (first === undefined) throw new QuestionError('this proxy hosts nobody that could call, so there is nothing to explain yet');
  if (others.some((other) => serviceOf(other) !== serviceOf(first)))
    throw new QuestionError(`this proxy hosts several services; say who calls: ${listed([...new Set(callers.map(serviceOf))])}`);
  return { workload: first, why: 'is the only service that this proxy hosts', others };
}

function named(callers: readonly string[], from: string): ChosenCaller {
  const fitting = callers.filter((workload) => {
    const [, service = '', instance = ''] = workload.split('/');
    return [workload, serviceOf(workload), service, instance].includes(from);
  });
  const [first, ...others] = fitting;
  if (first !== undefined) return { workload: first, why: 'was asked for', others };
  const names = callers.flatMap((workload) => [workload.split('/')[1] ?? '', instanceOf(workload), serviceOf(workload)]);
  const [similar] = similarNames(from, names);
  const meant = similar === undefined ? '' : `; did you mean ${similar}?`;
  throw new QuestionError(
    `this proxy hosts nobody called ${JSON.stringify(from)}, but ${listed([...new Set(callers.map(serviceOf))])}${meant}`,
  );
}

function listed(names: readonly string[]): string {
  const more = names.length - LISTED_MAX;
  return names.length === 0 ? 'nobody' : `${names.slice(0, LISTED_MAX).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Services of the default namespace first: they are meant by a bare name. */
function byNearness(a: string, b: string): number {
  const rank = (workload: string): number => (workload.startsWith(`${DEFAULT_NAMESPACE}/`) ? 0 : 1);
  return rank(a) - rank(b) || a.localeCompare(b, 'en', { numeric: true });
}
