// What changes of the registry are to people: one event each, with what it was and what it is.
import { formatLocality } from '@heddle/core';
import type { EgressHost, Service, SocketAddress, TrafficRule } from '@heddle/core';
import type { EventKind } from '../events/sink.ts';
import type { HeldInstance } from './view.ts';

export interface Told {
  readonly kind: EventKind;
  readonly message: string;
}

export function tellService(before: Service | undefined, after: Service | undefined): Told | undefined {
  if (after === undefined) return before === undefined ? undefined : { kind: 'service-removed', message: 'removed with its instances' };
  if (before === undefined) return { kind: 'service-declared', message: `${after.protocol} on port ${after.port}` };
  const changes = differences(before, after);
  return changes.length === 0 ? undefined : { kind: 'service-changed', message: changes.join('; ') };
}

export function tellEgress(before: EgressHost | undefined, after: EgressHost | undefined): Told | undefined {
  if (before?.protocol === after?.protocol) return undefined;
  const message = after === undefined ? 'may not be called any more' : `may be called, by ${after.protocol}`;
  return { kind: 'egress-changed', message };
}

export function tellInstance(before: HeldInstance | undefined, after: HeldInstance | undefined, hasExpired: boolean): Told | undefined {
  if (after === undefined) return before === undefined ? undefined : tellGone(before, hasExpired);
  // Those that are kept are told about together.
  if (after.isKept) return before === undefined || before.isKept ? tellHealth(before, after) : undefined;
  if (before?.lease === after.lease) return tellHealth(before, after);
  const { node, inbound, health, healthReason, locality } = after.instance;
  const where = `on ${node}, ${text(inbound)}${locality === undefined ? '' : `, in ${formatLocality(locality)}`}`;
  const again = before === undefined ? '' : before.isKept ? ' again, after its lease had ended' : ' again';
  return { kind: 'instance-registered', message: `registered${again} ${where}; ${health}: ${healthReason}` };
}

function tellGone({ isKept }: HeldInstance, hasExpired: boolean): Told {
  if (!hasExpired) return { kind: 'instance-deregistered', message: 'deregistered' };
  const message = isKept
    ? 'removed: it was kept as last known, and nothing was heard of it'
    : 'no heartbeat came for the time of its lease';
  return { kind: 'instance-expired', message };
}

function tellHealth(before: HeldInstance | undefined, after: HeldInstance): Told | undefined {
  if (before === undefined || before.instance.health === after.instance.health) return undefined;
  return { kind: 'instance-health', message: `${before.instance.health} → ${after.instance.health}: ${after.instance.healthReason}` };
}

function differences(before: Service, after: Service): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof Service)[];
  return keys.flatMap((key) => {
    if (key === 'rules') return ruleDifferences(before.rules, after.rules);
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(after[key])];
    return was === is ? [] : [`${key} ${was === undefined ? 'none' : was} → ${is === undefined ? 'none' : is}`];
  });
}

/** By name: what they say has many lines. */
function ruleDifferences(before: readonly TrafficRule[], after: readonly TrafficRule[]): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const was = new Map(before.map((rule) => [rule.name, JSON.stringify(rule)]));
  const is = new Map(after.map((rule) => [rule.name, JSON.stringify(rule)]));
  const steps = [
    ...[...is].flatMap(([name, rule]) => (was.get(name) === rule ? [] : [`${name} ${was.has(name) ? 'changed' : 'added'}`])),
    ...[...was.keys()].flatMap((name) => (is.has(name) ? [] : [`${name} removed`])),
  ];
  return [`rules: ${steps.length === 0 ? `in another order: ${[...is.keys()].join(', ')}` : steps.join(', ')}`];
}

function text({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
