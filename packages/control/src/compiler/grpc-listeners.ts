// What gRPC clients ask for by `xds:///<name>`: a listener by each name of a service that takes requests, with and without its port. They are
// the same for all clients and never sent unasked: a gRPC client subscribes by name.
import type { ClientListener, Service } from '@heddle/core';
import { outboundName } from './names.ts';
import { carriesHttp } from './protocols.ts';
import { hostnamesOf } from './service-resources.ts';

/** By name. The route configuration is that of the service's local ports. */
export function compileClientListeners(services: Iterable<Service>): Map<string, ClientListener> {
  const listeners = new Map<string, ClientListener>();
  for (const [service, hosts] of hostnamesOf(services)) {
    if (!carriesHttp(service)) continue;
    for (const host of hosts) {
      for (const name of [host, `${host}:${service.port}`]) listeners.set(name, { name, routeConfigName: outboundName(service) });
    }
  }
  return listeners;
}
