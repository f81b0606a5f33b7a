// Everything that the control plane answers on its gRPC port.
import type { Server } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import { addAdminService, type AdminServerOptions } from './admin-server/server.ts';
import { addDiscoveryServices } from './discovery-server/server.ts';
import { hostedIdentities, RotationDesk } from './ca/index.ts';
import { addIdentityService } from './identity-server/server.ts';
import { TrustWatchers } from './identity-server/trust-watchers.ts';
import type { ControlOptions } from './options.ts';
import type { ProxySource, TrafficSource } from './rest/sources.ts';
import type { OpenStreams } from './server/handlers.ts';
import type { ControlState } from './state.ts';
import { TelemetryDesk } from './telemetry/desk.ts';
import { addHealthDiscoveryService } from './xds-server/attached-health.ts';
import { AttachedInstances } from './xds-server/attached-instances.ts';
import { addClientStatusService } from './xds-server/csds.ts';
import { LoadServer, REPORT_INTERVAL_MS } from './xds-server/lrs.ts';
import { AdsServer } from './xds-server/server.ts';

export interface ServicesOptions extends Pick<AdminServerOptions, 'mesh' | 'version' | 'startedMs'> {
  readonly options: ControlOptions;
  readonly state: ControlState;
  readonly streams: OpenStreams;
  /** Bounded: callers can be wrong as often as they like. */
  readonly logger: Logger;
}

/** Returns what the REST API needs of it. */
export function addServices(
  grpc: Server,
  { options, state, streams, mesh, version, startedMs, logger: callLogger }: ServicesOptions,
  undo: (() => Promise<void> | void)[],
): { readonly proxies: ProxySource; readonly traffic: TrafficSource; readonly rotation: RotationDesk } {
  const { clock, logger } = options;
  const { authority, events, audit, registry, meshFile, tokens, adminTokens, logins, denials, lateRenewals } = state;
  const { rootsPem } = authority;
  const { trustDomain } = mesh;
  const attached = new AttachedInstances({ registry, clock, logger });
  const ads = new AdsServer({ registry, trustDomain, rootsPem, streams, events, attached, clock, logger });
  undo.push(() => ads.close());
  ads.addTo(grpc);
  const watchers = new TrustWatchers();
  const rotation = followTrust(ads, watchers, state, options, undo);
  const intervalMs = options.reportIntervalMs ?? REPORT_INTERVAL_MS;
  const telemetry = new TelemetryDesk({ registry, streams, events, anomalies: options.anomalies, clock, logger, intervalMs });
  undo.push(() => telemetry.close());
  telemetry.addTo(grpc);
  const loads = new LoadServer({ registry, streams, table: telemetry.loads, book: telemetry.book, clock, logger, intervalMs });
  loads.addTo(grpc);
  const proxies = proxySource(ads, loads, telemetry);
  addClientStatusService(grpc, { ...proxies, streams, logger });
  addHealthDiscoveryService(grpc, { registry, attached, streams, logger });
  addDiscoveryServices(grpc, { registry, audit, drains: ads.drains, streams, clock, logger: callLogger });
  const ttl = options.certificateTtlMs === undefined ? {} : { ttlMs: options.certificateTtlMs };
  addIdentityService(grpc, { authority, tokens, denials, lateRenewals, events, streams, watchers, clock, logger, ...ttl });
  addAdminService(grpc, {
    ...{
      mesh,
      version,
      startedMs,
      registry,
      meshFile,
      tokens,
      adminTokens,
      logins,
      audit,
      ads,
      loads: proxies,
      traffic: telemetry,
      events,
      streams,
      clock,
      authority,
      denials,
      rotation,
    },
    logger: callLogger,
  });
  return { proxies, traffic: telemetry, rotation };
}

/** Data planes are told whom to trust, and whom not, as soon as that changes; the replacement of the root waits for them. */
function followTrust(
  ads: AdsServer,
  watchers: TrustWatchers,
  { authority, denials, registry, events }: ControlState,
  { clock, logger, mesh }: ControlOptions,
  undo: (() => Promise<void> | void)[],
): RotationDesk {
  const tell = (): void => ads.setTrust(authority.rootsPem, denials.stored);
  tell();
  const subscriptions = [authority.onChange(tell), denials.onChange(tell)];
  undo.push(() => subscriptions.forEach((one) => one.close()));
  const rotation = new RotationDesk({
    ...{ authority, events, clock, logger },
    trust: () => ads.trustProgress(),
    inFiles: () => watchers.identities,
    hosted: (nodes) => hostedIdentities(nodes, (node) => registry.instancesOfNode(node), mesh.trustDomain),
  });
  undo.push(() => rotation.close());
  authority.follow({
    haveAll: () => ads.trustProgress().stragglers.length === 0,
    tell: (message) => events.record('root-rotation', 'mesh', message),
  });
  return rotation;
}

function proxySource(ads: AdsServer, loads: LoadServer, { server }: TelemetryDesk): ProxySource {
  return {
    drains: ads.drains,
    proxies: () => ads.proxies(),
    onProxiesChange: (listener) => ads.onProxiesChange(listener),
    reported: (proxy) => server.reported(proxy.identity, proxy.node) ?? loads.reported(proxy),
    processOf: (proxy) => server.processOf(proxy.identity, proxy.node),
    loads: (node) => loads.loads(node),
  };
}
