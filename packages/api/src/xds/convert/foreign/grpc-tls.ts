// TLS of gRPC libraries (gRFC A29): certificate and roots from the provider that their bootstrap defines by this name; a server is known by its
// SPIFFE id. A client is known to a server by the roots alone, which no other trust domain has: the libraries match no names there.
import { type DownstreamTls, TRUST_BUNDLE, type UpstreamTls, WORKLOAD_CERTIFICATE } from '@heddle/core';
import type { TransportSocket } from '../../../gen/foreign/envoy/config/core/v3/base.ts';
import type { CertificateValidationContext } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/common.ts';
import {
  type CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/tls.ts';
import { At } from '../rejection.ts';
import { type MessageType, pack } from '../strict.ts';
import { GRPC_CERTIFICATE_PROVIDER } from './grpc-names.ts';

const SOCKET_NAME = 'envoy.transport_sockets.tls';
const PROVIDER = { instanceName: GRPC_CERTIFICATE_PROVIDER };

/** Throws XdsRejection when the certificate or the roots are others than those of the workload. */
export function grpcUpstreamTls(tls: UpstreamTls, cluster: string): TransportSocket {
  const { certificateName, trustBundleName, peerIds, serverName } = tls;
  mustBeOwn(certificateName, trustBundleName, new At(`cluster '${cluster}'`));
  const names = serverName === undefined ? peerIds : [serverName];
  return socket(UpstreamTlsContext, {
    commonTlsContext: common(certificateName !== undefined, {
      // The libraries read the field for names of every type, which Envoy has deprecated, and no other.
      matchSubjectAltNames: names.map((value) => ({ matchPattern: { $case: 'exact' as const, value } })),
    }),
    ...(serverName !== undefined && { sni: serverName }),
  });
}

/** Throws XdsRejection as `grpcUpstreamTls` does. */
export function grpcDownstreamTls(tls: DownstreamTls, listener: string): TransportSocket {
  const { certificateName, trustBundleName } = tls;
  mustBeOwn(certificateName, trustBundleName ?? TRUST_BUNDLE, new At(`listener '${listener}'`));
  return socket(DownstreamTlsContext, {
    commonTlsContext: common(true, trustBundleName === undefined ? undefined : {}),
    ...(trustBundleName !== undefined && { requireClientCertificate: true }),
  });
}

function mustBeOwn(certificateName: string | undefined, trustBundleName: string, at: At): void {
  if (certificateName !== undefined && certificateName !== WORKLOAD_CERTIFICATE)
    at.reject(`needs the certificate ${JSON.stringify(certificateName)}; a gRPC library has only that of its workload`);
  if (trustBundleName !== TRUST_BUNDLE)
    at.reject(`needs the roots ${JSON.stringify(trustBundleName)}; a gRPC library has only those of the mesh`);
}

/** `peers`: absent, the peer shows no certificate. */
function common(showsCertificate: boolean, peers: CertificateValidationContext | undefined): CommonTlsContext {
  return {
    ...(showsCertificate && { tlsCertificateProviderInstance: PROVIDER }),
    ...(peers !== undefined && {
      validationContextType: { $case: 'validationContext' as const, value: { caCertificateProviderInstance: PROVIDER, ...peers } },
    }),
  };
}

function socket<T>(type: MessageType<T>, context: T): TransportSocket {
  return { name: SOCKET_NAME, configType: { $case: 'typedConfig', value: pack(type, context) } };
}
