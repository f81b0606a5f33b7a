// The registry's model as the REST API tells it. Nothing is copied that is only read: inner objects are the registry's own.
import type { LoggedEvent } from '../events/log.ts';
import { stateHash } from '@heddle/api';
import { serviceHostnames } from '@heddle/core';
import type { Instance, ProcessFacts, Service as ModelService, SocketAddress } from '@heddle/core';
import { countHealth } from '../admin/health-counts.ts';
import type { DrainProgress } from '../drain/barrier.ts';
import type { ServiceView } from '../registry/view.ts';
import { POLICIES } from '../schema/service.ts';
import type { PolicyName } from '../schema/service.ts';
import type { ConnectedProxy, ReportedState } from '../xds-server/applied.ts';
import type { Event } from './schema/events.ts';
import type { ProxySource } from './sources.ts';
import type { DrainProgress as RestDrainProgress, Instance as RestInstance } from './schema/instances.ts';
import type { Proxy, ScrapeTargets } from './schema/proxies.ts';
import type { Service, ServiceDetail } from './schema/services.ts';

export function presentService({ service, instances }: ServiceView): Service {
  const { namespace, name, port, protocol, mtls, labels, metadata, ports, virtualAddress } = service;
  return {
    namespace,
    name,
    port,
    protocol,
    ...(virtualAddress === undefined ? {} : { virtualAddress }),
    ...(mtls === undefined ? {} : { mtls }),
    labels,
    metadata,
    ports,
    instances: countHealth(instances),
  };
}

export function presentServiceDetail(view: ServiceView, revision: number): ServiceDetail {
  return {
    ...presentService(view),
    revision,
    hostnames: serviceHostnames(view.service),
    endpoints: view.instances.map(({ id, inbound, health: verdict, weight, version, labels, locality }) => ({
      instance: id,
      inbound,
      health: verdict,
      weight,
      version,
      labels,
      ...(locality === undefined ? {} : { locality }),
    })),
    ...policiesOf(view.service),
  };
}

function policiesOf(service: ModelService): Pick<ModelService, PolicyName> {
  const names = Object.keys(POLICIES) as PolicyName[];
  return Object.fromEntries(names.filter((name) => service[name] !== undefined).map((name) => [name, service[name]])) as Pick<
    ModelService,
    PolicyName
  >;
}

export function presentInstance(instance: Instance): RestInstance {
  const { service, id, health, healthReason, node, inbound, application, outbounds, version, labels, metadata, ports, weight } = instance;
  return {
    namespace: service.namespace,
    service: service.name,
    instance: id,
    health,
    healthReason,
    node,
    inbound,
    application,
    outbounds: outbounds.map(({ service: target, listen }) => ({ namespace: target.namespace, service: target.name, listen })),
    version,
    labels,
    metadata,
    ports,
    ...(instance.locality === undefined ? {} : { locality: instance.locality }),
    weight,
    revision: instance.revision,
  };
}

/** The JSON of what was asked for before: services and instances are not changed but replaced, and many ask for the same. */
const texts = new WeakMap<object, string>();

export function serviceText(view: ServiceView): string {
  return textOf(view, presentService);
}

export function instanceText(instance: Instance): string {
  return textOf(instance, presentInstance);
}

function textOf<T extends object>(item: T, present: (item: T) => unknown): string {
  const known = texts.get(item);
  if (known !== undefined) return known;
  const text = JSON.stringify(present(item));
  texts.set(item, text);
  return text;
}

/** A data plane with several streams is one target, and so are several that say they are at the same place: the one that came last is. */
export function scrapeTargets(connected: readonly Pick<ConnectedProxy, 'node' | 'admin' | 'connectedMs'>[]): ScrapeTargets {
  const nodes = new Map<string, string>();
  for (const { node, admin } of connected.toSorted((a, b) => a.connectedMs - b.connectedMs))
    if (admin !== undefined) nodes.set(authorityOf(admin), node);
  return [...nodes].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([target, node]) => ({ targets: [target], labels: { node } }));
}

function authorityOf({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Data planes as they are listed; `id` tells connections of the same node apart. */
export function presentProxies(source: Pick<ProxySource, 'proxies' | 'reported' | 'processOf'>): Proxy[] {
  const seen = new Map<string, number>();
  return source.proxies().map((connected) => {
    const id = `${connected.node}@${connected.connectedMs}`;
    const twins = seen.get(id) ?? 0;
    seen.set(id, twins + 1);
    return presentProxy(twins === 0 ? id : `${id}.${twins}`, connected, source.reported(connected), source.processOf(connected));
  });
}

function presentProxy(
  id: string,
  connected: ConnectedProxy,
  reported: ReportedState | undefined,
  process: ProcessFacts | undefined,
): Proxy {
  const { node, identity, flavour, userAgent, service, connectedMs } = connected;
  const sync = connected.sync.map((state): Proxy['sync'][number] => ({
    kind: state.kind,
    state: state.rejection !== '' ? 'rejected' : state.sentVersion === state.ackedVersion ? 'in sync' : 'behind',
    resources: state.sentResources,
    sentVersion: state.sentVersion,
    ackedVersion: state.ackedVersion,
    acked: state.ackedMs === 0 ? null : time(state.ackedMs),
    rejection: state.rejection,
    behindSince: state.behindSinceMs === 0 ? null : time(state.behindSinceMs),
    heldHash: state.heldHash,
    givenHash: state.givenHash,
  }));
  return {
    id,
    node,
    identity,
    flavour,
    userAgent,
    service,
    connected: time(connectedMs),
    heldHash: stateHash(connected.sync.map(({ kind, heldHash }) => ({ kind, hash: heldHash }))),
    givenHash: stateHash(connected.sync.map(({ kind, givenHash }) => ({ kind, hash: givenHash }))),
    reported: reported === undefined ? null : { hash: reported.hash, time: time(reported.ms) },
    process: process ?? null,
    inSync: sync.every(({ state }) => state === 'in sync'),
    sync,
  };
}

export function time(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

export function eventText(event: LoggedEvent): string {
  return textOf(event, ({ id, timeMs, kind, subject, message }): Event => ({ id, time: time(timeMs), kind, subject, message }));
}

export function presentDrain({ stragglers, ...progress }: DrainProgress): RestDrainProgress {
  return { ...progress, stragglers: stragglers.map((straggler) => ({ ...straggler })) };
}
