// What the forms of configuration files are made of: fields that know how they are described, what they expect, and an example.
import { z } from 'zod';
import type { Protocol } from '../../model/service.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../duration.ts';
import { parsePercent, PERCENT_PATTERN } from '../percent.ts';
import { formatSize, parseSize, SIZE_PATTERN } from '../size.ts';

/** What a field takes, in words that follow "expected". */
export const EXPECTED = z.registry<{ expected: string }>();

/** RFC 1123 §2.1, lower case, as Kubernetes has it: the name becomes a host name, a SPIFFE id and environment variables. */
export const LABEL_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const LABEL_WORDS = 'lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit';
export const VARIABLE_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*$/;
export const LABEL_KEY_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
/** RFC 9110 §5.6.2: names of header fields and cookies, and methods. */
export const TOKEN_PATTERN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/;
/** RFC 9110 §5.5, without the bytes beyond ASCII: nobody agrees on their encoding. No blanks at the ends. */
export const HEADER_VALUE_PATTERN = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/;
export const NO_NUL = /^[^\u0000]*$/;
export const NOT_BLANK = /^[^\u0000]*[^\u0000\s][^\u0000]*$/;
export const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] as const satisfies readonly Protocol[];

export interface About {
  readonly description: string;
  readonly examples?: readonly unknown[];
}

export function field<T extends z.ZodType>(schema: T, expected: string, about: About): T {
  const described = schema.meta({ description: about.description, ...(about.examples && { examples: [...about.examples] }) });
  EXPECTED.add(described, { expected });
  return described;
}

export function duration(minMs: number, maxMs: number, about: About) {
  const fits = (value: string | 0): boolean => {
    const durationMs = parseDuration(value);
    return durationMs !== undefined && durationMs >= minMs && durationMs <= maxMs;
  };
  const text = z.string().regex(DURATION_PATTERN);
  const range = `from ${minMs === 0 ? '0' : formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return field(z.union([z.literal(0), text]).refine(fits), `a duration ${range} with a unit (ms, s, m or h)`, about);
}

export function percent(about: About) {
  const fits = (value: string | number): boolean => parsePercent(value) !== undefined;
  const schema = z.union([z.number().min(0).max(100), z.string().regex(PERCENT_PATTERN)]).refine(fits);
  return field(schema, 'a percentage from 0% to 100%', about);
}

export function size(minBytes: number, maxBytes: number, about: About) {
  const fits = (value: string | 0): boolean => {
    const bytes = parseSize(value);
    return bytes !== undefined && bytes >= minBytes && bytes <= maxBytes;
  };
  const range = `from ${minBytes === 0 ? '0' : formatSize(minBytes)} to ${formatSize(maxBytes)}`;
  return field(z.union([z.literal(0), z.string().regex(SIZE_PATTERN)]).refine(fits), `a size ${range} with a unit (B, KiB or MiB)`, about);
}

export function whole(min: number, max: number, about: About) {
  return field(z.int().min(min).max(max), `a whole number from ${min} to ${max}`, about);
}

export function number(min: number, max: number, about: About) {
  return field(z.number().min(min).max(max), `a number from ${min} to ${max}`, about);
}

export function port(about: About) {
  return field(z.int().min(1).max(65_535), 'a port, a whole number from 1 to 65535', about);
}

export function flag(about: About) {
  return field(z.boolean(), 'true or false', about);
}

export function only(value: true, about: About) {
  return field(z.literal(value), String(value), about);
}

export function choice<const V extends readonly string[]>(values: V, about: About) {
  return field(z.enum(values), oneOf(values), about);
}

export function oneOf(values: readonly string[]): string {
  return values.length === 1 ? `"${values[0]}"` : `one of ${values.map((value) => `"${value}"`).join(', ')}`;
}

export function text(expected: string, pattern: RegExp, about: About) {
  return field(z.string().min(1).regex(pattern), expected, about);
}

/** A number or boolean is taken as it is written: `1.10` stays `1.10`. */
export function scalarText(expected: string, about: About, pattern = NO_NUL) {
  return field(z.union([z.string().regex(pattern), z.number(), z.boolean()]), expected, about);
}

/** One of them, or a list of 1 to `max`. */
export function oneOrMore<T extends z.ZodType>(one: T, max: number, expected: string, about: About) {
  return field(z.union([one, z.array(one).min(1).max(max)]), expected, about);
}
