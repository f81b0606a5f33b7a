// Streams that tell how far data planes are: at once, whenever it changes, and at last with the outcome.
import type { ServerWritableStream } from '@grpc/grpc-js';
import type { discovery } from '@heddle/api';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { RunningDrain } from '../drain/desk.ts';
import { drainToMessage } from '../drain/message.ts';
import { PacedWriter, logRefusal } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { statusOf } from '../server/status.ts';

/** Steps closer together than this are told as one: a person reads them. The outcome is told at once. */
const STEPS_PAUSE_MS = 20;

interface ProgressResponse {
  progress?: discovery.DrainProgressMessage | undefined;
}

export interface ProgressOptions {
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** @param begin what is waited for; told of each step. What it rejects with becomes the status of the call. */
export async function tellProgress<Request>(
  call: ServerWritableStream<Request, ProgressResponse>,
  { streams, clock, logger }: ProgressOptions,
  begin: (onStep: () => void) => Promise<RunningDrain> | RunningDrain,
): Promise<void> {
  let running: RunningDrain | undefined;
  let pause: Timer | undefined;
  let isDue = false;
  const writer = new PacedWriter<ProgressResponse>(call as unknown as ServerWritableStream<never, ProgressResponse>, () => {
    if (running === undefined || !isDue) return undefined;
    isDue = false;
    return { progress: drainToMessage(running.progress()) };
  });
  const step = (): void => {
    pause ??= clock.after(STEPS_PAUSE_MS, () => {
      pause = undefined;
      isDue = true;
      writer.poke();
    });
  };
  const stop = (): void => {
    pause?.cancel();
    running?.close();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  try {
    running = await begin(step);
    if (call.cancelled) return stop();
    isDue = true;
    writer.poke();
    const last = await running.done;
    pause?.cancel();
    // What a slow reader has not taken yet is older.
    if (!writer.ended) call.write({ progress: drainToMessage(last) }, () => writer.end());
  } catch (error) {
    if (call.cancelled) return;
    const refused = statusOf(error, logger);
    logRefusal(call, refused, logger);
    writer.fail(refused);
  }
}
