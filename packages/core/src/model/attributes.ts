// What instances and services say about themselves: metadata, named ports, where they run. One place for the rules, so that the
// mesh file, a proxy's admin API and the registry refuse the same.
import { DEFAULT_LIMITS } from '../limits/table.ts';
import type { Locality } from './service.ts';

/** Of labels and metadata: a prefix of 253 characters, a slash and a name of 63, as Kubernetes has them. */
export const ATTRIBUTE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,315}[A-Za-z0-9])?$/;
const ATTRIBUTE_NAME_WORDS = 'is not a name: 1 to 317 letters, digits, ".", "_", "-" or "/", a letter or digit at both ends';
/** RFC 6335 §5.1, in lower case: DNS puts it into a label, `_metrics._tcp`. */
export const PORT_NAME = /^(?=[a-z0-9-]*[a-z])[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,14}$/;
export const PORT_NAME_WORDS = 'at most 15 lower-case letters, digits and single "-", with a letter in it, a letter or digit at both ends';
const LOCALITY_PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const LOCALITY_PART_WORDS = '1 to 63 letters, digits, ".", "_" or "-", a letter or digit at both ends';
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/** What is wrong, as the end of a sentence that begins with the field. `key`: of the entry at fault; undefined: the whole is. */
export interface AttributeProblem {
  readonly key?: string;
  readonly rule: string;
}

/** Undefined when the entries may be metadata. */
export function metadataProblem(entries: readonly (readonly [string, unknown])[]): AttributeProblem | undefined {
  const { metadataEntriesMax, metadataBytesMax } = DEFAULT_LIMITS;
  if (entries.length > metadataEntriesMax) return { rule: `has ${entries.length} entries, at most ${metadataEntriesMax} are allowed` };
  let bytes = 0;
  for (const [key, value] of entries) {
    if (!ATTRIBUTE_NAME.test(key)) return { key, rule: ATTRIBUTE_NAME_WORDS };
    if (typeof value !== 'string') return { key, rule: 'must be a string' };
    if (UNPRINTABLE.test(value)) return { key, rule: 'contains a control character' };
    bytes += utf8Bytes(key) + utf8Bytes(value);
  }
  return bytes > metadataBytesMax
    ? { rule: `has ${bytes} bytes, names and values together; at most ${metadataBytesMax} are allowed` }
    : undefined;
}

/** Undefined when the entries may be named ports. */
export function portsProblem(entries: readonly (readonly [string, unknown])[]): AttributeProblem | undefined {
  const { portsPerInstanceMax } = DEFAULT_LIMITS;
  if (entries.length > portsPerInstanceMax) return { rule: `has ${entries.length} entries, at most ${portsPerInstanceMax} are allowed` };
  for (const [key, port] of entries) {
    if (!PORT_NAME.test(key)) return { key, rule: `is not the name of a port: ${PORT_NAME_WORDS}` };
    if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535)
      return { key, rule: 'must be a whole number from 1 to 65535' };
  }
  return undefined;
}

/** Undefined when the fields may be a locality's. */
export function localityProblem(fields: Readonly<Record<keyof Locality, unknown>>): AttributeProblem | undefined {
  for (const key of ['region', 'zone', 'subZone'] as const) {
    const value = fields[key];
    if (key === 'subZone' && value === undefined) continue;
    if (typeof value !== 'string' || !LOCALITY_PART.test(value)) return { key, rule: `must be a name of ${LOCALITY_PART_WORDS}` };
  }
  return undefined;
}

/** From `region/zone` or `region/zone/subzone`; undefined when it is neither. */
export function parseLocality(text: string): Locality | undefined {
  const [region, zone, subZone, ...rest] = text.split('/');
  if (region === undefined || zone === undefined || rest.length > 0) return undefined;
  if (localityProblem({ region, zone, subZone }) !== undefined) return undefined;
  return { region, zone, ...(subZone === undefined ? {} : { subZone }) };
}

export function formatLocality({ region, zone, subZone }: Locality): string {
  return subZone === undefined ? `${region}/${zone}` : `${region}/${zone}/${subZone}`;
}

function utf8Bytes(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}
