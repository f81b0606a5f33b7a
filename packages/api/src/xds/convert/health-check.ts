// An instance's liveness check as Envoy's active health check.
import type { HealthCheckPolicy } from '@heddle/core';
import type { HealthCheck } from '../../gen/envoy/envoy/config/core/v3/health_check.ts';
import type { At } from './rejection.ts';
import { decodePositiveDuration, encodeDuration, requiredText } from './values.ts';

/** Any 2xx passes; Envoy's own default is 200 alone. Half-open, as Int64Range is. */
const PASSING = { start: 200, end: 300 };

export function encodeHealthCheck(policy: HealthCheckPolicy): HealthCheck {
  return {
    timeout: encodeDuration(policy.timeoutMs),
    interval: encodeDuration(policy.intervalMs),
    unhealthyThreshold: policy.unhealthyAfter,
    healthyThreshold: policy.healthyAfter,
    healthChecker:
      policy.kind === 'http'
        ? { $case: 'httpHealthCheck', value: { path: policy.path, expectedStatuses: [{ ...PASSING }] } }
        : { $case: 'tcpHealthCheck', value: {} },
  };
}

export function decodeHealthCheck(message: HealthCheck, at: At): HealthCheckPolicy {
  const times = {
    intervalMs: decodePositiveDuration(message.interval, at.field('interval')),
    timeoutMs: decodePositiveDuration(message.timeout, at.field('timeout')),
    unhealthyAfter: threshold(message.unhealthyThreshold, at.field('unhealthy_threshold')),
    healthyAfter: threshold(message.healthyThreshold, at.field('healthy_threshold')),
  };
  const checker = message.healthChecker;
  if (checker === undefined) return at.reject('only http_health_check and tcp_health_check are supported');
  if (checker.$case === 'tcpHealthCheck') return { kind: 'tcp', ...times };
  const inside = at.field('http_health_check');
  const [statuses, ...others] = checker.value.expectedStatuses ?? [];
  if (statuses?.start !== PASSING.start || statuses.end !== PASSING.end || others.length > 0) {
    inside.field('expected_statuses').reject('only [200, 300) is supported');
  }
  const path = requiredText(checker.value.path, inside.field('path'));
  if (!path.startsWith('/')) inside.field('path').reject(`must begin with '/', not ${JSON.stringify(path)}`);
  return { kind: 'http', path, ...times };
}

function threshold(value: number | undefined, at: At): number {
  return value === undefined || value < 1 ? at.reject('must be at least 1') : value;
}
