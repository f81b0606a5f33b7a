// The real Envoy as a client of the services beside ADS, with a configuration of its own: endpoints by single-type streams in both variants,
// and load reports.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import type { RunningControl } from '@heddle/control';
import {
  certificateOf,
  Cleanup,
  connectedProxies,
  control,
  LOOPBACK,
  meshOf,
  registerInstance,
  temporaryDirectory,
} from '../support/planes.ts';
import { waitFor } from '../support/wait.ts';
import { envoyProgram } from './support/envoy-program.ts';
import { loadsOf } from './support/grpc-xds.ts';
import { freePort } from '../support/ports.ts';
import { reason, start } from './support/programs.ts';

const found = await envoyProgram();
const skip = typeof found === 'string' ? false : reason(found.reason);
const cleanup = new Cleanup();
const NODE = 'envoy-by-hand';
after(() => cleanup.run());

/** Its clusters are named as the mesh names them, so that its reports count. */
function bootstrap(plane: RunningControl, rootsFile: string, ports: { readonly [name: string]: number }): string {
  const service = JSON.stringify({
    envoy_grpc: { cluster_name: 'control' },
    initial_metadata: [{ key: 'authorization', value: `Bearer ${plane.operatorToken}` }],
  });
  const api = (type: string): string => `api_type: ${type}, transport_api_version: V3, grpc_services: [${service}]`;
  const cluster = (name: string, type: string): string => `
    - name: outbound/default/${name}
      type: EDS
      connect_timeout: 1s
      eds_cluster_config: { eds_config: { resource_api_version: V3, api_config_source: { ${api(type)} } } }`;
  const listener = (name: string): string => `
    - name: ${name}
      address: { socket_address: { address: ${LOOPBACK}, port_value: ${ports[name]} } }
      filter_chains:
        - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: ${name}
                route_config: { virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: outbound/default/${name} } }] }] }
                http_filters: [{ name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }]`;
  return `
node: { id: ${NODE}, cluster: none }
cluster_manager: { load_stats_config: { ${api('GRPC')} } }
static_resources:
  listeners:${listener('one')}${listener('two')}
  clusters:${cluster('one', 'GRPC')}${cluster('two', 'DELTA_GRPC')}
    - name: control
      type: STATIC
      load_assignment: { cluster_name: control, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: ${LOOPBACK}, port_value: ${plane.port} } } } }] }] }
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: ${CONTROL_SERVER_NAME}
          common_tls_context:
            tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
            alpn_protocols: [h2]
            validation_context: { trusted_ca: { filename: ${rootsFile} } }
`;
}

test('Envoy follows endpoints on streams for that type alone, and reports its load', { skip }, async () => {
  const plane = await control(cleanup, {
    mesh: meshOf('mesh: hand\nservices:\n  one: { port: 8001 }\n  two: { port: 8002 }\n'),
    reportIntervalMs: 1_000,
  });
  const app = createServer((request, response) => response.writeHead(request.url === '/bad' ? 500 : 200).end('here'));
  await new Promise<void>((resolve) => app.listen(0, LOOPBACK, resolve));
  cleanup.add(() => app.close());
  const inbound = { address: LOOPBACK, port: (app.address() as AddressInfo).port };
  const directory = await temporaryDirectory(cleanup);
  const [rootsFile, file] = [join(directory, 'root.pem'), join(directory, 'envoy.yaml')];
  const ports = { one: await freePort(), two: await freePort() };
  await writeFile(rootsFile, plane.rootsPem);
  await writeFile(file, bootstrap(plane, rootsFile, ports));
  start(cleanup, found as string, ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning']);
  for (const service of ['one', 'two'] as const) {
    await registerInstance(cleanup, plane, await certificateOf(plane, service), { id: `${service}-1`, service, inbound });
    const status = (path: string): Promise<number> =>
      fetch(`http://${LOOPBACK}:${ports[service]}${path}`).then(
        (answer) => answer.status,
        () => 0,
      );
    await waitFor(`an answer of ${service}`, async () => (await status('/')) === 200);
    for (let call = 0; call < 5; call += 1) assert.equal(await status('/bad'), 500);
  }
  const streams = (await connectedProxies(plane)).map(({ node, service, flavour }) => `${node} ${service} ${flavour}`);
  assert.deepEqual(new Set(streams), new Set([`${NODE} EDS delta envoy`, `${NODE} EDS state of the world envoy`]));
  const seen = new Set<string>();
  await waitFor('its reports', async () => {
    for (const { source, destination, requestsPerSecond, errorsPerSecond, nodes } of await loadsOf(plane, NODE)) {
      assert.deepEqual([source, nodes], ['heddle-system/operator', [NODE]]);
      if (requestsPerSecond >= errorsPerSecond && errorsPerSecond > 0) seen.add(destination);
    }
    return seen.size === 2;
  });
});
