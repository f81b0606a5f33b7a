// The door to HDS, by which an Envoy is told what to check and reports what it found (envoy.service.health.v3). Reports come from peers: what
// comes out are plain verdicts.
import type { HealthCheckPolicy, SocketAddress } from '@heddle/core';
import type { Node } from '../gen/foreign/envoy/config/core/v3/base.ts';
import { HealthStatus } from '../gen/foreign/envoy/config/core/v3/health_check.ts';
import {
  type EndpointHealth,
  HealthCheckRequestOrEndpointHealthResponse,
  HealthCheckSpecifier,
} from '../gen/foreign/envoy/service/health/v3/hds.ts';
import { encodeHealthCheck } from '../xds/convert/health-check.ts';
import { encodeAddress, encodeDuration } from '../xds/convert/values.ts';
import { InvalidMessageError } from './invalid.ts';
import { bidiMethod } from './method.ts';

export type { HealthCheckRequestOrEndpointHealthResponse as HealthRequest, HealthCheckSpecifier };

const STREAM = bidiMethod(
  '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck',
  HealthCheckRequestOrEndpointHealthResponse,
  HealthCheckSpecifier,
);

/** For `Server.addService`. */
export const HealthDiscoveryService = { streamHealthCheck: STREAM } as const;

/** More endpoints are in no report: an Envoy checks the one application beside it. */
const ENDPOINTS_MAX = 100;

/** What one Envoy is to check: one application. `undefined`: nothing (any more). */
export function checkSpecifier(
  check: { readonly name: string; readonly policy: HealthCheckPolicy; readonly application: SocketAddress } | undefined,
  intervalMs: number,
): HealthCheckSpecifier {
  if (check === undefined) return { clusterHealthChecks: [], interval: encodeDuration(intervalMs) };
  const { name, policy, application } = check;
  // Envoy knows no other port for a check than that of the endpoint, and makes no gRPC checks for others: there it connects, and no more.
  const { port = application.port, grpcService: _, ...rest } = policy;
  const asked: HealthCheckPolicy = rest.kind === 'grpc' ? { ...rest, kind: 'tcp' } : rest;
  const { intervalMs: everyMs } = policy;
  return {
    clusterHealthChecks: [
      {
        clusterName: name,
        // No traffic goes through the cluster that Envoy makes for its checks, and then it would check once a minute only.
        healthChecks: [{ ...encodeHealthCheck(asked), noTrafficInterval: encodeDuration(everyMs) }],
        localityEndpoints: [{ locality: {}, endpoints: [{ address: encodeAddress(application.address, port) }] }],
      },
    ],
    interval: encodeDuration(intervalMs),
  };
}

/** `unanswered`: no answer within the time limit of the check. */
export type CheckResult = 'passing' | 'failing' | 'unanswered';

export type HealthReport =
  /** The first message of a stream: who will report. */
  | { readonly kind: 'hello'; readonly node: Node | undefined }
  /** Undefined: nothing is said about the application. */
  | { readonly kind: 'report'; readonly result: CheckResult | undefined };

/** `name`: as in the specifier. Throws InvalidMessageError. */
export function readHealthReport(message: HealthCheckRequestOrEndpointHealthResponse, name: string): HealthReport {
  const request = message.requestType;
  // So an Envoy reports that has nothing to check.
  if (request === undefined) return { kind: 'report', result: undefined };
  if (request.$case === 'healthCheckRequest') return { kind: 'hello', node: request.value.node };
  const clusters = request.value.clusterEndpointsHealth ?? [];
  const endpoints = clusters
    .filter(({ clusterName }) => clusterName === name)
    .flatMap(({ localityEndpointsHealth }) => (localityEndpointsHealth ?? []).flatMap(({ endpointsHealth }) => endpointsHealth ?? []));
  if (endpoints.length > ENDPOINTS_MAX)
    throw new InvalidMessageError('cluster_endpoints_health', `${endpoints.length} endpoints; at most ${ENDPOINTS_MAX} in one report`);
  return { kind: 'report', result: resultOf(endpoints[0]) };
}

function resultOf(endpoint: EndpointHealth | undefined): CheckResult | undefined {
  switch (endpoint?.healthStatus) {
    case HealthStatus.HEALTHY:
    case HealthStatus.DEGRADED:
      return 'passing';
    case HealthStatus.TIMEOUT:
      return 'unanswered';
    case HealthStatus.UNHEALTHY:
      return 'failing';
    default:
      return undefined;
  }
}
