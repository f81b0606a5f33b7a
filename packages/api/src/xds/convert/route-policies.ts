// What is done to a request on the way: changed headers, faults, rate limits (heddle.config.v1).
import type { FaultPolicy, HeaderChanges, RouteRateLimit } from '@heddle/core';
import type {
  Fault,
  HeaderChanges as ChangesMessage,
  HeaderValue,
  RateLimit as LimitMessage,
} from '../../gen/own/heddle/config/v1/route.ts';
import { headerName, headerValue, milliseconds, percentage, within } from './extension.ts';
import type { At } from './rejection.ts';
import { decodeMatch, encodeMatch } from './route-match.ts';
import { required } from './values.ts';

const UINT32_MAX = 4_294_967_295;

/** In order of the names, so that equal changes have equal bytes. */
export function encodeChanges({ set, add, remove }: HeaderChanges): ChangesMessage {
  return { set: encodeHeaders(set), add: encodeHeaders(add), remove: [...remove] };
}

function encodeHeaders(headers: Readonly<Record<string, string>>): HeaderValue[] {
  return Object.entries(headers)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value }));
}

export function decodeChanges({ set, add, remove = [] }: ChangesMessage, at: At): HeaderChanges {
  return {
    set: decodeHeaders(set, 'set', at),
    add: decodeHeaders(add, 'add', at),
    remove: remove.map((name, index) => headerName(name, at.item('remove', index))),
  };
}

function decodeHeaders(headers: readonly HeaderValue[] = [], field: string, at: At): Record<string, string> {
  const entries = headers.map(({ name, value }, index): [string, string] => {
    const inside = at.item(field, index);
    return [headerName(name, inside.field('name')), headerValue(value, inside.field('value'))];
  });
  const twice = entries.findIndex(([name], index) => entries.some(([other], before) => before < index && other === name));
  if (twice !== -1)
    at.item(field, twice)
      .field('name')
      .reject(`${JSON.stringify(entries[twice]?.[0])} is listed twice`);
  return Object.fromEntries(entries);
}

export function encodeFault({ delay, abort }: FaultPolicy): Fault {
  return {
    ...(delay !== undefined && { delay }),
    ...(abort !== undefined && { abort: { percent: abort.percent, status: { $case: abort.status.kind, value: abort.status.code } } }),
  };
}

export function decodeFault({ delay, abort }: Fault, at: At): FaultPolicy {
  const delayAt = at.field('delay');
  return {
    ...(delay !== undefined && {
      delay: {
        percent: percentage(delay.percent, delayAt.field('percent')),
        delayMs: milliseconds(delay.delayMs, delayAt.field('delay_ms')),
      },
    }),
    ...(abort !== undefined && { abort: decodeAbort(abort, at.field('abort')) }),
  };
}

function decodeAbort({ percent, status }: NonNullable<Fault['abort']>, at: At): NonNullable<FaultPolicy['abort']> {
  const { $case: kind, value } = required(status, at.field('http'));
  const code = kind === 'http' ? within(value, 200, 599, at.field(kind)) : within(value, 1, 16, at.field(kind));
  return { percent: percentage(percent, at.field('percent')), status: { kind, code } };
}

export function encodeRateLimit({ requests, perMs, burst, by, match }: RouteRateLimit, at: At): LimitMessage {
  return {
    requests,
    perMs,
    burst,
    by: by.kind === 'header' ? { $case: 'header', value: by.name } : { $case: by.kind, value: {} },
    ...(match !== undefined && { match: encodeMatch(match, at.field('match')) }),
  };
}

export function decodeRateLimit(message: LimitMessage, at: At): RouteRateLimit {
  const by = required(message.by, at.field('by'));
  return {
    requests: within(message.requests, 1, UINT32_MAX, at.field('requests')),
    perMs: milliseconds(message.perMs, at.field('per_ms'), 1),
    burst: within(message.burst, 1, UINT32_MAX, at.field('burst')),
    by: by.$case === 'header' ? { kind: 'header', name: headerName(by.value, at.field('header')) } : { kind: by.$case },
    ...(message.match !== undefined && { match: decodeMatch(message.match, at.field('match')) }),
  };
}
