// Listeners of gRPC libraries. A client's has no address: it says where the routes are (gRFC A27). A server's is an instance's way in, served by
// the application itself, which ends mutual TLS with the certificate of its own files (gRFC A36, A29).
import type { ClientListener, Listener } from '@heddle/core';
import { TrafficDirection } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import { ApiVersion, type ConfigSource } from '../../../gen/foreign/envoy/config/core/v3/config_source.ts';
import type { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import { Router } from '../../../gen/foreign/envoy/extensions/filters/http/router/v3/router.ts';
import {
  HttpConnectionManager,
  type HttpFilter,
} from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { pack } from '../strict.ts';
import { encodeAddress } from '../values.ts';
import { faultFilter } from './envoy-filters.ts';
import type { At } from '../rejection.ts';
import { grpcAccessFilters } from './grpc-access.ts';
import { grpcDownstreamTls } from './grpc-tls.ts';
import { type EncodeOptions, tellPolicy } from './options.ts';

const HTTP_FILTER_NAME = 'envoy.filters.network.http_connection_manager';
const ROUTER_NAME = 'envoy.filters.http.router';

type RouteSpecifier = HttpConnectionManager['routeSpecifier'];

/** "Get it on this stream." */
export function fromAds(): ConfigSource {
  return { configSourceSpecifier: { $case: 'ads', value: {} }, resourceApiVersion: ApiVersion.V3 };
}

export function grpcClientListener({ name, routeConfigName }: ClientListener): ListenerMessage {
  return {
    name,
    apiListener: { apiListener: manager(name, { $case: 'rds', value: { configSource: fromAds(), routeConfigName } }, [faultFilter()]) },
  };
}

/** Undefined for listeners that a gRPC library has no use for: it calls services by their names, not by local ports. */
export function grpcServerListener(
  { name, direction, address, port, tls, filter }: Listener,
  options: EncodeOptions,
  at: At,
): ListenerMessage | undefined {
  if (direction === 'outbound' || filter.kind !== 'http') return undefined;
  const filters = accessFilters(name, filter.routeConfigName, options, at);
  // Every call is for the application that serves it: nothing is forwarded.
  const routes = [
    { match: { pathSpecifier: { $case: 'prefix' as const, value: '/' } }, action: { $case: 'nonForwardingAction' as const, value: {} } },
  ];
  const inline: RouteSpecifier = { $case: 'routeConfig', value: { name, virtualHosts: [{ name, domains: ['*'], routes }] } };
  return {
    name,
    address: encodeAddress(address, port),
    filterChains: [
      {
        name,
        filters: [{ name: HTTP_FILTER_NAME, configType: { $case: 'typedConfig', value: manager(name, inline, filters) } }],
        ...(tls !== undefined && { transportSocket: grpcDownstreamTls(tls, name) }),
      },
    ],
    trafficDirection: TrafficDirection.INBOUND,
  };
}

/** Of the one virtual host that a way in has. */
function accessFilters(listener: string, routes: string, options: EncodeOptions, at: At): HttpFilter[] {
  const hosts = options.routeConfig?.(routes)?.virtualHosts ?? [];
  if (hosts.length > 1) at.reject(`has ${hosts.length} virtual hosts; a gRPC library knows the access rules of one`);
  const tell = (what: string, reason: string): void => tellPolicy(options, listener, what, at, reason);
  const { access, tokens } = hosts[0] ?? {};
  return grpcAccessFilters({ access, tokens, denied: options.denied ?? [] }, tell);
}

function manager(
  statPrefix: string,
  routeSpecifier: RouteSpecifier,
  filters: readonly HttpFilter[],
): { typeUrl: string; value: Uint8Array } {
  // gRFC A39: the router must be named, and be the last.
  const httpFilters = [...filters, { name: ROUTER_NAME, configType: { $case: 'typedConfig' as const, value: pack(Router, {}) } }];
  return pack(HttpConnectionManager, { statPrefix, routeSpecifier, httpFilters });
}
