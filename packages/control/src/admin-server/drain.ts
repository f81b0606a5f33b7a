// `DrainInstance`: out of rotation, then who may still choose the instance, until nobody can or the time is over.
import type { ServerWritableStream } from '@grpc/grpc-js';
import { discovery } from '@heddle/api';
import type { admin } from '@heddle/api';
import { changeInstance } from '../admin/instance-changes.ts';
import type { ChangeDesk } from '../admin/instance-changes.ts';
import type { Doer } from '../audit/entry.ts';
import type { DrainDesk } from '../drain/desk.ts';
import { drainTimeoutMs } from '../drain/message.ts';
import { putIntoRotation, takeOutOfRotation } from '../drain/operator.ts';
import type { InstanceRef } from '../registry/keys.ts';
import { doerOf } from '../server/access.ts';
import { tellProgress } from './progress.ts';
import type { ProgressOptions } from './progress.ts';

export interface DrainServerOptions extends ChangeDesk, ProgressOptions {
  readonly drains: DrainDesk;
}

type Call = ServerWritableStream<admin.DrainInstanceRequest, admin.DrainInstanceResponse>;

export async function drainInstance(call: Call, options: DrainServerOptions): Promise<void> {
  const { registry, drains } = options;
  await tellProgress(call, options, (onStep) => {
    const { reason, timeoutMs, ...named } = call.request;
    const ref = refOf(named);
    const waitMs = drainTimeoutMs(timeoutMs, 'timeout_ms');
    const text = discovery.healthReasonFromMessage(reason, 'reason');
    return changeInstance(options, doerOf(call.metadata), 'drain-instance', ref, async () => {
      await takeOutOfRotation(ref, text, registry);
      // At once: data planes that acknowledge while the change is being noted are to be seen doing it.
      return drains.begin(ref, waitMs, onStep);
    });
  });
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
