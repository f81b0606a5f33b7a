// An Envoy with a configuration that never changes: what the encoder says to Envoys, read with Envoy's whole contract and written to a file. Routes
// and certificates, which come by streams otherwise, stand where they are asked for. So many policies can be tried on one Envoy.
import { createRequire } from 'node:module';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { encodeFor, type EncodeOptions } from '@heddle/api';
import type { Cluster, Listener, PublishedTypes, ResourceKind, RouteConfig } from '@heddle/core';
import { type Cleanup, LOOPBACK, temporaryDirectory } from '../../support/planes.ts';
import { freePort } from '../../support/ports.ts';
import { Hopeless, waitFor } from '../../support/wait.ts';
import { type Running, start } from './programs.ts';

type Json = Readonly<Record<string, unknown>>;

const require = createRequire(import.meta.url);
const DEPS = join(dirname(createRequire(require.resolve('@heddle/api')).resolve('@grpc/grpc-js-xds')), '../../deps');
const CONTRACT = loadSync(
  [
    'config/listener/v3/listener.proto',
    'config/route/v3/route.proto',
    'config/cluster/v3/cluster.proto',
    'extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    'extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
    'extensions/filters/listener/http_inspector/v3/http_inspector.proto',
    'extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
    'extensions/filters/http/router/v3/router.proto',
    'extensions/access_loggers/filters/cel/v3/cel.proto',
    'extensions/filters/http/rbac/v3/rbac.proto',
    'extensions/filters/http/jwt_authn/v3/config.proto',
    'extensions/filters/http/ext_authz/v3/ext_authz.proto',
    'extensions/filters/http/fault/v3/fault.proto',
    'extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
    'extensions/filters/http/stateful_session/v3/stateful_session.proto',
    'extensions/filters/http/header_mutation/v3/header_mutation.proto',
    'extensions/filters/http/upstream_codec/v3/upstream_codec.proto',
    'extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto',
    'extensions/transport_sockets/tls/v3/tls.proto',
    'extensions/upstreams/http/v3/http_protocol_options.proto',
  ].map((file) => `envoy/${file}`),
  {
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(DEPS, name)),
    ...{ keepCase: true, enums: String, longs: String, bytes: String, json: true },
  },
);

export interface StaticSettings {
  readonly listener: Listener;
  readonly routes: RouteConfig;
  readonly clusters?: readonly Cluster[];
  readonly identity: { readonly certificatePem: string; readonly keyPem: string; readonly rootsPem: string };
  readonly options: EncodeOptions;
}

export interface StaticEnvoy {
  readonly port: number;
  readonly process: Running;
  /** Of its admin interface. */
  stats(filter: string): Promise<string>;
}

/** Starts an Envoy with one listener, on a port of its own choice; resolves when it listens. */
export async function startStaticEnvoy(cleanup: Cleanup, program: string, settings: StaticSettings): Promise<StaticEnvoy> {
  const [port, admin] = [await freePort(), await freePort()];
  const routeConfig = (): RouteConfig => settings.routes;
  const options: EncodeOptions = { ...settings.options, routeConfig };
  const of = <K extends ResourceKind>(kind: K, resource: PublishedTypes[K]): { kind: ResourceKind; json: Json }[] =>
    encodeFor('envoy', kind, resource, options).map(({ kind: own, any }) => ({ kind: own, json: inWords(any.typeUrl, any.value) }));
  const listened = of('listener', { ...settings.listener, address: LOOPBACK, port });
  const [routes] = of('route', settings.routes);
  const all = [...listened, ...(settings.clusters ?? []).flatMap((cluster) => of('cluster', cluster))];
  const inPlace = (json: Json): Json => replaced(json, routes?.json ?? {}, settings.identity) as Json;
  const bootstrap = {
    admin: { address: { socket_address: { address: LOOPBACK, port_value: admin } } },
    layered_runtime: {
      layers: [{ name: 'static', static_layer: { re2: { max_program_size: { error_level: 100_000, warn_level: 100_000 } } } }],
    },
    static_resources: {
      listeners: all.filter(({ kind }) => kind === 'listener').map(({ json }) => inPlace(json)),
      clusters: all.filter(({ kind }) => kind === 'cluster').map(({ json }) => inPlace(json)),
    },
  };
  const file = join(await temporaryDirectory(cleanup), 'envoy.json');
  await writeFile(file, JSON.stringify(bootstrap));
  const running = start(cleanup, program, ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning']);
  const ask = (path: string): Promise<Response> => fetch(`http://${LOOPBACK}:${admin}${path}`);
  await waitFor('Envoy', async () => {
    if (running.child.exitCode !== null) throw new Hopeless(running.output());
    return (await ask('/ready')).status === 200;
  });
  return { port, process: running, stats: async (filter) => (await ask(`/stats?filter=${filter}`)).text() };
}

function inWords(typeUrl: string, value: Uint8Array): Json {
  const type = CONTRACT[typeUrl.replace('type.googleapis.com/', '')] as MessageTypeDefinition<object, object>;
  return forEnvoy(JSON.parse(JSON.stringify(type.deserialize(Buffer.from(value))))) as Json;
}

/** Messages with a value, and no wrapped values. */
const PERCENTS = new Set(['budget_percent', 'healthy_panic_threshold']);

/** The loader writes durations, wrapped values and structs as the messages that they are; the JSON of protobuf has forms of its own for them. */
function forEnvoy(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((one) => forEnvoy(one));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value);
  const keys = entries.map(([key]) => key);
  if (keys.length > 0 && keys.every((key) => key === 'seconds' || key === 'nanos'))
    return durationOf(value as { seconds?: string; nanos?: number });
  if (keys.join() === 'value' && typeof entries[0]?.[1] !== 'object' && !PERCENTS.has(name)) return entries[0]?.[1];
  return Object.fromEntries(entries.map(([key, part]) => [key, forEnvoy(part, key)]));
}

function durationOf({ seconds = '0', nanos = 0 }: { readonly seconds?: string; readonly nanos?: number }): string {
  return `${seconds}.${String(nanos).padStart(9, '0')}s`;
}

/** With the routes and the certificates themselves where their names stand. */
function replaced(value: unknown, routes: Json, identity: StaticSettings['identity']): unknown {
  const inside = (part: unknown): unknown => replaced(part, routes, identity);
  if (Array.isArray(value)) return value.map(inside);
  if (typeof value !== 'object' || value === null) return value;
  const { rds, tls_certificate_sds_secret_configs: certificates, combined_validation_context: combined, metadata, ...rest } = value as Json;
  const defaults = (combined as { default_validation_context?: object } | undefined)?.default_validation_context;
  return {
    ...Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, inside(part)])),
    ...(rds !== undefined && { route_config: routes }),
    ...(certificates !== undefined && {
      tls_certificates: [
        { certificate_chain: { inline_string: identity.certificatePem }, private_key: { inline_string: identity.keyPem } },
      ],
    }),
    ...(combined !== undefined && { validation_context: { ...defaults, trusted_ca: { inline_string: identity.rootsPem } } }),
    // Only filters for access ask for metadata of requests; that of resources is for people, in a form of its own.
    ...(metadata !== undefined &&
      !('fields' in (metadata as object)) &&
      !('filter_metadata' in (metadata as object)) && { metadata: inside(metadata) }),
  };
}
