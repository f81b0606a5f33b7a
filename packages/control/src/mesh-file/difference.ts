// What one configuration says otherwise than another, by service, rule and setting: for people who look before they apply, and for programs.
import { isDeepStrictEqual } from 'node:util';
import { serviceKey } from '@heddle/core';
import type { EgressHost, MeshConfig, Service, TrafficRule } from '@heddle/core';
import { ruleText as accessRuleText } from '../admin/policies.ts';
import { matchText } from '../admin/route-text.ts';
import { egressStoreKey } from '../registry/keys.ts';
import { destinationText } from './splits.ts';

export type DifferenceKind = 'mesh' | 'service' | 'rule' | 'egress' | 'security' | 'access-rule' | 'issuer' | 'outbound-token';

export interface FieldDifference {
  /** `retry.attempts`; destinations and the like by what they are: `action.to[orders{version=v2}].weight`. */
  readonly path: string;
  /** Absent: there was none, or there is none any more. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface Difference {
  readonly kind: DifferenceKind;
  readonly change: 'added' | 'changed' | 'removed';
  /** `<namespace>/<name>` of a service, also with a rule; `<host>:<port>`; the name of an access rule and the like; else empty. */
  readonly name: string;
  /** Of a rule. */
  readonly rule?: string;
  /** What was added or removed, in a few words; else empty. */
  readonly summary: string;
  /** Of what changed. */
  readonly fields: readonly FieldDifference[];
}

interface Named {
  readonly name: string;
}

/** Empty: they are the same to the mesh. What is for the processes of `heddle up` is not looked at. */
export function differencesOf(before: MeshConfig, after: MeshConfig): Difference[] {
  const services = (mesh: MeshConfig): Map<string, Service> =>
    new Map(mesh.services.map(({ service }) => [serviceKey(service), withoutAddress(service)]));
  return [
    ...changed('mesh', '', settings(before), settings(after)),
    ...byName('service', services(before), services(after), ({ protocol, port }) => `${protocol} on port ${port}`, serviceDifferences),
    ...byName('egress', hosts(before), hosts(after), ({ protocol }) => `by ${protocol}`),
    ...securityDifferences(before, after),
  ];
}

/** What stands in neither services nor security. */
function settings(mesh: MeshConfig): object {
  const { name: _n, trustDomain: _t, anonymousCalls: _a, services: _s, egress: _e, security: _x, ...rest } = mesh;
  return rest;
}

function hosts({ egress }: MeshConfig): Map<string, EgressHost> {
  return new Map(egress.map((host) => [egressStoreKey(host).split('/').at(-1) as string, host]));
}

function serviceDifferences(key: string, before: Service, after: Service): Difference[] {
  const { rules: was, ...old } = before;
  const { rules: is, ...now } = after;
  const [order, newOrder] = [was, is].map((rules) => rules.map(({ name }) => name)) as [string[], string[]];
  const isReordered = !isDeepStrictEqual(order, newOrder) && isDeepStrictEqual(order.toSorted(), newOrder.toSorted());
  return [
    ...changed('service', key, { ...old, ...(isReordered && { rules: order }) }, { ...now, ...(isReordered && { rules: newOrder }) }),
    ...byName('rule', named(was), named(is), ruleText).map((one) => ({ ...one, name: key, rule: one.name })),
  ];
}

function securityDifferences({ security: before }: MeshConfig, { security: after }: MeshConfig): Difference[] {
  const plain = ({ issuers: _i, outboundTokens: _o, access: { rules: _r, ...access }, ...rest }: MeshConfig['security']): object => ({
    ...rest,
    access,
  });
  const tokens = (all: MeshConfig['security']['outboundTokens']) => named(all.map((one) => ({ name: one.token.name, ...one })));
  return [
    ...changed('security', '', plain(before), plain(after)),
    ...byName('access-rule', named(before.access.rules), named(after.access.rules), accessRuleText),
    ...byName('issuer', named(before.issuers), named(after.issuers), ({ issuer }) => issuer),
    ...byName('outbound-token', tokens(before.outboundTokens), tokens(after.outboundTokens), ({ token }) => token.url),
  ];
}

function byName<T extends object>(
  kind: DifferenceKind,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  summaryOf: (one: T) => string,
  inside: (name: string, was: T, is: T) => Difference[] = (name, was, is) => changed(kind, name, was, is),
): Difference[] {
  const found: Difference[] = [];
  for (const [name, is] of after) {
    const was = before.get(name);
    if (was === undefined) found.push({ kind, change: 'added', name, summary: summaryOf(is), fields: [] });
    else found.push(...inside(name, was, is));
  }
  for (const [name, was] of before)
    if (!after.has(name)) found.push({ kind, change: 'removed', name, summary: summaryOf(was), fields: [] });
  return found;
}

function changed(kind: DifferenceKind, name: string, before: object, after: object): Difference[] {
  const fields = fieldDifferences(before, after, '');
  return fields.length === 0 ? [] : [{ kind, change: 'changed', name, summary: '', fields }];
}

function fieldDifferences(before: unknown, after: unknown, path: string): FieldDifference[] {
  if (isDeepStrictEqual(before, after)) return [];
  const [was, is] = [entriesOf(before), entriesOf(after)];
  if (was === undefined || is === undefined)
    return [{ path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) }];
  const keys = new Set([...was.keys(), ...is.keys()]);
  const isList = Array.isArray(before);
  const found = [...keys].flatMap((key) =>
    fieldDifferences(was.get(key), is.get(key), isList ? `${path}[${key}]` : `${path === '' ? '' : `${path}.`}${key}`),
  );
  // The same ones in another order.
  return found.length === 0 ? [{ path, before, after }] : found;
}

/** Of a map by key, of a list of things with names or destinations by these; else undefined. */
function entriesOf(value: unknown): Map<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (!Array.isArray(value)) return new Map(Object.entries(value));
  const keys = value.map(keyOf);
  return keys.length === 0 || keys.includes(undefined) || new Set(keys).size < keys.length
    ? undefined
    : new Map(value.map((item, index) => [keys[index] as string, item]));
}

function keyOf(item: unknown): string | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { name, service, labels } = item as Partial<Named & { service: Service; labels: Record<string, string> }>;
  if (typeof name === 'string') return name;
  return service !== undefined && labels !== undefined ? destinationText({ service, labels }) : undefined;
}

function named<T extends Named>(all: readonly T[]): Map<string, T> {
  return new Map(all.map((one) => [one.name, one]));
}

function ruleText({ matches, action }: TrafficRule): string {
  const what = matches.map(matchText).filter((text) => text !== '');
  const match = what.length === 0 ? 'every request' : what.join(' or ');
  if (action.kind !== 'forward') return `${match} → ${action.kind} ${action.status}`;
  const sides = action.to.map((one) => `${destinationText(one)}${action.to.length === 1 ? '' : ` ${one.weight}`}`);
  return `${match} → ${sides.join(', ')}`;
}

function withoutAddress(service: Service): Service {
  const { virtualAddress: _, ...rest } = service;
  return rest;
}
