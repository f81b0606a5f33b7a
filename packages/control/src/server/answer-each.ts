// A bidirectional call on which every request is handled by itself, one after the other: the next is read when the answer to the last has
// left. So a client that floods, or does not read, costs one message.
import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import { noteRefusal } from './access.ts';
import type { OpenStreams } from './handlers.ts';
import { statusOf } from './status.ts';

/** `handle` gives undefined where there is nothing to answer. What it throws ends the call. Never rejects; resolves when the call is over. */
export async function answerEach<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  streams: OpenStreams,
  logger: Logger,
  handle: (request: Request) => Response | undefined,
): Promise<void> {
  let isOver = false;
  const fail = (error: object): void => {
    if (isOver) return;
    isOver = true;
    call.emit('error', error);
  };
  const stop = (): void => {
    isOver = true;
  };
  streams.add(call, { fail, stop });
  try {
    // Not destroyed at the end of the requests: the answer is still to come.
    for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>) {
      const response = handle(request);
      if (isOver) return;
      if (response !== undefined) await written(call, response);
    }
    if (!isOver) call.end();
    isOver = true;
  } catch (error) {
    // A broken stream throws here too; then nobody is there to be told.
    if (call.cancelled || isOver) return;
    const ended = statusOf(error, logger);
    noteRefusal(call, ended);
    logger.warn({ method: call.getPath(), peer: call.getPeer(), reason: ended.details }, 'stream ended by the control plane');
    fail(ended);
  }
}

function written<Response>(call: ServerDuplexStream<unknown, Response>, response: Response): Promise<void> {
  return new Promise((resolve, reject) => call.write(response, (error?: Error | null) => (error ? reject(error) : resolve())));
}
