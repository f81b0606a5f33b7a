// An instance's liveness check as Envoy's active health check.
import type { HealthCheckPolicy } from '@heddle/core';
import type { HealthCheck } from '../../gen/envoy/envoy/config/core/v3/health_check.ts';
import type { Int64Range } from '../../gen/envoy/envoy/type/v3/range.ts';
import type { At } from './rejection.ts';
import { decodePositiveDuration, encodeDuration, requiredText } from './values.ts';

/** Any 2xx passes; Envoy's own default is 200 alone. Half-open, as Int64Range is. */
const PASSING = { start: 200, end: 300 };
const STATUS_MIN = 100;
const STATUS_MAX = 599;

export function encodeHealthCheck(policy: HealthCheckPolicy): HealthCheck {
  return {
    timeout: encodeDuration(policy.timeoutMs),
    interval: encodeDuration(policy.intervalMs),
    unhealthyThreshold: policy.unhealthyAfter,
    healthyThreshold: policy.healthyAfter,
    ...(policy.port !== undefined && { altPort: policy.port }),
    healthChecker: encodeChecker(policy),
  };
}

function encodeChecker({ kind, path, statuses, grpcService }: HealthCheckPolicy): NonNullable<HealthCheck['healthChecker']> {
  if (kind === 'tcp') return { $case: 'tcpHealthCheck', value: {} };
  if (kind === 'grpc') return { $case: 'grpcHealthCheck', value: { serviceName: grpcService ?? '' } };
  const expectedStatuses = statuses?.map(([from, to]) => ({ start: from, end: to + 1 })) ?? [{ ...PASSING }];
  return { $case: 'httpHealthCheck', value: { path, expectedStatuses } };
}

export function decodeHealthCheck(message: HealthCheck, at: At): HealthCheckPolicy {
  const { altPort } = message;
  if (altPort !== undefined && (altPort < 1 || altPort > 65_535)) at.field('alt_port').reject(`${altPort} is not a port`);
  const rest = {
    ...(altPort !== undefined && { port: altPort }),
    intervalMs: decodePositiveDuration(message.interval, at.field('interval')),
    timeoutMs: decodePositiveDuration(message.timeout, at.field('timeout')),
    unhealthyAfter: threshold(message.unhealthyThreshold, at.field('unhealthy_threshold')),
    healthyAfter: threshold(message.healthyThreshold, at.field('healthy_threshold')),
  };
  const checker = message.healthChecker;
  if (checker === undefined) return at.reject('only http_health_check, grpc_health_check and tcp_health_check are supported');
  if (checker.$case === 'tcpHealthCheck') return { kind: 'tcp', ...rest };
  if (checker.$case === 'grpcHealthCheck') return { kind: 'grpc', grpcService: checker.value.serviceName ?? '', ...rest };
  const inside = at.field('http_health_check');
  const statuses = decodeStatuses(checker.value.expectedStatuses ?? [], inside);
  const path = requiredText(checker.value.path, inside.field('path'));
  if (!path.startsWith('/')) inside.field('path').reject(`must begin with '/', not ${JSON.stringify(path)}`);
  return { kind: 'http', path, ...(statuses !== undefined && { statuses }), ...rest };
}

/** Undefined: any 2xx. */
function decodeStatuses(ranges: readonly Int64Range[], at: At): NonNullable<HealthCheckPolicy['statuses']> | undefined {
  // Envoy's default.
  if (ranges.length === 0) return [[200, 200]];
  if (ranges.length === 1 && ranges[0]?.start === PASSING.start && ranges[0].end === PASSING.end) return undefined;
  return ranges.map(({ start = 0, end = 0 }, index) => {
    if (start < STATUS_MIN || end > STATUS_MAX + 1 || start >= end)
      at.item('expected_statuses', index).reject(`[${start}, ${end}) is not a range within [${STATUS_MIN}, ${STATUS_MAX + 1})`);
    return [start, end - 1] as const;
  });
}

function threshold(value: number | undefined, at: At): number {
  return value === undefined || value < 1 ? at.reject('must be at least 1') : value;
}
