// Traces and access logs of a listener: heddle.config.v1.ListenerExtension.
import { COLLECTOR_VARIABLE, LOG_FILE_PATTERN } from '@heddle/core';
import type { AccessLogPolicy, CollectorHeader, HttpFilter, TracingPolicy } from '@heddle/core';
import {
  type AccessLog,
  type CollectorHeader as HeaderMessage,
  type ListenerExtension,
  LogFormat,
  type Tracing,
} from '../../gen/own/heddle/config/v1/telemetry.ts';
import { headerName, headerValue, listed, milliseconds, percentage, within, words } from './extension.ts';
import type { At } from './rejection.ts';
import { required, requiredText } from './values.ts';

export type ListenerTelemetry = Pick<HttpFilter, 'tracing' | 'accessLog'>;

const FORMATS = words<AccessLogPolicy['format'], LogFormat>({ json: LogFormat.LOG_FORMAT_JSON, text: LogFormat.LOG_FORMAT_TEXT });
const STDOUT = 'stdout';

export function encodeListenerExtension({ tracing, accessLog }: ListenerTelemetry, at: At): ListenerExtension {
  return {
    ...(tracing && { tracing: encodeTracing(tracing) }),
    ...(accessLog && { accessLog: encodeLog(accessLog, at.field('access_log')) }),
  };
}

function encodeTracing({ collector, samplePercent, attributes }: TracingPolicy): Tracing {
  const { url, headers, timeoutMs, gzip } = collector;
  return {
    collector: {
      url,
      headers: headers.map(({ name, from, text }): HeaderMessage => ({ name, source: { $case: from, value: text } })),
      timeoutMs,
      ...(gzip === true && { gzip }),
    },
    samplePercent,
    attributes: { ...attributes },
  };
}

function encodeLog(log: AccessLogPolicy, at: At): AccessLog {
  const { format, to, samplePercent, restPercent, statuses, slowerThanMs, errors, headers } = log;
  return {
    format: FORMATS.toWire[format],
    to,
    samplePercent,
    restPercent,
    statuses: [...listed(statuses, at.field('statuses'))],
    ...(slowerThanMs !== undefined && { slowerThanMs: milliseconds(slowerThanMs, at.field('slower_than_ms'), 1) }),
    ...(errors === true && { errors }),
    headers: [...headers],
  };
}

export function decodeListenerExtension({ tracing, accessLog }: ListenerExtension, at: At): ListenerTelemetry {
  return {
    ...(tracing && { tracing: decodeTracing(tracing, at.field('tracing')) }),
    ...(accessLog && { accessLog: decodeLog(accessLog, at.field('access_log')) }),
  };
}

function decodeTracing({ collector, samplePercent, attributes = {} }: Tracing, at: At): TracingPolicy {
  const inside = at.field('collector');
  const { url, headers = [], timeoutMs, gzip } = required(collector, inside);
  return {
    collector: {
      url: collectorUrl(url, inside.field('url')),
      headers: headers.map((header, index) => decodeHeader(header, inside.item('headers', index))),
      timeoutMs: milliseconds(timeoutMs, inside.field('timeout_ms'), 1),
      ...(gzip === true && { gzip }),
    },
    samplePercent: percentage(samplePercent, at.field('sample_percent')),
    attributes: { ...attributes },
  };
}

function collectorUrl(text: string | undefined, at: At): string {
  const url = URL.parse(requiredText(text, at));
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    return at.reject(`${JSON.stringify(text)} is not a URL with http or https`);
  if (url.username !== '' || url.password !== '') at.reject('must not have credentials in it');
  return text as string;
}

function decodeHeader({ name, source }: HeaderMessage, at: At): CollectorHeader {
  const from = required(source, at.field('source'));
  const text = requiredText(from.value, at.field(from.$case));
  if (from.$case === 'env' && !COLLECTOR_VARIABLE.test(text))
    at.field('env').reject(`${JSON.stringify(text)} has neither OTLP nor OTEL in its name`);
  return {
    name: headerName(name, at.field('name')),
    from: from.$case,
    text: from.$case === 'value' ? headerValue(text, at.field('value')) : text,
  };
}

function decodeLog(message: AccessLog, at: At): AccessLogPolicy {
  const { statuses = [], slowerThanMs = 0, errors, headers = [] } = message;
  const to = requiredText(message.to, at.field('to'));
  if (to !== STDOUT && !LOG_FILE_PATTERN.test(to))
    at.field('to').reject(`${JSON.stringify(to)} is neither stdout nor an absolute path that ends in .log or .jsonl`);
  return {
    format: FORMATS.fromWire(message.format, at.field('format')),
    to,
    samplePercent: percentage(message.samplePercent, at.field('sample_percent')),
    restPercent: percentage(message.restPercent, at.field('rest_percent')),
    ...(statuses.length > 0 && {
      statuses: statuses.map(({ from, to: last }, index) => ({
        from: within(from, 100, 599, at.item('statuses', index).field('from')),
        to: within(last, 100, 599, at.item('statuses', index).field('to')),
      })),
    }),
    ...(slowerThanMs > 0 && { slowerThanMs }),
    ...(errors === true && { errors }),
    headers: headers.map((name, index) => headerName(name, at.item('headers', index))),
  };
}
