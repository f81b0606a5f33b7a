// What `heddle explain` asks where no proxy of its own machine can answer.
import { status } from '@grpc/grpc-js';
import type { admin } from '@heddle/api';
import type { ExplainReply } from '../telemetry/questions.ts';
import type { TrafficSource } from '../rest/sources.ts';
import { CallError } from '../server/status.ts';

const STATUS_OF: Readonly<Record<Exclude<ExplainReply['kind'], 'explained'>, status>> = {
  invalid: status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  refused: status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
  limit: status.RESOURCE_EXHAUSTED,
};

export async function explain(
  { node, ...wish }: admin.ExplainRequest,
  traffic: Pick<TrafficSource, 'explain'>,
): Promise<admin.ExplainResponse> {
  const reply = await traffic.explain({ ...wish, ...(node === '' ? {} : { node }) });
  if (reply.kind === 'explained') return { explanationJson: reply.explanation };
  throw new CallError(STATUS_OF[reply.kind], `${reply.reason}${reply.mend === undefined ? '' : `; ${reply.mend}`}`);
}
