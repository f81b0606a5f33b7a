// `Tap`: live requests as a stream. Who reads slowly loses some, and is told how many.
import { status } from '@grpc/grpc-js';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { telemetry } from '@heddle/api';
import type { admin } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import { openTap, TAP_DEFAULTS, type TapSource } from '../admin/taps.ts';
import { doerOf } from '../server/access.ts';
import { PacedWriter, logRefusal } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import { type OpenTap, type TapMessage, TapRefusal } from '../telemetry/tap-desk.ts';

export interface TapServerOptions extends TapSource {
  readonly streams: OpenStreams;
  readonly logger: Logger;
}

type Call = ServerWritableStream<admin.TapRequest, admin.TapResponse>;
type Response = NonNullable<admin.TapResponse['message']>;

/** Requests that wait go out together. */
const TOGETHER_MAX = 100;
const STATUS_OF = { invalid: status.INVALID_ARGUMENT, 'not-found': status.NOT_FOUND, limit: status.RESOURCE_EXHAUSTED } as const;

export async function serveTap(call: Call, options: TapServerOptions): Promise<void> {
  const { streams, logger } = options;
  let tap: OpenTap | undefined;
  let isGone = false;
  let held: TapMessage | undefined;
  const read = (): TapMessage | undefined => {
    const message = held ?? tap?.next();
    held = undefined;
    return message;
  };
  const writer = new PacedWriter<admin.TapResponse>(call as unknown as ServerWritableStream<never, admin.TapResponse>, () => {
    const message = read();
    if (message === undefined) {
      if (tap?.isOver === true) writer.end();
      return undefined;
    }
    if (message.kind !== 'request') return { message: messageOf(message) };
    const requests = [message];
    while (requests.length < TOGETHER_MAX) {
      const next = read();
      if (next?.kind !== 'request') {
        held = next;
        break;
      }
      requests.push(next);
    }
    const value = { requests: requests.map(({ node, number, record }) => ({ node, number, record: telemetry.tapRecordMessage(record) })) };
    return { message: { $case: 'requests', value } };
  });
  const stop = (): void => {
    isGone = true;
    tap?.close();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  try {
    const { filter, perSecond, forMs, headers } = call.request;
    const wish = {
      filter: telemetry.readTapFilter(filter),
      perSecond: perSecond === 0 ? TAP_DEFAULTS.perSecond : perSecond,
      forMs: forMs === 0 ? TAP_DEFAULTS.forMs : forMs,
      headers,
    };
    tap = await openTap(options, doerOf(call.metadata), wish, () => writer.poke());
    if (isGone) return tap.close();
    writer.poke();
  } catch (error) {
    if (call.cancelled) return;
    const refused = statusOf(error instanceof TapRefusal ? new CallError(STATUS_OF[error.kind], error.message) : error, logger);
    logRefusal(call, refused, logger);
    writer.fail(refused);
  }
}

function messageOf(message: Exclude<TapMessage, { kind: 'request' }>): Response {
  switch (message.kind) {
    case 'watchers':
      return { $case: 'watchers', value: { dataPlanes: message.dataPlanes } };
    case 'lost':
      return { $case: 'lost', value: { overLimit: message.overLimit, slowReader: message.slowReader } };
    case 'end':
      return { $case: 'end', value: { reason: message.reason, told: message.told, lost: message.lost } };
  }
}
