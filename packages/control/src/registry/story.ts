// What changes of the registry are to people: one event each, with what it was and what it is.
import { formatLocality } from '@heddle/core';
import type { EgressHost, SecurityConfig, Service, SocketAddress, TelemetryConfig, TrafficRule } from '@heddle/core';
import type { EventKind } from '../events/sink.ts';
import { destinationText } from '../mesh-file/splits.ts';
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

/** Whom news of a host outside the mesh are about. */
export function egressSubject(host: EgressHost | undefined): string {
  return host === undefined ? '' : `${host.host}:${host.port}`;
}

export function tellEgress(before: EgressHost | undefined, after: EgressHost | undefined): Told | undefined {
  if (before?.protocol === after?.protocol) return undefined;
  const message = after === undefined ? 'may not be called any more' : `may be called, by ${after.protocol}`;
  return { kind: 'egress-changed', message };
}

export function tellSecurity(before: SecurityConfig, after: SecurityConfig): Told | undefined {
  const changes = securityDifferences(before, after);
  return changes.length === 0 ? undefined : { kind: 'security-changed', message: changes.join('; ') };
}

export function tellTelemetry(before: TelemetryConfig, after: TelemetryConfig): Told | undefined {
  const changes = (['tracing', 'accessLog', 'prometheus'] as const).flatMap((key) => {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(after[key])];
    return was === is ? [] : [`${key} ${was ?? 'none'} → ${is ?? 'none'}`];
  });
  return changes.length === 0 ? undefined : { kind: 'telemetry-changed', message: changes.join('; ') };
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
    if (key === 'rules') return namedDifferences('rules', before.rules, after.rules, weightChanges);
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(after[key])];
    return was === is ? [] : [`${key} ${was === undefined ? 'none' : was} → ${is === undefined ? 'none' : is}`];
  });
}

/** By name: what they say has many lines. */
function namedDifferences<T extends { readonly name: string }>(
  what: string,
  before: readonly T[],
  after: readonly T[],
  details: (was: T, is: T) => string | undefined = () => undefined,
): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const was = new Map(before.map((one) => [one.name, one]));
  const is = new Map(after.map((one) => [one.name, one]));
  const steps = [
    ...[...is].flatMap(([name, one]) => {
      const old = was.get(name);
      if (old === undefined) return [`${name} added`];
      return JSON.stringify(old) === JSON.stringify(one) ? [] : [`${name} ${details(old, one) ?? 'changed'}`];
    }),
    ...[...was.keys()].flatMap((name) => (is.has(name) ? [] : [`${name} removed`])),
  ];
  return [`${what}: ${steps.length === 0 ? `in another order: ${[...is.keys()].join(', ')}` : steps.join(', ')}`];
}

/** `orders{version=v2} 10 → 30`; undefined: something else has changed too. */
function weightChanges(was: TrafficRule, is: TrafficRule): string | undefined {
  if (was.action.kind !== 'forward' || is.action.kind !== 'forward') return undefined;
  const { to } = was.action;
  const other = (rule: TrafficRule): string => JSON.stringify(rule, (key, value: unknown) => (key === 'weight' ? undefined : value));
  if (other(was) !== other(is)) return undefined;
  return is.action.to
    .flatMap((one, index) => (one.weight === to[index]?.weight ? [] : [`${destinationText(one)} ${to[index]?.weight} → ${one.weight}`]))
    .join(', ');
}

function securityDifferences(before: SecurityConfig, after: SecurityConfig): string[] {
  const tokens = ({ outboundTokens }: SecurityConfig) => outboundTokens.map((one) => ({ name: one.token.name, ...one }));
  const external = ({ access }: SecurityConfig): string => (access.external === undefined ? 'none' : JSON.stringify(access.external));
  const plain: readonly [string, string, string][] = [
    ['mtls', before.mtls, after.mtls],
    ['lowest version of TLS', before.tlsMin, after.tlsMin],
    ['default', before.access.default, after.access.default],
    ['audit', String(before.access.audit === true), String(after.access.audit === true)],
    ['authorizer', external(before), external(after)],
  ];
  const denied = [
    ...after.denied.flatMap((id) => (before.denied.includes(id) ? [] : [`${id} is denied`])),
    ...before.denied.flatMap((id) => (after.denied.includes(id) ? [] : [`${id} is not denied any more`])),
  ];
  return [
    ...plain.flatMap(([what, was, is]) => (was === is ? [] : [`${what} ${was} → ${is}`])),
    ...namedDifferences('access rules', before.access.rules, after.access.rules),
    ...namedDifferences('issuers', before.issuers, after.issuers),
    ...namedDifferences('outbound tokens', tokens(before), tokens(after)),
    ...denied,
  ];
}

function text({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
