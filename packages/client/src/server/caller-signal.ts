// A signal that fires when nobody waits for an answer any more.
import type { ServerResponse } from 'node:http';
import type { Http2ServerResponse, ServerHttp2Stream } from 'node:http2';
import { nodeClock } from '@heddle/runtime/process';

/** Whose end is the end of a request: a response of Node's HTTP of either version, a stream of HTTP/2, or what is aborted with the request. */
export type Answering = ServerResponse | Http2ServerResponse | ServerHttp2Stream | AbortSignal;

type NodeAnswer = Exclude<Answering, AbortSignal>;

/** What `signal.reason` is when the caller has gone. */
export class CallerGone extends Error {
  readonly code = 'CALLER_GONE';
  constructor() {
    super('the caller has gone before the answer was complete');
    this.name = 'AbortError';
  }
}

/** @param timeLeftMs undefined: as long as the caller is there */
export function watchCaller(answer: Answering, timeLeftMs: number | undefined): AbortSignal {
  if (answer instanceof AbortSignal) return timeLeftMs === undefined ? answer : AbortSignal.any([answer, AbortSignal.timeout(timeLeftMs)]);
  const controller = new AbortController();
  const stream = streamOf(answer);
  const isOver = stream === undefined ? answer.destroyed : stream.closed || stream.destroyed;
  if (isOver) {
    if (!isWhole(answer, stream)) controller.abort(new CallerGone());
    return controller.signal;
  }
  const timer =
    timeLeftMs === undefined
      ? undefined
      : nodeClock.after(timeLeftMs, () => controller.abort(new DOMException('the caller waits no longer', 'TimeoutError')));
  const onClose = (): void => {
    timer?.cancel();
    if (!isWhole(answer, stream)) controller.abort(new CallerGone());
  };
  if (stream === undefined) answer.once('close', onClose);
  else stream.once('close', onClose);
  return controller.signal;
}

function isWhole(answer: NodeAnswer, stream: ServerHttp2Stream | undefined): boolean {
  return stream === undefined ? answer.writableFinished : stream.writableFinished && stream.rstCode === 0;
}

/** Undefined: of HTTP/1. */
function streamOf(answer: NodeAnswer): ServerHttp2Stream | undefined {
  if ('rstCode' in answer) return answer;
  return 'stream' in answer ? answer.stream : undefined;
}
