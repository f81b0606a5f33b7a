// How the values of options are read: each reader throws commander's error for a wrong value, which becomes exit code 2.
import { isIP } from 'node:net';
import { type Locality, metadataProblem, type NamedPorts, parseLocality, portsProblem } from '@heddle/core';
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

/** A port, or `off`: none. */
export function portOrOff(text: string): number | 'off' {
  return text === 'off' ? text : port(0)(text);
}

/** `HOST:PORT`, or `off`: nowhere. */
export function listenOrOff(text: string): HostPort | 'off' {
  return text === 'off' ? text : hostPort(text);
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

/** As the control plane takes it: 366 days, of administrators. */
const TOKEN_TIME_MAX_MS = 31_622_400_000;

/** How long a token can be used, in milliseconds. */
export function tokenTime(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!;
  if (ms < 1_000 || ms > TOKEN_TIME_MAX_MS) throw new InvalidArgumentError('expected a time from 1s to 366d, for example 30d.');
  return ms;
}

/** How often something is read, in milliseconds. */
export function interval(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!;
  if (ms < 1_000 || ms > UNIT_MS['h']!) throw new InvalidArgumentError('expected a time from 1s to 1h, for example 15s.');
  return ms;
}

/** How long ago, in milliseconds. */
export function ago(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('expected a time, for example 30m, 12h or 7d.');
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** At most so many, from 1. */
export function count(max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
    if (value < 1 || value > max) throw new InvalidArgumentError(`expected a whole number from 1 to ${max}.`);
    return value;
  };
}

/** As the control plane takes it: 10 minutes. */
const DRAIN_TIME_MAX_MS = 600_000;

/** How long data planes are waited for, in milliseconds. */
export function drainTime(text: string): number {
  const match = /^(\d{1,6})(s|m)$/.exec(text);
  const ms = match === null ? -1 : Number(match[1]) * UNIT_MS[match[2]!]!;
  if (ms < 0 || ms > DRAIN_TIME_MAX_MS) throw new InvalidArgumentError('expected a time from 0s to 10m, for example 30s.');
  return ms;
}

/** As the authority takes it: 90 days. */
const LATE_RENEWAL_MAX_MS = 7_776_000_000;

/** Time after its end in which a certificate can still be renewed, in milliseconds. */
export function lateRenewal(text: string): number {
  if (text === 'never') return 0;
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2]!]!;
  if (ms < 1_000 || ms > LATE_RENEWAL_MAX_MS) throw new InvalidArgumentError('expected a time from 1s to 90d, for example 7d, or never.');
  return ms;
}

export interface UsedService {
  /** Absent: that of the service which uses it. */
  readonly namespace?: string;
  readonly service: string;
  /** Local port on which it is called. */
  readonly port: number;
}

/** `NAME=PORT` or `NAMESPACE/NAME=PORT`, several separated by commas, or the option several times. */
export function usedServices(text: string, before: readonly UsedService[] = []): UsedService[] {
  const added = text.split(',').map((part): UsedService => {
    const match = /^(?:([^/=]+)\/)?([^/=]+)=(\d{1,5})$/.exec(part.trim());
    if (match === null) throw new InvalidArgumentError(`expected SERVICE=PORT, for example inventory=20001, not ${JSON.stringify(part)}.`);
    const [, namespace, service = '', number = ''] = match;
    return { ...(namespace !== undefined && { namespace: name(namespace) }), service: name(service), port: port(1)(number) };
  });
  return [...before, ...added];
}

/** `NAME=VALUE`, several separated by commas, or the option several times. */
export function labels(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const added = text.split(',').map((part): [string, string] => {
    const at = part.indexOf('=');
    if (at < 1) throw new InvalidArgumentError(`expected NAME=VALUE, for example tier=gold, not ${JSON.stringify(part)}.`);
    return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
  });
  return { ...before, ...Object.fromEntries(added) };
}

/** `HOST:PORT` with an IP address and a port that is not 0. */
export function reachable(text: string): HostPort {
  const found = hostPort(text);
  if (isIP(found.host) === 0 || found.port === 0)
    throw new InvalidArgumentError('expected an IP address and a port, for example 10.0.0.7:15006 or [::1]:15006.');
  if (/^[0.:]+$/.test(found.host))
    throw new InvalidArgumentError('others need an address at which they can connect; this one stands for any.');
  return found;
}

export function locality(text: string): Locality {
  const found = parseLocality(text);
  if (found === undefined)
    throw new InvalidArgumentError(
      'expected REGION/ZONE or REGION/ZONE/SUBZONE, for example eu-west/a; letters, digits, ".", "_" and "-".',
    );
  return found;
}

const WEIGHT_MAX = 1_000;

export function weight(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > WEIGHT_MAX) throw new InvalidArgumentError(`expected a whole number from 1 to ${WEIGHT_MAX}.`);
  return value;
}

/** `NAME=VALUE`; a value may have commas, so that each needs the option once. */
export function metadata(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const all = { ...before, [text.slice(0, Math.max(0, at)).trim()]: text.slice(at + 1).trim() };
  const problem = at < 1 ? { rule: 'expected NAME=VALUE, for example owner=payments' } : metadataProblem(Object.entries(all));
  if (problem !== undefined) throw new InvalidArgumentError(`${problem.rule}.`);
  return all;
}

/** `NAME=PORT`, several separated by commas, or the option several times. */
export function namedPorts(text: string, before: NamedPorts = {}): NamedPorts {
  const added = text.split(',').map((part): [string, number] => {
    const [, portName, number] = /^([^=]+)=(\d{1,5})$/.exec(part.trim()) ?? [];
    if (portName === undefined)
      throw new InvalidArgumentError(`expected NAME=PORT, for example metrics=9100, not ${JSON.stringify(part)}.`);
    return [portName, Number(number)];
  });
  const all = { ...before, ...Object.fromEntries(added) };
  const problem = portsProblem(Object.entries(all));
  if (problem !== undefined)
    throw new InvalidArgumentError(`${problem.key === undefined ? '' : `${JSON.stringify(problem.key)} `}${problem.rule}.`);
  return all;
}

const SERVICE = /^(?:([a-z0-9][a-z0-9.-]{0,62})\/)?([A-Za-z0-9][A-Za-z0-9.:_-]{0,252})$/;

/** `NAME` or `NAMESPACE/NAME`, as the graph names what calls and is called; `outside`: who has proven nothing. */
export function callerName(text: string): string {
  const match = SERVICE.exec(text);
  if (match === null) throw new InvalidArgumentError('expected SERVICE or NAMESPACE/SERVICE, for example orders or shop/orders.');
  return text === 'outside' ? text : `${match[1] ?? 'default'}/${match[2]}`;
}

const SHORT_UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A time of at least 1 ms and at most an hour, in milliseconds. */
export function shortTime(text: string): number {
  const match = /^(\d{1,7})(ms|s|m|h)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * SHORT_UNIT_MS[match[2]!]!;
  if (ms < 1 || ms > UNIT_MS['h']!) throw new InvalidArgumentError('expected a time from 1ms to 1h, for example 100ms or 30s.');
  return ms;
}

/** Names of headers in lower case, several separated by commas, or the option several times. */
export function headerNames(text: string, before: readonly string[] = []): string[] {
  return [...new Set([...before, ...text.split(',').map((part) => part.trim().toLowerCase())])];
}
