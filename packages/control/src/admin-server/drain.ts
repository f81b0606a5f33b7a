// `DrainInstance`: out of rotation, then who may still choose the instance, until nobody can or the time is over.
import type { ServerWritableStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { admin } from '@heddle/api';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { changeInstance } from '../admin/instance-changes.ts';
import type { ChangeDesk } from '../admin/instance-changes.ts';
import type { Doer } from '../audit/entry.ts';
import type { DrainDesk, RunningDrain } from '../drain/desk.ts';
import { drainTimeoutMs, drainToMessage } from '../drain/message.ts';
import { putIntoRotation, takeOutOfRotation } from '../drain/operator.ts';
import type { InstanceRef } from '../registry/keys.ts';
import { doerOf } from '../server/access.ts';
import { PacedWriter, logRefusal } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { statusOf } from '../server/status.ts';

/** Steps closer together than this are told as one: a person reads them. The outcome is told at once. */
const STEPS_PAUSE_MS = 20;

export interface DrainServerOptions extends ChangeDesk {
  readonly drains: DrainDesk;
  readonly streams: OpenStreams;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Call = ServerWritableStream<admin.DrainInstanceRequest, admin.DrainInstanceResponse>;

export async function drainInstance(call: Call, options: DrainServerOptions): Promise<void> {
  const { registry, drains, streams, clock, logger } = options;
  let drain: RunningDrain | undefined;
  let pause: Timer | undefined;
  let isDue = false;
  const writer = new PacedWriter<admin.DrainInstanceResponse>(
    call as unknown as ServerWritableStream<never, admin.DrainInstanceResponse>,
    () => {
      if (drain === undefined || !isDue) return undefined;
      isDue = false;
      return { progress: drainToMessage(drain.progress()) };
    },
  );
  const step = (): void => {
    pause ??= clock.after(STEPS_PAUSE_MS, () => {
      pause = undefined;
      isDue = true;
      writer.poke();
    });
  };
  const stop = (): void => {
    pause?.cancel();
    drain?.close();
  };
  call.on('cancelled', stop);
  call.on('close', stop);
  streams.add(call, writer);
  try {
    const { reason, timeoutMs, ...named } = call.request;
    const ref = refOf(named);
    const waitMs = drainTimeoutMs(timeoutMs, 'timeout_ms');
    const text = discovery.healthReasonFromMessage(reason, 'reason');
    const by = doerOf(call.metadata);
    drain = await changeInstance(options, by, 'drain-instance', ref, async () => {
      await takeOutOfRotation(ref, text, registry);
      // At once: data planes that acknowledge while the change is being noted are to be seen doing it.
      return drains.begin(ref, waitMs, step);
    });
    if (call.cancelled) return stop();
    isDue = true;
    writer.poke();
    const last = await drain.done;
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

export async function undrainInstance(
  request: admin.UndrainInstanceRequest,
  desk: ChangeDesk,
  by: Doer,
): Promise<admin.UndrainInstanceResponse> {
  const ref = refOf(request);
  const { registry } = desk;
  await changeInstance(desk, by, 'undrain-instance', ref, () => putIntoRotation(ref, registry));
  const instance = registry.instance(ref);
  return { instance: instance === undefined ? undefined : discovery.instanceToMessage(instance) };
}

function refOf(named: { readonly namespace: string; readonly service: string; readonly instance: string }): InstanceRef {
  return {
    service: { namespace: discovery.namespaceOrDefault(named.namespace), name: discovery.nameFromMessage(named.service, 'service') },
    id: discovery.nameFromMessage(named.instance, 'instance'),
  };
}
