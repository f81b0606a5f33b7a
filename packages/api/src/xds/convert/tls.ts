// TLS in both directions as Envoy's TLS transport socket: TLS 1.3, or from 1.2 on, certificates and roots by SDS, peers matched by alternative
// name.
import { ALPN_HTTP1, ALPN_HTTP2, type DownstreamTls, isServerName, type UpstreamTls } from '@heddle/core';
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
const { TLSv1_2, TLSv1_3 } = TlsParameters_TlsProtocol;
const TRUST_DOMAIN_PREFIX = /^spiffe:\/\/([a-z0-9._-]{1,255})\/$/;
const { DNS, URI } = SubjectAltNameMatcher_SanType;

interface CommonTls {
  /** Absent: none is shown. */
  readonly certificateName: string | undefined;
  /** Absent: the peer is not asked for a certificate. */
  readonly trustBundleName: string | undefined;
  /** Of what the peer must show one; empty: any name will do. */
  readonly peers: readonly SubjectAltNameMatcher[];
  readonly alpn: readonly string[];
  readonly minVersion: '1.2' | undefined;
}

/** What a listener with this filter offers by ALPN: the model does not say it, because it follows from the filter. */
export function alpnOfFilter(kind: 'http' | 'tcp'): readonly string[] {
  return kind === 'http' ? [ALPN_HTTP2, ALPN_HTTP1] : [];
}

/** What is taken besides TLS is a filter chain of its own: see listener.ts. */
export function encodeDownstreamTls(tls: Omit<DownstreamTls, 'plaintext'>, filter: 'http' | 'tcp'): TransportSocket {
  const { certificateName, trustBundleName, trustDomain, minVersion } = tls;
  const peers = trustDomain === undefined ? [] : [uri({ matchPattern: { $case: 'prefix', value: `spiffe://${trustDomain}/` } })];
  return socket(DownstreamTlsContext, {
    commonTlsContext: encodeCommon({ certificateName, trustBundleName, peers, alpn: alpnOfFilter(filter), minVersion }),
    ...(trustBundleName !== undefined && { requireClientCertificate: true }),
  });
}

export function decodeDownstreamTls(message: TransportSocket, filter: 'http' | 'tcp', at: At): Omit<DownstreamTls, 'plaintext'> {
  const context = open(DownstreamTlsContext, message, at);
  const inside = at.field('common_tls_context');
  const { certificateName, trustBundleName, peers, alpn, minVersion } = decodeCommon(context.commonTlsContext, inside);
  const asks = at.field('require_client_certificate');
  if (trustBundleName !== undefined) mustBe(context.requireClientCertificate, true, asks, 'true');
  else if (context.requireClientCertificate === true) asks.reject('needs a validation context: any certificate would do');
  const expected = alpnOfFilter(filter);
  if (alpn.join() !== expected.join())
    inside.field('alpn_protocols').reject(`must be [${expected.join(', ')}] for a listener of this kind, not [${alpn.join(', ')}]`);
  const trustDomain = peers.length === 0 ? undefined : decodeTrustDomain(peers, inside.field('match_typed_subject_alt_names'));
  return {
    certificateName: certificateName ?? inside.field('tls_certificate_sds_secret_configs').reject('must have exactly one entry, not 0'),
    ...(trustBundleName !== undefined && { trustBundleName }),
    ...(trustDomain !== undefined && { trustDomain }),
    ...(minVersion !== undefined && { minVersion }),
  };
}

function decodeTrustDomain(peers: readonly SubjectAltNameMatcher[], at: At): string {
  const { sanType, matcher } = exactlyOne(peers, at);
  mustBe(sanType, URI, at.field('san_type'), 'URI');
  const pattern = matcher?.matchPattern;
  const trustDomain = pattern?.$case === 'prefix' ? TRUST_DOMAIN_PREFIX.exec(pattern.value)?.[1] : undefined;
  return trustDomain ?? at.reject('only a prefix of the form spiffe://<trust domain>/ is supported');
}

export function encodeUpstreamTls(tls: UpstreamTls): TransportSocket {
  const { certificateName, trustBundleName, peerIds, serverName, alpn, minVersion } = tls;
  const exact = (value: string): StringMatcher => ({ matchPattern: { $case: 'exact', value } });
  const ids = peerIds.map((id) => uri(exact(id)));
  const names = serverName === undefined ? [] : [{ sanType: DNS, matcher: exact(serverName) }];
  return socket(UpstreamTlsContext, {
    commonTlsContext: encodeCommon({ certificateName, trustBundleName, peers: [...ids, ...names], alpn, minVersion }),
    ...(serverName !== undefined && { sni: serverName }),
  });
}

