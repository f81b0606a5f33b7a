// Mutual TLS in both directions as Envoy's TLS transport socket: TLS 1.3 only, certificates and roots by SDS, peers matched by URI SAN.
import { ALPN_HTTP1, ALPN_TCP, type DownstreamTls, type UpstreamTls } from '@heddle/core';
import type { TransportSocket } from '../../gen/envoy/envoy/config/core/v3/base.ts';
import {
  type SubjectAltNameMatcher,
  SubjectAltNameMatcher_SanType,
  type TlsParameters,
  TlsParameters_TlsProtocol,
} from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/common.ts';
import type { SdsSecretConfig } from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import {
  type CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/tls.ts';
import type { StringMatcher } from '../../gen/envoy/envoy/type/matcher/v3/string.ts';
import type { At } from './rejection.ts';
import { type MessageType, pack, unpack } from './strict.ts';
import { adsSource, exactlyOne, mustBe, mustBeAds, required, requiredText } from './values.ts';

const SOCKET_NAME = 'envoy.transport_sockets.tls';
const TLS_1_3: TlsParameters = {
  tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
  tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
};
const TRUST_DOMAIN_PREFIX = /^spiffe:\/\/([a-z0-9._-]{1,255})\/$/;

interface CommonTls {
  readonly certificateName: string;
  readonly trustBundleName: string;
  readonly peers: readonly StringMatcher[];
  readonly alpn: readonly string[];
}

/** What a listener with this filter offers by ALPN: the model does not say it, because it follows from the filter. */
export function alpnOfFilter(kind: 'http' | 'tcp'): string {
  return kind === 'http' ? ALPN_HTTP1 : ALPN_TCP;
}

export function encodeDownstreamTls(tls: DownstreamTls, filter: 'http' | 'tcp'): TransportSocket {
  const peers: StringMatcher[] = [{ matchPattern: { $case: 'prefix', value: `spiffe://${tls.trustDomain}/` } }];
  const common = encodeCommon({ ...tls, peers, alpn: [alpnOfFilter(filter)] });
  return socket(DownstreamTlsContext, { commonTlsContext: common, requireClientCertificate: true });
}

export function decodeDownstreamTls(message: TransportSocket, filter: 'http' | 'tcp', at: At): DownstreamTls {
  const context = open(DownstreamTlsContext, message, at);
  mustBe(context.requireClientCertificate, true, at.field('require_client_certificate'), 'true');
  const inside = at.field('common_tls_context');
  const { certificateName, trustBundleName, peers, alpn } = decodeCommon(context.commonTlsContext, inside);
  const expected = alpnOfFilter(filter);
  if (exactlyOne(alpn, inside.field('alpn_protocols')) !== expected)
    inside.field('alpn_protocols').reject(`must be ${expected} for a listener of this kind`);
  const sans = inside.field('match_typed_subject_alt_names');
  const pattern = exactlyOne(peers, sans).matchPattern;
  const trustDomain = pattern?.$case === 'prefix' ? TRUST_DOMAIN_PREFIX.exec(pattern.value)?.[1] : undefined;
  if (trustDomain === undefined) return sans.reject('only a prefix of the form spiffe://<trust domain>/ is supported');
  return { certificateName, trustBundleName, trustDomain };
}

export function encodeUpstreamTls(tls: UpstreamTls): TransportSocket {
  const peers = tls.peerIds.map((value): StringMatcher => ({ matchPattern: { $case: 'exact', value } }));
  return socket(UpstreamTlsContext, { commonTlsContext: encodeCommon({ ...tls, peers }) });
}

export function decodeUpstreamTls(message: TransportSocket, at: At): UpstreamTls {
  const context = open(UpstreamTlsContext, message, at);
  const inside = at.field('common_tls_context');
  const { certificateName, trustBundleName, peers, alpn } = decodeCommon(context.commonTlsContext, inside);
  const peerIds = peers.map((matcher, index) => {
    if (matcher.matchPattern?.$case === 'exact' && matcher.matchPattern.value !== '') return matcher.matchPattern.value;
    return inside.item('match_typed_subject_alt_names', index).reject('only exact is supported');
  });
  // Without a matcher Envoy takes any certificate of the roots; here that would let every workload pose as every service.
  if (peerIds.length === 0) return inside.field('match_typed_subject_alt_names').reject('must name at least one peer');
  return { certificateName, trustBundleName, peerIds, alpn };
}

function socket<T>(type: MessageType<T>, context: T): TransportSocket {
  return { name: SOCKET_NAME, configType: { $case: 'typedConfig', value: pack(type, context) } };
}

function open<T extends object>(type: MessageType<T>, message: TransportSocket, at: At): T {
  return unpack(type, message.configType?.value, at.field('typed_config'));
}

function encodeCommon(tls: CommonTls): CommonTlsContext {
  const matchTypedSubjectAltNames = tls.peers.map(
    (matcher): SubjectAltNameMatcher => ({ sanType: SubjectAltNameMatcher_SanType.URI, matcher }),
  );
  return {
    tlsParams: TLS_1_3,
    tlsCertificateSdsSecretConfigs: [{ name: tls.certificateName, sdsConfig: adsSource() }],
    validationContextType: {
      $case: 'combinedValidationContext',
      value: {
        defaultValidationContext: { matchTypedSubjectAltNames },
        validationContextSdsSecretConfig: { name: tls.trustBundleName, sdsConfig: adsSource() },
      },
    },
    alpnProtocols: [...tls.alpn],
  };
}

function decodeCommon(message: CommonTlsContext | undefined, at: At): CommonTls {
  const context = required(message, at);
  const version = TlsParameters_TlsProtocol.TLSv1_3;
  mustBe(context.tlsParams?.tlsMinimumProtocolVersion, version, at.field('tls_params').field('tls_minimum_protocol_version'), 'TLSv1_3');
  mustBe(context.tlsParams?.tlsMaximumProtocolVersion, version, at.field('tls_params').field('tls_maximum_protocol_version'), 'TLSv1_3');
  const certificates = at.field('tls_certificate_sds_secret_configs');
  const certificate = exactlyOne(context.tlsCertificateSdsSecretConfigs, certificates);
  const inside = at.field('combined_validation_context');
  const validation = required(context.validationContextType?.value, inside);
  const defaults = required(validation.defaultValidationContext, inside.field('default_validation_context'));
  if (defaults.trustedCa !== undefined)
    inside.field('default_validation_context').field('trusted_ca').reject('is not supported here: roots come by SDS');
  const roots = required(validation.validationContextSdsSecretConfig, inside.field('validation_context_sds_secret_config'));
  return {
    certificateName: secretName(certificate, certificates),
    trustBundleName: secretName(roots, inside.field('validation_context_sds_secret_config')),
    peers: (defaults.matchTypedSubjectAltNames ?? []).map((san, index) => uriMatcher(san, at.item('match_typed_subject_alt_names', index))),
    alpn: context.alpnProtocols ?? [],
  };
}

function secretName(config: SdsSecretConfig, at: At): string {
  mustBeAds(config.sdsConfig, at.field('sds_config'));
  return requiredText(config.name, at.field('name'));
}

function uriMatcher(san: SubjectAltNameMatcher, at: At): StringMatcher {
  mustBe(san.sanType, SubjectAltNameMatcher_SanType.URI, at.field('san_type'), 'URI');
  return required(san.matcher, at.field('matcher'));
}
