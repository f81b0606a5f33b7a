// The text of an Envoy's bootstrap: only what it needs in order to find the control plane, from which everything else comes. YAML written by
// hand, because the comments are for the people who will read it; every value in it is JSON, which YAML contains.
import { isIP } from 'node:net';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import { controlPlaneId, formatSpiffeId, type Locality, type ServiceRef, TRUST_BUNDLE, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { HostPort } from '../options.ts';
import type { ExportControl } from './export.ts';
import { ENVOY_CERTIFICATE_FILE, ENVOY_ROOTS_FILE } from './identity-files.ts';

export interface EnvoyUse {
  readonly service: ServiceRef;
  readonly port: number;
}

export interface EnvoyBootstrapInput {
  readonly service: string;
  readonly namespace: string;
  readonly instance: string;
  readonly port: number;
  readonly inbound: HostPort;
  readonly uses: readonly EnvoyUse[];
  readonly outboundPort?: number;
  /** Absolute. */
  readonly identityDir: string;
  readonly adminPort: number;
  readonly instanceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly locality?: Locality;
  readonly weight: number;
  readonly control: ExportControl;
}

const LOOPBACK = '127.0.0.1';
const CONTROL_CLUSTER = 'heddle-control';
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
/** Of the whole process; beyond it connections are refused before memory is. */
const CONNECTIONS_MAX = 50_000;
/** Steps of one regular expression. Those of a mesh file have 1,000; what is put around them depends on lengths that the mesh bounds, too. */
const PROGRAM_SIZE_MAX = 32_767;

export function envoyBootstrap(input: EnvoyBootstrapInput): string {
  const { namespace, service, instance, adminPort, locality } = input;
  return `# Envoy for instance ${instance} of ${namespace}/${service}, written by \`heddle export envoy\`.
# Listeners, routes, clusters, endpoints and roots come from the control plane; here is only how to reach it.
# Beside this Envoy, on its machine, must run:
#   heddle identity watch --service ${service} --namespace ${namespace} --out ${input.identityDir}
node:
  id: ${json(`${instance}.${service}.${namespace}`)}
  cluster: ${json(`${namespace}/${service}`)}
${localityLines(locality)}  metadata:
    heddle:
      flavour: envoy
      # Where this Envoy finds cert.pem and key.pem: the private key stays on this machine.
      identityDir: ${json(input.identityDir)}
      # The instance is registered while Envoy is connected, and is healthy while its listeners work and the application passes its checks.
      instance:
${instanceLines(input)}
${outboundLines(input.outboundPort)}
admin:
  # Everybody who reaches it can stop Envoy: loopback only.
  address: { socket_address: { address: ${LOOPBACK}, port_value: ${adminPort} } }

dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services:
      - envoy_grpc: { cluster_name: ${CONTROL_CLUSTER} }
        # How soon it connects anew. The lease of the instance is 10 s long.
        retry_policy: { retry_back_off: { base_interval: 0.2s, max_interval: 1s } }
  lds_config: { ads: {}, resource_api_version: V3 }
  cds_config: { ads: {}, resource_api_version: V3 }

# Envoy checks the application as the control plane says, and reports to it.
hds_config:
  api_type: GRPC
  transport_api_version: V3
  grpc_services: [{ envoy_grpc: { cluster_name: ${CONTROL_CLUSTER} } }]

# How much it sends where: \`heddle get load\`.
cluster_manager:
  load_stats_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{ envoy_grpc: { cluster_name: ${CONTROL_CLUSTER} } }]

static_resources:
  clusters:
${controlCluster(input)}
${PROCESS_SETTINGS}`;
}

function localityLines(locality: Locality | undefined): string {
  if (locality === undefined) return '';
  const { region, zone, subZone } = locality;
  return `  locality: ${json({ region, zone, ...(subZone !== undefined && { sub_zone: subZone }) })}\n`;
}

function instanceLines(input: EnvoyBootstrapInput): string {
  const { service, namespace, instance, port, inbound, uses, instanceVersion, labels, locality, weight } = input;
  const fields: [string, unknown][] = [
    ['id', instance],
    ['service', service],
    ['namespace', namespace],
    ['inbound', { address: inbound.host, port: inbound.port }],
    ['application', { address: LOOPBACK, port }],
    ['outbounds', uses.map((use) => ({ service: use.service.name, namespace: use.service.namespace, address: LOOPBACK, port: use.port }))],
    ...(instanceVersion === undefined ? [] : [['version', instanceVersion] as [string, unknown]]),
    ...(labels === undefined ? [] : [['labels', labels] as [string, unknown]]),
    ...(locality === undefined ? [] : [['locality', locality] as [string, unknown]]),
    ['weight', weight],
    // Its health is what Envoy's checks say; without a first verdict it gets no calls.
    ['healthDiscovery', true],
  ];
  return fields.map(([name, value]) => `        ${name}: ${json(value)}`).join('\n');
}

function outboundLines(port: number | undefined): string {
  if (port === undefined) return '';
  return `      # HTTP proxy for every service of the mesh: HTTP_PROXY=http://${LOOPBACK}:${port}
      outboundProxy: ${json({ address: LOOPBACK, port })}
`;
}

function controlCluster({ control, identityDir }: EnvoyBootstrapInput): string {
  const endpoint = { endpoint: { address: { socket_address: { address: control.host, port_value: control.port } } } };
  const source = (file: string): string =>
    `{ path_config_source: { path: ${json(`${identityDir.replace(/\/+$/, '')}/${file}`)} }, resource_api_version: V3 }`;
  return `    - name: ${CONTROL_CLUSTER}
      type: ${isIP(control.host) === 0 ? 'STRICT_DNS' : 'STATIC'}
      connect_timeout: 5s
      load_assignment: ${json({ cluster_name: CONTROL_CLUSTER, endpoints: [{ lb_endpoints: [endpoint] }] })}
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": ${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config:
            http2_protocol_options:
              # A control plane that vanished without a word is noticed, and connected to anew.
              connection_keepalive: { interval: 10s, timeout: 5s }
      upstream_connection_options: { tcp_keepalive: { keepalive_time: 20, keepalive_interval: 5, keepalive_probes: 3 } }
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": ${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext
          sni: ${json(CONTROL_SERVER_NAME)}
          common_tls_context:
            tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
            alpn_protocols: [h2]
            # Read again whenever \`heddle identity watch\` has renewed them.
            tls_certificate_sds_secret_configs:
              - { name: ${WORKLOAD_CERTIFICATE}, sds_config: ${source(ENVOY_CERTIFICATE_FILE)} }
            combined_validation_context:
              default_validation_context:
                match_typed_subject_alt_names:
                  - { san_type: URI, matcher: { exact: ${json(formatSpiffeId(controlPlaneId(control.trustDomain)))} } }
              validation_context_sds_secret_config: { name: ${TRUST_BUNDLE}, sds_config: ${source(ENVOY_ROOTS_FILE)} }
`;
}

const PROCESS_SETTINGS = `
overload_manager:
  resource_monitors:
    - name: envoy.resource_monitors.global_downstream_max_connections
      typed_config:
        "@type": ${EXTENSIONS}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
        max_active_downstream_connections: ${CONNECTIONS_MAX}

# Change a setting of the running Envoy with POST /runtime_modify on the admin port. Without the first, Envoy refuses regular expressions
# of more than 100 steps, which paths with variables and lists of methods may take; the mesh bounds them where they are declared.
layered_runtime:
  layers:
    - { name: static, static_layer: { re2.max_program_size.error_level: ${PROGRAM_SIZE_MAX} } }
    - { name: admin, admin_layer: {} }
`;

/** JSON on one line is YAML, whatever is in it. */
function json(value: unknown): string {
  return JSON.stringify(value);
}
