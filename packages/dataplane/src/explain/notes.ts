// What a person would want to be told although it decides nothing about where the request goes.
import type { Action, Target } from './types.ts';

export function notesOn(action: Action | null, targets: readonly Target[]): string[] {
  const notes = targets.flatMap(clusterNotes);
  if (action?.kind !== 'forward') return notes;
  const { retry, time, fault } = action;
  if (action.hash?.makesCookie === true)
    notes.push('the request has nothing to hash: it goes by chance, and the answer sets a cookie for the next one');
  else if (action.hash !== null && action.hash.source === null) notes.push('the request has nothing to hash: it goes by chance');
  const delayMs = fault?.delay?.delayMs ?? 0;
  if (time.limitMs > 0 && delayMs >= time.limitMs)
    notes.push(`a request that is held back for ${delayMs} ms runs out of time (${time.error})`);
  if (retry.attempts > 0 && time.limitMs > 0 && retry.perTryMs >= time.limitMs)
    notes.push('the time for one try is not shorter than that of the whole request, so a try that takes too long is not repeated');
  return notes;
}

function clusterNotes({ name, cluster, candidates, taken }: Target): string[] {
  if (cluster === null || taken === false) return [];
  const { breaker, underWay, pending, session, hasSessionCookie } = cluster;
  const notes: string[] = [];
  if (breaker.requests > 0 && underWay >= breaker.requests)
    notes.push(`the breaker of ${name} is open now: ${underWay} requests are under way, and ${breaker.requests} allowed (CIRCUIT_OPEN)`);
  if (breaker.pending > 0 && pending >= breaker.pending)
    notes.push(`as many requests to ${name} wait as its breaker allows: ${pending} (CIRCUIT_OPEN for those that have to wait)`);
  if (session !== null && hasSessionCookie)
    notes.push(`the request has the cookie ${session.cookie}: it goes to the instance that this names, if that is healthy`);
  const views = candidates.shown.filter(({ canBePicked }) => canBePicked).flatMap((candidate) => candidate.views);
  if (views.length > 0 && views.every(({ measured }) => !measured))
    notes.push(`the caller has not called ${name} yet, so nothing is measured`);
  return notes;
}
