// What `telemetry` means.
import { isAbsolute, join } from 'node:path';
import type {
  AccessLogChoice,
  AccessLogPolicy,
  CollectorHeader,
  ServiceTelemetry,
  StatusRange,
  TelemetryConfig,
  TracingPolicy,
} from '../../model/telemetry.ts';
import type { Path } from '../fault.ts';
import type { ServiceTelemetryOutput, TelemetryOutput } from '../schema/telemetry.ts';
import { listAt, milliseconds, percentOf, textsAt, type TextOf } from './values.ts';

const TRACES_PATH = '/v1/traces';
export const STDOUT = 'stdout';

export type TelemetryScope = { readonly directory: string; readonly textOf: TextOf };

/** @param path of the map. */
export function buildTelemetry({ tracing, accessLog, prometheus }: TelemetryOutput, scope: TelemetryScope, path: Path): TelemetryConfig {
  return {
    ...(tracing && { tracing: buildTracing(tracing, scope, [...path, 'tracing']) }),
    ...(accessLog && { accessLog: buildLog(accessLog, scope) }),
    ...(prometheus !== undefined && { prometheus: prometheus.replace(/\/+$/, '') }),
  };
}

export function buildServiceTelemetry({ tracing, accessLog }: ServiceTelemetryOutput): ServiceTelemetry {
  return {
    ...(tracing && { samplePercent: percentOf(tracing.sample) }),
    ...(accessLog && { accessLog: buildChoice(accessLog) }),
  };
}

function buildTracing(input: NonNullable<TelemetryOutput['tracing']>, scope: TelemetryScope, path: Path): TracingPolicy {
  const { otlp, sample, headers = {}, attributes, timeout, gzip } = input;
  return {
    collector: {
      url: tracesUrl(otlp),
      headers: Object.entries(headers).map(([name, value]) => buildHeader(name.toLowerCase(), value, scope)),
      timeoutMs: milliseconds(timeout),
      ...(gzip && { gzip }),
    },
    samplePercent: percentOf(sample),
    attributes: textsAt(attributes, scope.textOf, [...path, 'attributes']),
  };
}

/** As OpenTelemetry has it: what is given is the base of all signals. */
function tracesUrl(otlp: string): string {
  const url = new URL(otlp);
  const path = url.pathname.replace(/\/+$/, '');
  url.pathname = path.endsWith(TRACES_PATH) ? path : path + TRACES_PATH;
  return url.href;
}

type HeaderInput = NonNullable<NonNullable<TelemetryOutput['tracing']>['headers']>[string];

function buildHeader(name: string, value: HeaderInput, scope: TelemetryScope): CollectorHeader {
  if (typeof value === 'string') return { name, from: 'value', text: value };
  if (value.env !== undefined) return { name, from: 'env', text: value.env };
  return { name, from: 'file', text: absolute(value.file as string, scope) };
}

function buildLog(input: NonNullable<TelemetryOutput['accessLog']>, scope: TelemetryScope): AccessLogPolicy {
  const { format, to, headers } = input;
  return {
    format,
    to: to === STDOUT ? to : absolute(to, scope),
    ...buildChoice(input),
    headers: headers.map((name) => name.toLowerCase()),
  };
}

function buildChoice(input: NonNullable<ServiceTelemetryOutput['accessLog']>): AccessLogChoice {
  const { sample, rest, status, slowerThan, errors } = input;
  return {
    samplePercent: percentOf(sample),
    restPercent: rest === undefined ? 0 : percentOf(rest),
    ...(status !== undefined && { statuses: listAt<string | number>(status, []).map(({ item }) => statusRange(item)) }),
    ...(slowerThan !== undefined && { slowerThanMs: milliseconds(slowerThan) }),
    ...(errors === true && { errors }),
  };
}

/** Of a status that is known to be one. */
export function statusRange(status: string | number): StatusRange {
  const [first = '', last = first] = String(status).split('-');
  return { from: Number(first.replace('xx', '00')), to: Number(last.replace('xx', '99')) };
}

function absolute(file: string, { directory }: TelemetryScope): string {
  return isAbsolute(file) ? file : join(directory, file);
}