export function decodeUpstreamTls(message: TransportSocket, at: At): UpstreamTls {
  const context = open(UpstreamTlsContext, message, at);
  const inside = at.field('common_tls_context');
  const { certificateName, trustBundleName, peers, alpn, minVersion } = decodeCommon(context.commonTlsContext, inside);
  const serverName = context.sni === '' ? undefined : context.sni;
  const sans = inside.field('match_typed_subject_alt_names');
  const names = peers.map(({ sanType, matcher }, index) => {
    const own = inside.item('match_typed_subject_alt_names', index);
    const [type, words] = serverName === undefined ? ([URI, 'URI'] as const) : ([DNS, 'DNS, as sni is set,'] as const);
    mustBe(sanType, type, own.field('san_type'), words);
    const pattern = required(matcher, own.field('matcher')).matchPattern;
    return pattern?.$case === 'exact' && pattern.value !== '' ? pattern.value : own.reject('only exact is supported');
  });
  // Without a matcher Envoy takes any certificate of the roots; here that would let every workload pose as every service.
  if (names.length === 0) return sans.reject('must name at least one peer');
  if (serverName !== undefined) {
    if (!isServerName(serverName)) at.field('sni').reject(`${JSON.stringify(serverName)} is not a server name in lower case`);
    mustBe(exactlyOne(names, sans), serverName, sans, 'the name in sni');
  }
  return {
    ...(certificateName !== undefined && { certificateName }),
    trustBundleName: required(trustBundleName, inside.field('combined_validation_context')),
    peerIds: serverName === undefined ? names : [],
    ...(serverName !== undefined && { serverName }),
    alpn,
    ...(minVersion !== undefined && { minVersion }),
  };
}

function uri(matcher: StringMatcher): SubjectAltNameMatcher {
  return { sanType: URI, matcher };
}

function socket<T>(type: MessageType<T>, context: T): TransportSocket {
  return { name: SOCKET_NAME, configType: { $case: 'typedConfig', value: pack(type, context) } };
}

function open<T extends object>(type: MessageType<T>, message: TransportSocket, at: At): T {
  return unpack(type, message.configType?.value, at.field('typed_config'));
}

/** From this version to TLS 1.3. */
function encodeVersions(minVersion: '1.2' | undefined): TlsParameters {
  return { tlsMinimumProtocolVersion: minVersion === undefined ? TLSv1_3 : TLSv1_2, tlsMaximumProtocolVersion: TLSv1_3 };
}

function decodeVersions(message: TlsParameters | undefined, at: At): '1.2' | undefined {
  const { tlsMinimumProtocolVersion: min, tlsMaximumProtocolVersion: max } = message ?? {};
  mustBe(max, TLSv1_3, at.field('tls_maximum_protocol_version'), 'TLSv1_3');
  if (min === TLSv1_2) return '1.2';
  mustBe(min, TLSv1_3, at.field('tls_minimum_protocol_version'), 'TLSv1_3 or TLSv1_2');
  return undefined;
}

function encodeCommon({ certificateName, trustBundleName, peers, alpn, minVersion }: CommonTls): CommonTlsContext {
  return {
    tlsParams: encodeVersions(minVersion),
    ...(certificateName !== undefined && { tlsCertificateSdsSecretConfigs: [{ name: certificateName, sdsConfig: adsSource() }] }),
    // Peers without roots are refused by the reader, for want of the name.
    ...((trustBundleName !== undefined || peers.length > 0) && {
      validationContextType: {
        $case: 'combinedValidationContext' as const,
        value: {
          defaultValidationContext: { matchTypedSubjectAltNames: [...peers] },
          validationContextSdsSecretConfig: { name: trustBundleName ?? '', sdsConfig: adsSource() },
        },
      },
    }),
    alpnProtocols: [...alpn],
  };
}

function decodeCommon(message: CommonTlsContext | undefined, at: At): CommonTls {
  const context = required(message, at);
  const minVersion = decodeVersions(context.tlsParams, at.field('tls_params'));
  const certificates = at.field('tls_certificate_sds_secret_configs');
  const certificate =
    (context.tlsCertificateSdsSecretConfigs ?? []).length === 0
      ? undefined
      : exactlyOne(context.tlsCertificateSdsSecretConfigs, certificates);
  const inside = at.field('combined_validation_context');
  const validation = context.validationContextType?.value;
  const certificateName = certificate === undefined ? undefined : secretName(certificate, certificates);
  const alpn = context.alpnProtocols ?? [];
  if (validation === undefined) return { certificateName, trustBundleName: undefined, peers: [], alpn, minVersion };
  const defaults = required(validation.defaultValidationContext, inside.field('default_validation_context'));
  if (defaults.trustedCa !== undefined)
    inside.field('default_validation_context').field('trusted_ca').reject('is not supported here: roots come by SDS');
  if (defaults.customValidatorConfig !== undefined)
    inside.field('default_validation_context').field('custom_validator_config').reject('is not supported here: it comes with the roots');
  const roots = required(validation.validationContextSdsSecretConfig, inside.field('validation_context_sds_secret_config'));
  return {
    certificateName,
    trustBundleName: secretName(roots, inside.field('validation_context_sds_secret_config')),
    peers: defaults.matchTypedSubjectAltNames ?? [],
    alpn,
    minVersion,
  };
}

function secretName(config: SdsSecretConfig, at: At): string {
  mustBeAds(config.sdsConfig, at.field('sds_config'));
  return requiredText(config.name, at.field('name'));
}
