// Operations on one instance: registration with a lease, verdicts, drain.
import type { InstanceHealth } from '@heddle/core';
import { changeInstance } from '../admin/instance-changes.ts';
import { putIntoRotation, takeOutOfRotation } from '../drain/operator.ts';
import { RegistryError } from '../registry/errors.ts';
import type { InstanceRef } from '../registry/keys.ts';
import { instanceName } from '../registry/keys.ts';
import type { HealthReport } from '../registry/records.ts';
import type { Handlers, Reply, RestContext } from './handler.ts';
import { presentDrain, presentInstance } from './present.ts';
import { ProblemError } from './problems.ts';
import type { InstanceDetail } from './schema/instances.ts';

type InstanceOperation =
  | 'getInstance'
  | 'registerInstance'
  | 'deregisterInstance'
  | 'heartbeat'
  | 'reportHealth'
  | 'drainInstance'
  | 'undrainInstance';

export const instanceHandlers: Pick<Handlers, InstanceOperation> = {
  getInstance: ({ path }, context) => {
    const ref = refOf(path);
    const instance = require(ref, context);
    const reasons = [...(context.registry.reasons(ref) ?? [])];
    return { status: 200, value: { ...instance, reasons } satisfies InstanceDetail, tag: String(instance.revision) };
  },
  registerInstance: async ({ path, body }, context, { expectedRevision }, by) => {
    const { registry } = context;
    const ref = refOf(path);
    const { leaseTtlMs, health, healthReason, outbounds, locality, ...rest } = body;
    const isNew = registry.instance(ref) === undefined;
    const registration = {
      ...rest,
      ...ref,
      outbounds: outbounds.map(({ namespace, service, listen }) => ({ service: { namespace, name: service }, listen })),
      ...(locality === undefined ? {} : { locality }),
    };
    const lease = await changeInstance(context, by, 'register-instance', ref, () =>
      registry.register(registration, leaseTtlMs, reportOf(health, healthReason), expectedRevision),
    );
    const instance = registry.instance(ref);
    if (instance === undefined) throw new ProblemError('EXPIRED', `${instanceName(ref)} has gone again already`);
    return {
      status: isNew ? 201 : 200,
      value: { lease: lease.id, leaseTtlMs: lease.ttlMs, revision: lease.revision, instance: presentInstance(instance) },
      tag: String(instance.revision),
    };
  },
  deregisterInstance: async ({ path }, context, { expectedRevision }, by) => {
    const ref = refOf(path);
    const deregister = async (): Promise<void> => {
      if (!(await context.registry.deregister(ref, expectedRevision))) throw notFound(ref);
    };
    await changeInstance(context, by, 'deregister-instance', ref, deregister);
    return { status: 204 };
  },
  heartbeat: async ({ path, body }, context) => {
    const ref = refOf(path);
    const { registry } = context;
    const report = reportOf(body.health, body.healthReason);
    // A lease is known by its id; the rest of it is for whoever registered.
    await registry.heartbeat({ ref, id: body.lease, ttlMs: 0, revision: 0 }, report).catch((error: unknown) => {
      if (!(error instanceof RegistryError) || error.code !== 'EXPIRED') throw error;
      throw new ProblemError(
        'EXPIRED',
        `${instanceName(ref)} is not registered with this lease any more: it ended, or the instance was removed`,
        {
          mend: 'register the instance again',
        },
      );
    });
    return answer(ref, context);
  },
  reportHealth: async ({ path, body }, context, { expectedRevision }, by) => {
    const ref = refOf(path);
    const { detector, health, reason } = body;
    const report = () => context.registry.reportHealth(ref, detector, { health, reason }, expectedRevision);
    await changeInstance(context, by, 'report-health', ref, report);
    return answer(ref, context);
  },
  drainInstance: async ({ path, query, body }, context, { expectedRevision }, by) => {
    const ref = refOf(path);
    const { waitMs } = query;
    const running = await changeInstance(context, by, 'drain-instance', ref, async () => {
      await takeOutOfRotation(ref, body.reason, context.registry, expectedRevision);
      return waitMs === undefined ? undefined : context.proxies.drains.begin(ref, waitMs);
    });
    const reply = answer(ref, context);
    if (running === undefined) return reply;
    const drain = presentDrain(await running.done);
    // It may have left by now, which is what was wanted.
    const instance = context.registry.instance(ref);
    if (instance === undefined) return { ...reply, value: { ...(reply.value as object), drain } };
    const now = answer(ref, context);
    return { ...now, value: { ...(now.value as object), drain } };
  },
  undrainInstance: async ({ path }, context, { expectedRevision }, by) => {
    const ref = refOf(path);
    await changeInstance(context, by, 'undrain-instance', ref, () => putIntoRotation(ref, context.registry, expectedRevision));
    return answer(ref, context);
  },
};

function refOf({ namespace, service, instance }: { namespace: string; service: string; instance: string }): InstanceRef {
  return { service: { namespace, name: service }, id: instance };
}

function reportOf(health: InstanceHealth | undefined, reason = ''): HealthReport | undefined {
  return health === undefined ? undefined : { health, reason };
}

function answer(ref: InstanceRef, context: RestContext): Reply {
  const instance = require(ref, context);
  return { status: 200, value: { revision: context.registry.revision, instance }, tag: String(instance.revision) };
}

function require(ref: InstanceRef, { registry }: RestContext): ReturnType<typeof presentInstance> {
  const instance = registry.instance(ref);
  if (instance === undefined) throw notFound(ref);
  return presentInstance(instance);
}

function notFound(ref: InstanceRef): ProblemError {
  return new ProblemError('NOT_FOUND', `there is no instance ${instanceName(ref)}`);
}
