// What the fields of `health` mean to one another and to the service.
import { parseDuration } from '../duration.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { statusRange } from '../build/traffic.ts';
import { STATUS_RANGE_PATTERN } from '../schema/health.ts';
import { checkTwice, items, keyFault, noEffect, present, valueFault, type Raw } from './raw.ts';

/** They can be asked by HTTP/1.1. */
const HTTP1: readonly unknown[] = [undefined, 'http', 'auto'];
const KINDS = ['http', 'tcp', 'grpc'];

/** @param path of the service. */
export function checkHealth(service: Raw, path: Path): Fault[] {
  const health = service['health'];
  if (!isRecord(health)) return [];
  const inside = [...path, 'health'];
  return [
    ...checkKind(service, health, inside),
    ...checkExpect(health, inside),
    ...checkHealthPort(service, health, inside),
    ...checkTimeout(health, inside),
  ];
}

function checkKind(service: Raw, health: Raw, path: Path): Fault[] {
  const [first, second] = present(health, KINDS);
  const faults: Fault[] = [];
  if (second !== undefined)
    faults.push(keyFault([...path, second], `a check is by ${String(first)} or by ${second}, not both`, 'remove one of the two'));
  const protocol = service['protocol'];
  if (health['http'] !== undefined && !HTTP1.includes(protocol) && health['port'] === undefined) {
    const reason = `an HTTP check needs a service that speaks HTTP/1.1, and this one has protocol ${shown(protocol)}`;
    const instead = protocol === 'grpc' ? 'use "grpc: true"' : 'use "tcp: true"';
    faults.push(keyFault([...path, 'http'], reason, `${instead}, or name a "port" that answers HTTP/1.1`));
  }
  if (health['grpc'] !== undefined && protocol !== 'grpc') {
    const reason = `a gRPC check needs a service with protocol "grpc", and this one has ${shown(protocol ?? 'http')}`;
    faults.push(keyFault([...path, 'grpc'], reason, 'write "protocol: grpc", or check by http or tcp'));
  }
  return faults;
}

function checkExpect(health: Raw, path: Path): Fault[] {
  const expect = health['expect'];
  if (expect === undefined) return [];
  const inside = [...path, 'expect'];
  if (health['http'] === undefined) return [noEffect(inside, 'only a check by "http" has a status', 'remove it, or add "http: /healthz"')];
  const reversed = items(expect, inside).flatMap(({ value, path: at }): Fault[] => {
    if (typeof value !== 'string' || !STATUS_RANGE_PATTERN.test(value)) return [];
    const [from, to] = statusRange(value);
    return from > to ? [valueFault(at, `${shown(value)} is a range without anything in it`, `write ${to}-${from}`)] : [];
  });
  return [...reversed, ...checkTwice(expect, inside)];
}

function checkHealthPort(service: Raw, health: Raw, path: Path): Fault[] {
  if (health['port'] === undefined || service['run'] === undefined || !(Number(service['replicas'] ?? 1) > 1)) return [];
  const reason = 'the instances that Heddle starts here cannot all listen on the same port';
  return [keyFault([...path, 'port'], reason, 'use "replicas: 1", or remove "port"')];
}

function checkTimeout(health: Raw, path: Path): Fault[] {
  const intervalMs = parseDuration(health['interval'] ?? '2s');
  const timeoutMs = parseDuration(health['timeout']);
  if (intervalMs === undefined || timeoutMs === undefined || timeoutMs <= intervalMs) return [];
  const interval = health['interval'] === undefined ? 'default interval 2s' : `interval ${String(health['interval'])}`;
  const reason = `${String(health['timeout'])} is longer than the ${interval}, so checks would overlap`;
  return [valueFault([...path, 'timeout'], reason, 'shorten "timeout" or lengthen "interval"')];
}
