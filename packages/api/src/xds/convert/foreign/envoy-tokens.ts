// Tokens of requests in Envoy's words (jwt_authn). Issuers are told to the listener; a virtual host says that its requests are looked at. What Envoy
// does not look at in a token, the filter behind it denies. An issuer whose keys Envoy cannot get has none there: its tokens are refused.
import { DEFAULT_LIMITS, type TokenAlgorithm, type TokenIssuer, type TokenPolicy } from '@heddle/core';
import { Cluster_DiscoveryType, Cluster_DnsLookupFamily, type Cluster } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { type Permission, type Principal, RBAC_Action } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import {
  JwtAuthentication,
  type JwtProvider,
  PerRouteConfig,
} from '../../../gen/foreign/envoy/extensions/filters/http/jwt_authn/v3/config.ts';
import { RBACPerRoute, RBAC as RbacFilter } from '../../../gen/foreign/envoy/extensions/filters/http/rbac/v3/rbac.ts';
import type { HttpFilter } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { SubjectAltNameMatcher_SanType } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/common.ts';
import { UpstreamTlsContext } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/tls.ts';
import type { ValueMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/value.ts';
import type { Any } from '../../../gen/foreign/google/protobuf/any.ts';
import { encodeHost } from '../cluster.ts';
import type { At } from '../rejection.ts';
import { pack } from '../strict.ts';
import { encodeDuration } from '../values.ts';
import { SYSTEM_ROOTS_FILE } from './envoy-tls.ts';

/** Also the namespace of the metadata that it writes. */
export const TOKEN_FILTER = 'envoy.filters.http.jwt_authn';
/** Where the claims of a valid token are in that metadata. */
export const CLAIMS_KEY = 'claims';
const HEADER_KEY = 'header';
const FORM_FILTER = 'heddle.token_form';
/** Name of the rule, which answers are told apart by. */
export const FORM_RULE = 'token_form';
const REQUIREMENT = 'tokens';
/**
 * Envoy wants a key. The one of this point of P-256 nobody has: its `x` is the SHA-256 of "heddle: nobody has this key 0".
 */
const NOBODYS_KEY = JSON.stringify({
  keys: [
    {
      ...{ kty: 'EC', crv: 'P-256', kid: 'none' },
      ...{ x: 'riWe0RChwsWtih05Nx5pr_5YJqSGqio6QeFRfkaefLo', y: '5Gbu0he7FtSWRx2QsoTWKyCFKCeMcZyGsmMUSizUdjE' },
    },
  ],
});
const KEYS_TIMEOUT_MS = 5_000;
/** As our own data planes have it (core/authn/signed-token.ts). */
const TYPES = 'jwt|at\\+jwt|jose|application/jwt|application/at\\+jwt';
const FORBIDDEN = ['jwk', 'jku', 'x5u', 'x5c', 'crit', 'b64', 'zip'];

export interface TokenFilters {
  readonly filters: readonly HttpFilter[];
  /** By which Envoy fetches keys. */
  readonly clusters: readonly Cluster[];
}

/** `listener`: its name, of which those of the clusters are made. */
export function tokenFilters({ issuers }: TokenPolicy, listener: string): TokenFilters {
  const clusters = new Map<string, Cluster>();
  const providers = issuers.map((issuer): [string, JwtProvider] => {
    const cluster = keysCluster(issuer, listener);
    if (cluster !== undefined) clusters.set(cluster.name ?? '', cluster);
    return [issuer.name, provider(issuer, cluster)];
  });
  const config: JwtAuthentication = {
    providers: Object.fromEntries(providers),
    // A token that is there must be valid, whoever issued it.
    requirementMap: { [REQUIREMENT]: { requiresType: { $case: 'allowMissing', value: {} } } },
  };
  return {
    filters: [filter(TOKEN_FILTER, pack(JwtAuthentication, config)), filter(FORM_FILTER, pack(RbacFilter, {}))],
    clusters: [...clusters.values()],
  };
}

function filter(name: string, value: Any): HttpFilter {
  return { name, configType: { $case: 'typedConfig', value } };
}

/** Of a virtual host that has the tokens of its requests looked at. */
export function tokenSettings({ issuers }: TokenPolicy): { [filter: string]: Any } {
  const any: Permission = { rule: { $case: 'any', value: true } };
  const policies = { [FORM_RULE]: { permissions: [any], principals: wrongForms(issuers) } };
  return {
    [TOKEN_FILTER]: pack(PerRouteConfig, { requirementSpecifier: { $case: 'requirementName', value: REQUIREMENT } }),
    [FORM_FILTER]: pack(RBACPerRoute, { rbac: { rules: { action: RBAC_Action.DENY, policies } } }),
  };
}

/** What about an issuer Envoy cannot follow: its tokens are refused, those that are no JWT or all of them. */
export function untoldTokens({ issuers }: TokenPolicy, at: At, tell: (issuer: string, reason: string, at: At) => void): void {
  issuers.forEach((issuer, index) => {
    const inside = at.item('issuers', index);
    if (issuer.keys.kind === 'discovery')
      tell(
        issuer.name,
        'Envoy does not look up where the keys of an issuer are: give their URL; until then all its tokens are refused there',
        inside.field('keys'),
      );
    if (issuer.introspection !== undefined)
      tell(issuer.name, 'Envoy does not ask issuers about tokens: those that are no JWT are refused there', inside.field('introspection'));
    issuer.claimHeaders.forEach(({ claim }, place) => {
      if (claim.some((name) => name.includes('.')))
        tell(
          issuer.name,
          `Envoy cannot be told of a claim with a dot in its name, ${JSON.stringify(claim.join(' '))}: the header is never set there`,
          inside.item('claim_headers', place),
        );
    });
  });
}

function provider(issuer: TokenIssuer, cluster: Cluster | undefined): JwtProvider {
  const { audiences, keys, keysMaxAgeMs, sources, skewMs, claimHeaders, forward } = issuer;
  const headers = sources.flatMap((source) => (source.kind === 'header' ? [{ name: source.name, valuePrefix: source.prefix }] : []));
  return {
    issuer: issuer.issuer,
    audiences: [...audiences],
    requireExpiration: true,
    jwksSourceSpecifier:
      cluster === undefined || keys.kind !== 'url'
        ? { $case: 'localJwks', value: { specifier: { $case: 'inlineString', value: keys.kind === 'inline' ? keys.jwks : NOBODYS_KEY } } }
        : {
            $case: 'remoteJwks',
            value: {
              httpUri: {
                uri: keys.url,
                httpUpstreamType: { $case: 'cluster', value: cluster.name ?? '' },
                timeout: encodeDuration(KEYS_TIMEOUT_MS),
              },
              cacheDuration: encodeDuration(keysMaxAgeMs),
              asyncFetch: { fastListener: true },
            },
          },
    forward,
    fromHeaders: headers,
    fromCookies: sources.flatMap((source) => (source.kind === 'cookie' ? [source.name] : [])),
    payloadInMetadata: CLAIMS_KEY,
    headerInMetadata: HEADER_KEY,
    // Nothing would be a minute to Envoy.
    clockSkewSeconds: Math.max(1, Math.ceil(skewMs / 1_000)),
    claimToHeaders: claimHeaders
      .filter(({ claim }) => !claim.some((name) => name.includes('.')))
      .map(({ claim, header }) => ({ headerName: header, claimName: claim.join('.') })),
  };
}

/** Undefined: no keys are fetched. */
function keysCluster({ keys, rootsPem }: TokenIssuer, listener: string): Cluster | undefined {
  if (keys.kind !== 'url') return undefined;
  const { protocol, hostname, port } = new URL(keys.url);
  const isSecure = protocol === 'https:';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const name = `${listener}/keys/${hostname}:${port === '' ? (isSecure ? 443 : 80) : port}`;
  return {
    name,
    clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.LOGICAL_DNS },
    dnsLookupFamily: Cluster_DnsLookupFamily.ALL,
    connectTimeout: encodeDuration(KEYS_TIMEOUT_MS),
    loadAssignment: encodeHost(name, host, port === '' ? (isSecure ? 443 : 80) : Number(port)),
    perConnectionBufferLimitBytes: DEFAULT_LIMITS.connectionBufferBytesMax,
    ...(isSecure && { transportSocket: serverTransport(host, rootsPem) }),
  };
}

