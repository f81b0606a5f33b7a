// One client's machine and one server's, a data plane on each, mutual TLS between them: client → near → far → server.
// With HEDDLE_INTEROP_DIRECT=1 local ports are those of the servers themselves: what fails then is no fault of the data plane.
import { connect } from 'node:net';
import type { BalanceAlgorithm, Protocol } from '@heddle/core';
import { type Cleanup, control, host, LOOPBACK, machine, meshOf, through, untilEndpoints, untilReady } from '../../support/planes.ts';
import { waitFor } from '../../support/wait.ts';

const DIRECT = process.env.HEDDLE_INTEROP_DIRECT === '1';

/** The `skip` of tests that make no sense without the data planes. */
export const skipDirect: string | false = DIRECT && 'HEDDLE_INTEROP_DIRECT=1: there is no proxy';

export interface Served {
  readonly protocol: Protocol;
  /** Where its instances listen. */
  readonly ports: readonly number[];
  /** Default: that of the mesh file. */
  readonly balance?: BalanceAlgorithm;
}

export interface Pair {
  /** The local port by which the client reaches the service. */
  port(service: string): number;
  /** The same as a URL. */
  url(service: string, path?: string): string;
  /** Name and port by which the service is known in the mesh. */
  authority(service: string): string;
  /** The near data plane's shared HTTP proxy. */
  readonly proxy: { readonly host: string; readonly port: number };
  /** The client's name at the shared proxy, to be sent by Basic authentication without a password. */
  readonly credential: string;
  /** Both as one URL. */
  readonly proxyUrl: string;
}

const SERVICE_PORT = 8000;

function meshYaml(services: readonly (readonly [string, Served])[]): string {
  const health = 'health: { interval: 500ms, timeout: 500ms }';
  const lines = services.map(
    ([name, { protocol, balance }], index) =>
      `  ${name}: { port: ${SERVICE_PORT + index}, protocol: ${protocol}, ${balance === undefined ? '' : `balance: ${balance}, `}${health} }`,
  );
  return ['mesh: interop', 'services:', `  client: { port: 80, ${health} }`, ...lines, ''].join('\n');
}

/** Hosts the services on the far machine, and on the near one a client that uses them all. Resolves when every service can be called. */
export async function startPair(cleanup: Cleanup, services: Readonly<Record<string, Served>>): Promise<Pair> {
  const entries = Object.entries(services);
  const authority = (service: string): string => {
    const index = entries.findIndex(([name]) => name === service);
    if (index === -1) throw new Error(`no service ${service}`);
    return `${service}.mesh.internal:${SERVICE_PORT + index}`;
  };
  if (DIRECT) {
    const port = (service: string): number => services[service]?.ports[0] ?? 0;
    const url = (service: string, path = '/'): string => `http://${LOOPBACK}:${port(service)}${path}`;
    return { port, url, authority, proxy: { host: LOOPBACK, port: 0 }, credential: '', proxyUrl: '' };
  }
  const plane = await control(cleanup, { mesh: meshOf(meshYaml(entries)) });
  const near = await machine(cleanup, plane, { node: 'near' });
  const far = await machine(cleanup, plane, { node: 'far' });
  for (const [name, { ports }] of entries) {
    for (const [index, port] of ports.entries()) await host(far, plane, `${name}-${index + 1}`, port);
  }
  const uses = entries.map(([name]) => name);
  const client = await host(near, plane, 'client-1', entries[0]?.[1].ports[0] ?? 0, { uses });
  await untilReady(near, far);
  for (const [name, { ports }] of entries) {
    const ids = ports.map((_, index) => `${name}-${index + 1}`).sort();
    await untilEndpoints(near, name, ids);
  }
  const port = (service: string): number => {
    const found = client.outbounds.find((outbound) => outbound.service.name === service);
    if (found === undefined) throw new Error(`the client has no local port for ${service}`);
    return found.listen.port;
  };
  const proxy = through(near);
  return {
    port,
    url: (service, path = '/') => `http://${LOOPBACK}:${port(service)}${path}`,
    authority,
    proxy,
    credential: client.proxyCredential,
    proxyUrl: `http://${client.proxyCredential}:@${proxy.host}:${proxy.port}`,
  };
}

/** For servers that are programs of their own: resolves when the port takes connections. */
export async function untilListening(port: number): Promise<void> {
  await waitFor(`a server on port ${port}`, () => {
    return new Promise<boolean>((resolve) => {
      const socket = connect(port, LOOPBACK, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
  });
}
