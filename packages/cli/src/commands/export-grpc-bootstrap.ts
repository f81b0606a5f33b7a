// The bootstrap file of gRPC's xDS clients (gRFC A27): where the control plane is, who asks, and in which files the certificate is. One form that
// the libraries of all languages read; what they do not know in it they pass over.
import { join } from 'node:path';
import { GRPC_CERTIFICATE_PROVIDER } from '@heddle/api';
import type { Locality } from '@heddle/core';
import type { HostPort } from '../options.ts';
import { CERTIFICATE_FILE, KEY_FILE, ROOTS_FILE } from './identity-files.ts';

export interface GrpcBootstrapInput {
  /** Over TLS with the certificate of the files, or through the Unix socket of `heddle identity watch`: an absolute path. */
  readonly control: HostPort | { readonly socket: string };
  readonly namespace: string;
  readonly service: string;
  /** Name of the data plane that this file makes of a program. */
  readonly node: string;
  /** Absolute: a library looks from its own working directory. */
  readonly identityDir: string;
  readonly locality?: Locality;
  /** The program's own server as an instance of the service. Absent: it only calls. */
  readonly instance?: GrpcServerInstance;
}

export interface GrpcServerInstance {
  readonly id: string;
  /** Where it listens; others reach it there. */
  readonly inbound: HostPort;
  readonly version?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly weight: number;
}

/** How often a library looks whether the files have changed. Certificates are renewed at half of their life, which is longer by far. */
const REFRESH_INTERVAL = '10s';

export function grpcBootstrap(input: GrpcBootstrapInput): Readonly<Record<string, unknown>> {
  const { namespace, service, node, identityDir, locality, instance } = input;
  const files = {
    certificate_file: join(identityDir, CERTIFICATE_FILE),
    private_key_file: join(identityDir, KEY_FILE),
    ca_certificate_file: join(identityDir, ROOTS_FILE),
    refresh_interval: REFRESH_INTERVAL,
  };
  return {
    description: `Makes a gRPC program of ${namespace}/${service} a part of the mesh: start it with GRPC_XDS_BOOTSTRAP=<this file>. See docs/guides/grpc.md.`,
    xds_servers: [xdsServer(input.control, files)],
    node: {
      id: node,
      cluster: `${namespace}/${service}`,
      locality: localityFields(locality),
      metadata: { heddle: { flavour: 'grpc', identityDir, ...(instance !== undefined && { instance: instanceFields(input, instance) }) } },
    },
    certificate_providers: { [GRPC_CERTIFICATE_PROVIDER]: { plugin_name: 'file_watcher', config: files } },
    ...(instance !== undefined && { server_listener_resource_name_template: `inbound/${namespace}/${service}/${instance.id}` }),
  };
}

function xdsServer(control: GrpcBootstrapInput['control'], files: object): object {
  const server_features = ['xds_v3'];
  if ('socket' in control) return { server_uri: `unix:${control.socket}`, channel_creds: [{ type: 'insecure' }], server_features };
  const host = control.host.includes(':') ? `[${control.host}]` : control.host;
  // gRFC A65.
  return { server_uri: `${host}:${control.port}`, channel_creds: [{ type: 'tls', config: files }], server_features };
}

/** Always there: grpc-js refuses a node without. */
function localityFields(locality: Locality | undefined): object {
  if (locality === undefined) return {};
  const { region, zone, subZone } = locality;
  return { region, zone, ...(subZone !== undefined && { sub_zone: subZone }) };
}

/** What a proxy registers for its workload; here the application is its own data plane. */
function instanceFields(
  { namespace, service, locality }: GrpcBootstrapInput,
  { id, inbound, version, labels, weight }: GrpcServerInstance,
): object {
  const address = { address: inbound.host, port: inbound.port };
  return {
    id,
    service,
    namespace,
    inbound: address,
    application: address,
    weight,
    ...(version !== undefined && { version }),
    ...(labels !== undefined && { labels }),
    ...(locality !== undefined && { locality }),
  };
}