/** TLS to a server outside the mesh. */
export function serverTransport(host: string, rootsPem: string | undefined): NonNullable<Cluster['transportSocket']> {
  return {
    name: 'envoy.transport_sockets.tls',
    configType: { $case: 'typedConfig', value: pack(UpstreamTlsContext, serverTls(host, rootsPem)) },
  };
}

/** Envoy has one set of roots for a server: those that are given, else those of the system. */
function serverTls(host: string, rootsPem: string | undefined): UpstreamTlsContext {
  const isAddress = /^[\d.]+$|:/.test(host);
  const { DNS, IP_ADDRESS } = SubjectAltNameMatcher_SanType;
  return {
    ...(!isAddress && { sni: host }),
    commonTlsContext: {
      validationContextType: {
        $case: 'validationContext',
        value: {
          trustedCa: {
            specifier:
              rootsPem === undefined ? { $case: 'filename', value: SYSTEM_ROOTS_FILE } : { $case: 'inlineString', value: rootsPem },
          },
          matchTypedSubjectAltNames: [
            { sanType: isAddress ? IP_ADDRESS : DNS, matcher: { matchPattern: { $case: 'exact', value: host } } },
          ],
        },
      },
    },
  };
}

/** Of a token whose signature is good: what it says about itself and must not. */
function wrongForms(issuers: readonly TokenIssuer[]): Principal[] {
  const isOf = ({ issuer }: TokenIssuer): Principal => at([CLAIMS_KEY, 'iss'], equal(issuer));
  const algorithms = issuers.map((issuer): Principal => {
    const names = issuer.algorithms.flatMap(wireNames).join('|');
    return both(isOf(issuer), not(at([HEADER_KEY, 'alg'], like(names))));
  });
  const type = both(at([HEADER_KEY, 'typ'], present()), not(at([HEADER_KEY, 'typ'], like(`(?i:${TYPES})`))));
  return [...algorithms, type, ...FORBIDDEN.map((name) => at([HEADER_KEY, name], present()))];
}

/** RFC 9864 §2.2. */
function wireNames(algorithm: TokenAlgorithm): string[] {
  return algorithm === 'EdDSA' ? ['EdDSA', 'Ed25519'] : [algorithm];
}

function at(path: readonly string[], value: ValueMatcher): Principal {
  const segments = path.map((key) => ({ segment: { $case: 'key' as const, value: key } }));
  return { identifier: { $case: 'metadata', value: { filter: TOKEN_FILTER, path: segments, value } } };
}

function equal(value: string): ValueMatcher {
  return { matchPattern: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value } } } };
}

function like(regex: string): ValueMatcher {
  return { matchPattern: { $case: 'stringMatch', value: { matchPattern: { $case: 'safeRegex', value: { regex } } } } };
}

function present(): ValueMatcher {
  return { matchPattern: { $case: 'presentMatch', value: true } };
}

function both(...ids: Principal[]): Principal {
  return { identifier: { $case: 'andIds', value: { ids } } };
}

function not(id: Principal): Principal {
  return { identifier: { $case: 'notId', value: id } };
}
