// Operations on one instance: registration with a lease, verdicts, drain.
import type { InstanceHealth } from '@heddle/core';
import { RegistryError } from '../registry/errors.ts';
import type { InstanceRef } from '../registry/keys.ts';
import { instanceName } from '../registry/keys.ts';
import type { HealthReport } from '../registry/records.ts';
import type { Handlers, Reply, RestContext } from './handler.ts';
import { presentInstance } from './present.ts';
import { ProblemError } from './problems.ts';

/** The detector of the operator who takes an instance out of rotation. Others cannot have its name: it has a space. */
const DRAIN_DETECTOR = 'the operator';

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
    const { revision, ...instance } = require(refOf(path), context);
    return { status: 200, value: { ...instance, revision }, tag: String(revision) };
  },
  registerInstance: async ({ path, body }, { registry }, { expectedRevision }) => {
    const ref = refOf(path);
    const { leaseTtlMs, health, healthReason, outbounds, locality, ...rest } = body;
    const isNew = registry.instance(ref) === undefined;
    const registration = {
      ...rest,
      ...ref,
      outbounds: outbounds.map(({ namespace, service, listen }) => ({ service: { namespace, name: service }, listen })),
      ...(locality === undefined ? {} : { locality }),
    };
    const lease = await registry.register(registration, leaseTtlMs, reportOf(health, healthReason), expectedRevision);
    const instance = registry.instance(ref);
    if (instance === undefined) throw new ProblemError('EXPIRED', `${instanceName(ref)} has gone again already`);
    return {
      status: isNew ? 201 : 200,
      value: { lease: lease.id, leaseTtlMs: lease.ttlMs, revision: lease.revision, instance: presentInstance(instance) },
      tag: String(instance.revision),
    };
  },
  deregisterInstance: async ({ path }, { registry }, { expectedRevision }) => {
    const ref = refOf(path);
    if (!(await registry.deregister(ref, expectedRevision))) throw notFound(ref);
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
  reportHealth: async ({ path, body }, context, { expectedRevision }) => {
    const ref = refOf(path);
    const { detector, health, reason } = body;
    await context.registry.reportHealth(ref, detector, { health, reason }, expectedRevision);
    return answer(ref, context);
  },
  drainInstance: async ({ path, body }, context, { expectedRevision }) => {
    const ref = refOf(path);
    await context.registry.reportHealth(
      ref,
      DRAIN_DETECTOR,
      { health: 'draining', reason: body.reason || 'taken out of rotation' },
      expectedRevision,
    );
    return answer(ref, context);
  },
  undrainInstance: async ({ path }, context, { expectedRevision }) => {
    const ref = refOf(path);
    await context.registry.reportHealth(ref, DRAIN_DETECTOR, { health: 'healthy', reason: '' }, expectedRevision);
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
