// The door `@heddle/dataplane/explain`: what would become of a request, and why, out of a dump of the applied configuration.
import { hasConditions } from '@heddle/core';
import { readDump } from './dump.ts';
import { explain as explainWith } from './explain.ts';
import type { Explanation, Question } from './types.ts';

export { QuestionError, readQuestion } from './question.ts';
export type {
  Action,
  Candidate,
  ClusterFacts,
  DecisionFacts,
  Explanation,
  ForwardFacts,
  LimitFacts,
  Rules,
  Target,
} from './types.ts';

/** With the language of conditions, where some policy in the dump has any. @param wallMs Unix time. @throws QuestionError */
export async function explain(dump: object, question: Question, wallMs: number): Promise<Explanation> {
  const hosts = [...readDump(dump).routes.values()].flatMap(({ virtualHosts }) => virtualHosts);
  const isNeeded = hosts.some(({ access }) => access !== undefined && hasConditions(access));
  const conditions = isNeeded ? (await import('@heddle/core/cel')).compileCondition : undefined;
  return explainWith(dump, question, { wallMs, ...(conditions && { conditions }) });
}
