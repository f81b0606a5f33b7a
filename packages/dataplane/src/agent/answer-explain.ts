// Questions of the control plane about what would become of a request, answered from the applied configuration.
import type { telemetry } from '@heddle/api';
import type { Clock, Logger } from '@heddle/runtime';
import type { DataPlane } from '../data-plane-types.ts';

export interface ExplainDeps {
  readonly dataPlane: Pick<DataPlane, 'configDump'>;
  /** Brings the dump of all processes up to date. */
  readonly refresh: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Never rejects. */
export async function answerExplain(
  { from, method, url, headers }: telemetry.ExplainQuestion,
  { dataPlane, refresh, clock, logger }: ExplainDeps,
): Promise<telemetry.ExplainOutcome> {
  // Loaded by the first question: most data planes never hear one.
  const { explain, QuestionError, readQuestion } = await import('../explain/index.ts');
  try {
    const question = readQuestion({ method, url, from, headers: headers.map(({ name, value }) => [name, value]) });
    await refresh();
    return { explanation: JSON.stringify(await explain(dataPlane.configDump(), question, clock.wallMs())) };
  } catch (error) {
    if (error instanceof QuestionError) return { problem: error.message, isQuestionAtFault: true };
    logger.error({ error }, 'a question of the control plane could not be answered');
    return { problem: 'the data plane failed; its log says why', isQuestionAtFault: false };
  }
}
