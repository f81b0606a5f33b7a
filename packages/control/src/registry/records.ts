// What the store holds under an instance's key: JSON, checked by the same rules when it comes from the
// network and when it is read back.
import { localityProblem, metadataProblem, portsProblem } from '@heddle/core';
import type { AttributeProblem, Instance, InstanceHealth, Locality, OutboundPort, ServiceRef } from '@heddle/core';
import { NAME_FORM } from './keys.ts';
import type { RegistryLimits } from './limits.ts';
import { Reader, invalid, parseJson } from './reader.ts';

/** An instance without the verdict and the revision, which are the registry's to give. */
export type Registration = Omit<Instance, 'health' | 'healthReason' | 'revision'>;

export interface HealthReport {
  readonly health: InstanceHealth;
  readonly reason: string;
}

export interface InstanceRecord {
  readonly registration: Registration;
  /** From the data plane beside the instance. */
  readonly own: HealthReport;
  /** From outside detectors, by detector. */
  readonly outside: Readonly<Record<string, HealthReport>>;
  readonly leaseTtlMs: number;
}

/** A record that was read, with its registration as text: what is written again and again is read only once. */
export interface ReadRecord {
  readonly record: InstanceRecord;
  readonly registrationText: string;
}

const NAME_RULE = 'a name: 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit at both ends';
const HEALTHS: readonly InstanceHealth[] = ['starting', 'healthy', 'unhealthy', 'draining'];

/** Throws RegistryError INVALID that names the field. */
export function readRegistration(value: unknown, limits: RegistryLimits): Registration {
  const reader = new Reader(value, 'instance');
  const inbound = reader.socketAddress('inbound');
  if (isWildcard(inbound.address))
    throw invalid('instance.inbound.address', `${inbound.address} stands for "any address": peers need one they can connect to`);
  return {
    service: readRef(reader.object('service')),
    id: reader.matching('id', NAME_FORM, NAME_RULE),
    node: readNode(reader, limits),
    inbound,
    application: reader.socketAddress('application'),
    outbounds: reader.list('outbounds', limits.outboundsMax, readOutbound),
    version: reader.text('version', limits.versionCharsMax),
    labels: readLabels(reader, limits),
    metadata: readAttributes(reader, 'metadata', metadataProblem),
    ports: readAttributes(reader, 'ports', portsProblem),
    ...(reader.has('locality') ? { locality: readLocality(reader.object('locality')) } : {}),
    weight: reader.integer('weight', 1, 1_000),
  };
}

/** `known`: an earlier record of the instance, whose registration is taken when it is still the same. Throws RegistryError INVALID. */
export function readInstanceRecord(text: string, limits: RegistryLimits, known?: ReadRecord): ReadRecord {
  const value = parseJson(text);
  const reader = new Reader(value, 'record');
  const outside: Record<string, HealthReport> = {};
  for (const [detector, report] of reader.entries('outside', limits.detectorsPerInstanceMax))
    outside[detector] = readReport(new Reader(report, 'record.outside'), limits);
  const own = readReport(reader.object('own'), limits);
  // Records of before there was one had the default.
  const leaseTtlMs = reader.has('leaseTtlMs') ? reader.integer('leaseTtlMs', 1, limits.leaseTtlMsMax) : limits.leaseTtlMsDefault;
  const stored: unknown = (value as Record<string, unknown>)['registration'];
  const registrationText = JSON.stringify(stored) ?? '';
  const registration = known?.registrationText === registrationText ? known.record.registration : readRegistration(stored, limits);
  return { record: { registration, own, outside, leaseTtlMs }, registrationText };
}

function readReport(reader: Reader, limits: RegistryLimits): HealthReport {
  return { health: reader.oneOf('health', HEALTHS), reason: reader.text('reason', limits.reasonCharsMax) };
}

/** A reason from outside, made fit to keep: cut, and without control characters (it ends up on terminals). */
export function cleanReason(reason: string, limits: RegistryLimits): string {
  const clean = reason
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
    .trim();
  return clean.length <= limits.reasonCharsMax ? clean : `${clean.slice(0, limits.reasonCharsMax - 1).toWellFormed()}…`;
}

export function readRef(reader: Reader, nameField = 'name'): ServiceRef {
  return { namespace: reader.matching('namespace', NAME_FORM, NAME_RULE), name: reader.matching(nameField, NAME_FORM, NAME_RULE) };
}

function readOutbound(item: unknown, path: string): OutboundPort {
  const reader = new Reader(item, path);
  return { service: readRef(reader.object('service')), listen: reader.socketAddress('listen') };
}

function readLabels(reader: Reader, limits: RegistryLimits): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const [name, value] of reader.entries('labels', limits.labelsMax)) {
    const path = `instance.labels[${JSON.stringify(name.slice(0, 80))}]`;
    if (!/^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/.test(name) || name.length > limits.labelNameCharsMax) {
      throw invalid(
        path,
        `is not a label name: 1 to ${limits.labelNameCharsMax} letters, digits, dots, dashes, slashes and underscores, a letter or digit at both ends`,
      );
    }
    labels[name] = new Reader({ value }, path).text('value', limits.labelValueCharsMax);
  }
  return labels;
}

/** Absent means none: registrations and records of before there were any. */
function readAttributes<T extends string | number>(
  reader: Reader,
  name: string,
  problem: (entries: [string, unknown][]) => AttributeProblem | undefined,
): Record<string, T> {
  if (!reader.has(name)) return {};
  const entries = reader.entries(name, Infinity);
  const found = problem(entries);
  if (found?.key !== undefined) throw reader.fail(`${name}[${JSON.stringify(found.key.slice(0, 80))}]`, found.rule);
  if (found !== undefined) throw reader.fail(name, found.rule);
  return Object.fromEntries(entries) as Record<string, T>;
}

function readLocality(reader: Reader): Locality {
  const fields = reader.fields(['region', 'zone', 'subZone']);
  const found = localityProblem(fields);
  if (found?.key !== undefined) throw reader.fail(found.key, found.rule);
  const { region, zone, subZone } = fields as Record<string, string>;
  return { region: region!, zone: zone!, ...(subZone === undefined ? {} : { subZone }) };
}

function readNode(reader: Reader, limits: RegistryLimits): string {
  reader.text('node', limits.nodeCharsMax);
  return reader.matching('node', /^[\x21-\x7e]+$/, 'the name of a data plane: printable ASCII without spaces');
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || /^[0:]+$/.test(address);
}
