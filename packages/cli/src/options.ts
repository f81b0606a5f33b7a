// How the values of options are read: each reader throws commander's error for a wrong value, which becomes exit code 2.
import { InvalidArgumentError } from 'commander';
import { OUTPUT_FORMATS, type OutputFormat } from './output/formats.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** @param min 1 where the system must not choose. */
export function port(min: 0 | 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,5}$/.test(text) || value < min || value > 65_535)
      throw new InvalidArgumentError(`a port is a whole number from ${min} to 65535.`);
    return value;
  };
}

/** `HOST:PORT`, IPv6 addresses in brackets. */
export function hostPort(text: string): HostPort {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:\s]+)):(\d{1,5})$/.exec(text);
  const value = Number(match?.[3]);
  if (match === null || value > 65_535) throw new InvalidArgumentError('expected HOST:PORT, for example 127.0.0.1:15010 or [::1]:15010.');
  return { host: match[1] ?? match[2]!, port: value };
}

export function outputFormat(text: string): OutputFormat {
  const format = OUTPUT_FORMATS.find((known) => known === text);
  if (format === undefined) throw new InvalidArgumentError(`expected ${OUTPUT_FORMATS.join(', ')}.`);
  return format;
}

/** The names that the mesh file allows, which also become host names and SPIFFE ids. */
export function name(text: string): string {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError(
      'a name has lower-case letters, digits and "-", at most 63, beginning and ending with a letter or digit.',
    );
  }
  return text;
}

/** Instances and nodes: also dots and capitals, as machine names have. */
export function instanceName(text: string): string {
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError('expected letters, digits, ".", "_" and "-", at most 63, beginning and ending with a letter or digit.');
  }
  return text;
}

/** More processes than this on one machine are a slip of the finger. */
const WORKERS_MAX = 64;

/** Worker processes of a proxy. */
export function workers(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > WORKERS_MAX) throw new InvalidArgumentError(`expected a whole number from 1 to ${WORKERS_MAX}.`);
  return value;
}

export function names(text: string): string[] {
  return text.split(',').map((part) => name(part.trim()));
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const TTL_MAX_MS = 604_800_000;

/** A token's time to live in milliseconds. */
export function timeToLive(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!;
  if (ms < 1_000 || ms > TTL_MAX_MS) throw new InvalidArgumentError('expected a time from 1s to 7d, for example 30m.');
  return ms;
}
