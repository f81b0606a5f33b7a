// Random traces and access logs of listeners.
import type { AccessLogPolicy, CollectorHeader, TracingPolicy } from '@heddle/core';
import fc from 'fast-check';
import { durationMs, headerText, partly, percent, record, text, token } from './arbitrary-values.ts';

const header: fc.Arbitrary<CollectorHeader> = fc.oneof(
  record<CollectorHeader>({ name: token, from: fc.constant('value'), text: headerText.filter((value) => value !== '') }),
  record<CollectorHeader>({ name: token, from: fc.constant('env'), text: fc.stringMatching(/^[A-Z]{1,5}_OTLP_[A-Z]{1,5}$/) }),
  record<CollectorHeader>({ name: token, from: fc.constant('file'), text: fc.stringMatching(/^\/[a-z]{1,9}$/) }),
);

export const tracing: fc.Arbitrary<TracingPolicy> = record<TracingPolicy>({
  collector: partly<TracingPolicy['collector']>(
    {
      url: fc.webUrl({ validSchemes: ['http', 'https'] }),
      headers: fc.array(header, { maxLength: 3 }),
      timeoutMs: durationMs,
      gzip: fc.constant(true),
    },
    'gzip',
  ),
  samplePercent: percent,
  attributes: fc.dictionary(text, fc.string(), { maxKeys: 3, noNullPrototype: true }).filter((map) => !Object.hasOwn(map, '__proto__')),
});

const status = fc.integer({ min: 100, max: 599 });

export const accessLog: fc.Arbitrary<AccessLogPolicy> = partly<AccessLogPolicy>(
  {
    format: fc.constantFrom('json', 'text'),
    to: fc.oneof(fc.constant('stdout'), fc.stringMatching(/^(\/[a-z]{1,9}){1,3}\.(log|jsonl)$/)),
    samplePercent: percent,
    restPercent: percent,
    statuses: fc.array(record({ from: status, to: status }), { minLength: 1, maxLength: 3 }),
    slowerThanMs: durationMs,
    errors: fc.constant(true),
    headers: fc.array(token, { maxLength: 3 }),
  },
  'statuses',
  'slowerThanMs',
  'errors',
);
