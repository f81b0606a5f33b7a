// A service as the registry keeps it: the schema of its record, which is the model's Service field by field.
import { VIRTUAL_NETWORK, isVirtualAddress, metadataProblem, portsProblem } from '@heddle/core';
import type { AttributeProblem, EgressHost, Service } from '@heddle/core';
import { z } from 'zod';
import { NAME_FORM } from '../registry/keys.ts';
import {
  AdaptiveConcurrency,
  Balance,
  Breaker,
  HashSources,
  HealthCheck,
  Hedge,
  Outlier,
  Retry,
  RetryBudget,
  Session,
  duration,
} from './policies.ts';
import { RateLimits, TrafficRules } from './rules.ts';
import { MtlsMode } from './security.ts';
import { ServiceTelemetryRecord } from './telemetry.ts';

const NAME_RULE = 'is not a name: 1 to 63 letters, digits, dots, dashes and underscores, a letter or digit at both ends';
const name = () => z.string().regex(NAME_FORM, NAME_RULE);
const port = () => z.int().min(1).max(65_535);
export const PROTOCOLS = ['http', 'http2', 'grpc', 'tcp', 'tls', 'auto'] as const;

/** What says how requests to a service are treated: of the record as of the REST API. */
export const POLICIES = {
  health: HealthCheck,
  balance: Balance,
  timeoutMs: duration().meta({ description: 'Time for a whole request, retries included; 0: no limit.' }),
  connectTimeoutMs: duration(1),
  idleTimeoutMs: duration().meta({ description: "Without a byte in either direction; 0: the data plane's own limit." }),
  retry: Retry,
  retryBudget: RetryBudget,
  hedge: Hedge.optional(),
  breaker: Breaker,
  adaptiveConcurrency: AdaptiveConcurrency.optional(),
  outlier: Outlier.optional().meta({ description: 'Absent: callers eject nothing by themselves.' }),
  hash: HashSources,
  session: Session.optional(),
  rateLimits: RateLimits,
  rules: TrafficRules,
} as const;

export type PolicyName = keyof typeof POLICIES;

export const ServiceRecord: z.ZodType<Service> = z.strictObject({
  namespace: name(),
  name: name(),
  port: port(),
  protocol: z.enum(PROTOCOLS),
  labels: z.record(z.string(), z.string()).refine((labels) => Object.keys(labels).length <= 256, 'has more than 256 entries'),
  metadata: z.record(z.string(), z.string()).superRefine(attributes(metadataProblem)),
  ports: z.record(z.string(), z.number()).superRefine(attributes(portsProblem)),
  mtls: MtlsMode.optional(),
  telemetry: ServiceTelemetryRecord.optional(),
  ...POLICIES,
  virtualAddress: z.string().refine(isVirtualAddress, `is not one of ${VIRTUAL_NETWORK}`).optional(),
});

export const EgressRecord: z.ZodType<EgressHost> = z.strictObject({
  host: z.string().min(1).max(253),
  port: port(),
  protocol: z.enum(['http', 'https', 'tcp']),
});

function attributes(problem: (entries: [string, unknown][]) => AttributeProblem | undefined) {
  return (value: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void => {
    const found = problem(Object.entries(value));
    if (found === undefined) return;
    context.addIssue({ code: 'custom', message: found.rule, path: found.key === undefined ? [] : [found.key] });
  };
}
