// What a request comes to: refused with the error that the data plane would answer, or where it goes.
import { ERRORS } from '@heddle/core';
import type { ErrorCode } from '@heddle/core';
import { injectedFault } from '../stack/local-answer.ts';
import type { Action, ForwardFacts, Outcome, Target } from './types.ts';

export function refusal(code: ErrorCode, summary: string, similar: readonly string[] = [], mend: string = ERRORS[code].mend): Outcome {
  return { kind: 'refused', summary, code, status: ERRORS[code].httpStatus, mend, similar };
}

/** There is nobody who could answer. */
export function unanswered(summary: string, mend: string, similar: readonly string[] = []): Outcome {
  return { kind: 'refused', summary, code: null, status: null, mend, similar };
}

export function answered(status: number, summary: string): Outcome {
  return { kind: 'answered', summary, code: null, status, mend: '', similar: [] };
}

/** Of a route that passes requests on. @param path undefined: the rewritten one is too long. */
export function forwardOutcome(facts: ForwardFacts, targets: readonly Target[], path: string | undefined): Outcome {
  const { fault, time } = facts;
  if (fault?.abort?.percent === 100) {
    const { kind, code } = fault.abort.status;
    const summary = `the rule injects a failure into every request: ${kind === 'http' ? 'HTTP' : 'gRPC'} status ${code}`;
    const { status } = injectedFault(fault.abort.status);
    return { ...refusal('FAULT_INJECTED', summary, [], ''), kind: 'answered', status };
  }
  if (path === undefined) return { ...refusal('BAD_REQUEST', 'the path that the rule makes of it would be too long'), status: 414 };
  if (time.callerMs === 0) return refusal('DEADLINE_EXCEEDED', `the caller leaves no time (${time.callerHeader})`);
  return targetsOutcome('forwarded', targets);
}

export function tunnelOutcome(target: Target): Outcome {
  return targetsOutcome('tunnelled', [target]);
}

/** Refused only where no way is left that the request might take. */
function targetsOutcome(kind: 'forwarded' | 'tunnelled', targets: readonly Target[]): Outcome {
  const possible = targets.filter(({ taken }) => taken !== false);
  const usable = possible.filter(({ candidates }) => candidates.canBePicked > 0);
  if (usable.length === 0) return refusal('NO_HEALTHY_INSTANCE', possible.map(whyNone).join('; '));
  const what = kind === 'forwarded' ? 'goes' : 'its bytes go';
  const first = usable[0]!;
  if (possible.length === 1) {
    const { candidates } = first;
    const only = candidates.shown[0]?.instance ?? '';
    const whom = candidates.canBePicked === 1 ? `${only}, the only one of ${candidates.all} that can be picked` : countOf(candidates);
    const where = candidates.byHash === '' ? whom : `${candidates.byHash}, by its hash, as long as that is healthy`;
    const to = candidates.all === 1 ? only : where;
    return forwarded(kind, `${what} to ${first.service}: ${to}`);
  }
  const shares = possible.map(
    (target) => `${round(target.sharePercent)} % to ${target.name}${target.candidates.canBePicked === 0 ? ', which is refused' : ''}`,
  );
  return forwarded(kind, `${what} by chance: ${shares.join(', ')}`);
}

function forwarded(kind: Outcome['kind'], summary: string): Outcome {
  return { kind, summary, code: null, status: null, mend: '', similar: [] };
}

function countOf({ all, canBePicked }: Target['candidates']): string {
  return all === canBePicked ? `one of ${all} instances` : `one of ${canBePicked} instances, of ${all}`;
}

/** As the data plane says it. */
export function whyNone({ name, service, cluster, candidates }: Target): string {
  if (cluster === null) return `the cluster "${name}" has not arrived yet`;
  const whose = name.endsWith('}') ? name.slice(name.indexOf('/') + 1) : service;
  return candidates.all === 0 ? `${whose} has no instances` : `none of the ${candidates.all} instances of ${whose} is healthy`;
}

export function answeringOutcome(action: Extract<Action, { kind: 'redirect' | 'respond' }>): Outcome {
  if (action.kind === 'redirect') return answered(action.status, `this proxy redirects to ${action.location}`);
  return answered(action.status, `this proxy answers by itself with status ${action.status}`);
}

function round(percent: number): number {
  return Math.round(percent * 100) / 100;
}
