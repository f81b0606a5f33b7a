// Routes of gRPC clients. The libraries know no CONNECT and take the time limit from `max_stream_duration` (gRFC A31). What the mesh repeats safely,
// a call that no application has seen, they repeat by themselves (gRFC A6); their UNAVAILABLE may mean that the connection broke in mid-call.
import type { RetryPolicy, Route, RouteConfig, VirtualHost } from '@heddle/core';
import type { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import type {
  RetryPolicy as RetryMessage,
  Route as RouteMessage,
  VirtualHost as VirtualHostMessage,
} from '../../../gen/foreign/envoy/config/route/v3/route_components.ts';
import { encodeDuration } from '../values.ts';

/** Undefined when nothing is left for requests. */
export function grpcRoutes({ name, virtualHosts }: RouteConfig): RouteConfiguration | undefined {
  const hosts = virtualHosts.flatMap(encodeHost);
  return hosts.length === 0 ? undefined : { name, virtualHosts: hosts };
}

function encodeHost({ name, domains, routes }: VirtualHost): VirtualHostMessage[] {
  const forRequests = routes.filter(({ connect }) => connect === undefined).map(encodeRoute);
  return forRequests.length === 0 ? [] : [{ name, domains: [...domains], routes: forRequests }];
}

function encodeRoute({ prefix, cluster, timeoutMs, retry }: Route): RouteMessage {
  const retryPolicy = encodeRetry(retry);
  return {
    match: { pathSpecifier: { $case: 'prefix', value: prefix } },
    action: {
      $case: 'route',
      value: {
        clusterSpecifier: { $case: 'cluster', value: cluster },
        ...(timeoutMs > 0 && { maxStreamDuration: { maxStreamDuration: encodeDuration(timeoutMs) } }),
        ...(retryPolicy !== undefined && { retryPolicy }),
      },
    },
  };
}

/** Only who allows tries after a reset allows what UNAVAILABLE stands for. A policy of 0 retries would be refused. */
function encodeRetry({ attempts, on }: RetryPolicy): RetryMessage | undefined {
  return attempts > 0 && on.includes('reset') ? { retryOn: 'unavailable', numRetries: attempts } : undefined;
}
