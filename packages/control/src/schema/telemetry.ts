// What is told of requests, as a schema of the registry's record. Secrets are not in it: it names where the data planes have them.
import type { ServiceTelemetry, TelemetryConfig } from '@heddle/core';
import { z } from 'zod';
import { duration, token } from './policies.ts';

const text = () => z.string().max(4_096);
const percent = () => z.number().min(0).max(100);

const choiceFields = {
  samplePercent: percent(),
  restPercent: percent(),
  statuses: z
    .array(z.strictObject({ from: z.int().min(100).max(599), to: z.int().min(100).max(599) }))
    .min(1)
    .max(64)
    .optional(),
  slowerThanMs: duration(1).optional(),
  errors: z.literal(true).optional(),
};

const Tracing = z.strictObject({
  collector: z.strictObject({
    url: z.url().max(4_096),
    headers: z.array(z.strictObject({ name: token(), from: z.enum(['value', 'env', 'file']), text: text() })).max(64),
    timeoutMs: duration(1),
    gzip: z.literal(true).optional(),
  }),
  samplePercent: percent(),
  attributes: z.record(z.string(), text()),
});

const AccessLog = z.strictObject({ format: z.enum(['json', 'text']), to: text(), ...choiceFields, headers: z.array(token()).max(64) });

export const TelemetryRecord: z.ZodType<TelemetryConfig> = z.strictObject({
  tracing: Tracing.optional(),
  accessLog: AccessLog.optional(),
  prometheus: z.url().max(4_096).optional(),
});

export const ServiceTelemetryRecord: z.ZodType<ServiceTelemetry> = z.strictObject({
  samplePercent: percent().optional(),
  accessLog: z.strictObject(choiceFields).optional(),
});
