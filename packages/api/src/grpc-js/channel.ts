// How a client made with grpc-js connects to the control plane: TLS 1.3, trusting the mesh's roots and nothing else, and the server is known
// by its SPIFFE id instead of by a host name. Workloads show their certificate, operators a bearer token. A connection that is dead
// is noticed within seconds.
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { ChannelCredentials, type ChannelOptions, Metadata } from '@grpc/grpc-js';
import { DEFAULT_LIMITS, readSvid } from '@heddle/core';
import { CONTROL_KEEPALIVE, CONTROL_SERVER_NAME } from '../channel.ts';

export interface ControlChannelOptions {
  readonly rootsPem: string;
  /** Certificate and key of a workload, leaf first: both or neither. */
  readonly certificatePem?: string;
  readonly keyPem?: string;
  /** `spiffe://<trust domain>/ns/heddle-system/svc/control`. */
  readonly expectedSpiffeId: string;
}

/** Throws Error when the PEM texts cannot be used. A new certificate needs new credentials and a new client. */
export function controlChannelCredentials(options: ControlChannelOptions): ChannelCredentials {
  const { rootsPem, certificatePem, keyPem, expectedSpiffeId } = options;
  if ((certificatePem === undefined) !== (keyPem === undefined)) throw new Error('a certificate needs its key, and a key its certificate');
  const secureContext = createSecureContext({ ca: rootsPem, cert: certificatePem, key: keyPem, minVersion: 'TLSv1.3' });
  return ChannelCredentials.createFromSecureContext(secureContext, {
    // TLS has verified the chain against the roots by now; a session is never resumed, so this is asked on every connection.
    checkServerIdentity: (_host: string, certificate: PeerCertificate) => wrongIdentity(certificate, expectedSpiffeId),
  });
}

function wrongIdentity(certificate: PeerCertificate, expected: string): Error | undefined {
  const svid = readSvid(certificate.raw);
  if (!svid.ok) return new Error(`the server's certificate ${svid.reason}`);
  return svid.uri === expected ? undefined : new Error(`the server is ${svid.uri}, not ${expected}`);
}

/** Channel options for the control plane. */
export function controlChannelOptions(): ChannelOptions {
  return {
    'grpc.ssl_target_name_override': CONTROL_SERVER_NAME,
    'grpc.default_authority': CONTROL_SERVER_NAME,
    // A peer that vanished without a word is noticed on idle streams, too.
    'grpc.keepalive_time_ms': CONTROL_KEEPALIVE.timeMs,
    'grpc.keepalive_timeout_ms': CONTROL_KEEPALIVE.timeoutMs,
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.initial_reconnect_backoff_ms': 200,
    // Callers back off themselves; two such waits would add up.
    'grpc.max_reconnect_backoff_ms': 1_000,
    // The environment's HTTP_PROXY may well be the mesh's own: calls to the control plane never go through it.
    'grpc.enable_http_proxy': 0,
    'grpc.max_receive_message_length': DEFAULT_LIMITS.discoveryMessageBytesMax,
    // Service configurations out of DNS have no say in how the control plane is called.
    'grpc.service_config_disable_resolution': 1,
  };
}

/** What an operator's calls carry; only ever send it over `controlChannelCredentials`. */
export function operatorMetadata(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}
