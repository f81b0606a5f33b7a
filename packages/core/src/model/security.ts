// Who may call whom, by which proof: what a mesh's owners say (`SecurityConfig`), and what each data plane is told (`AccessPolicy`,
// `TokenPolicy`). Plain data, immutable. All durations are milliseconds and end in `Ms`.
import type { PathMatch, TextMatch, FieldMatch } from './route.ts';
import type { ServiceRef } from './service-ref.ts';

/**
 * `strict`: mutual TLS, others are refused. `permissive`: callers without TLS are taken as well, as nobody in particular; callers of the mesh
 * use TLS. `off`: neither side uses TLS, and nobody has an identity.
 */
export type MtlsMode = 'strict' | 'permissive' | 'off';

/** The lowest version of TLS between workloads. TLS 1.2 only where somebody asked for it. */
export type TlsVersion = '1.2' | '1.3';

// --- tokens (JWT, RFC 7519; opaque ones, RFC 7662)

/** Signature algorithms (RFC 7518 §3.1, RFC 8037) that may be allowed. No symmetric ones: who checks could then also issue. */
export type TokenAlgorithm = 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA';

/** Where a token is looked for; the first that is there counts. `prefix`: what stands before it, `Bearer ` in `authorization`. */
export type TokenSource =
  | { readonly kind: 'header'; readonly name: string; readonly prefix: string }
  | { readonly kind: 'cookie'; readonly name: string };

/** Where the keys of an issuer are. `discovery`: in `<issuer>/.well-known/openid-configuration` (OpenID Connect Discovery 1.0). */
export type KeySource =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'url'; readonly url: string }
  /** A JSON Web Key Set (RFC 7517 §5), as text. */
  | { readonly kind: 'inline'; readonly jwks: string };

/** Asking the issuer about tokens that are no JWT (RFC 7662). The secret is read by the data plane, from a file of its own machine. */
export interface IntrospectionPolicy {
  readonly url: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  /** Answers are remembered so long, never beyond the token's end. */
  readonly cacheMs: number;
}

/** A claim's path (`['realm', 'roles']`) and the header that the application gets its value in; lists with commas between. */
export interface ClaimHeader {
  readonly claim: readonly string[];
  readonly header: string;
}

export interface TokenIssuer {
  /** In rules. */
  readonly name: string;
  /** `iss`, compared as text. */
  readonly issuer: string;
  /** One of these must be in `aud`. Never empty: a token for somebody else is not for us. */
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  /** Keys are asked for again after this, and when a token names one that is not known, though not more often than once in 30 s. */
  readonly keysMaxAgeMs: number;
  /** PEM of authorities that the servers of the issuer are trusted by, besides those of the platform. */
  readonly rootsPem?: string;
  readonly algorithms: readonly TokenAlgorithm[];
  readonly sources: readonly TokenSource[];
  /** Clocks may differ so much. */
  readonly skewMs: number;
  /** Headers set from claims. What a caller sends under these names is removed, with or without a token. */
  readonly claimHeaders: readonly ClaimHeader[];
  /** The token is passed on to the application. */
  readonly forward: boolean;
  readonly introspection?: IntrospectionPolicy;
}

// --- access

/** Of the peer's SPIFFE id, whole, or as what it begins with. `any`: some identity of the mesh. */
export type IdentityMatch =
  | { readonly kind: 'exact'; readonly id: string }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'any' };

/** One of the values must be the claim, or in it where it is a list, or one of its words for `scope` (RFC 8693 §4.2). */
export interface ClaimMatch {
  readonly claim: readonly string[];
  readonly values: readonly (string | number | boolean)[];
}

/** A valid token of one of these issuers whose claims fit, all of them. */
export interface TokenMatch {
  /** Names. Empty: any issuer of the policy. */
  readonly issuers: readonly string[];
  readonly claims: readonly ClaimMatch[];
}

/** All that is given must fit. Nothing given: everybody, also without any proof. */
export interface Subject {
  /** One of these. */
  readonly identities?: readonly IdentityMatch[];
  /** Addresses or networks (RFC 4632, RFC 4291) of which the peer's is one; of the connection, not of a header. */
  readonly networks?: readonly string[];
  readonly token?: TokenMatch;
}

/** All that is given must fit. Paths are compared after normalisation (see authz/path.ts). */
export interface Permission {
  readonly methods?: readonly string[];
  readonly paths?: readonly PathMatch[];
  readonly authorities?: readonly TextMatch[];
  readonly headers?: readonly FieldMatch[];
}

/**
 * A rule fits when one of its subjects, one of its permissions and its condition fit. Byte streams have neither method, path nor headers: rules
 * that ask for such fit none of them.
 */
export interface AccessRule {
  /** Given, or `rule 1`, `rule 2`, …; unique in the policy. In logs, explanations and the answer to who was refused. */
  readonly name: string;
  readonly effect: 'allow' | 'deny';
  /** It decides nothing: what it would decide is logged and counted. */
  readonly audit?: true;
  /** One of these. Never empty. */
  readonly subjects: readonly Subject[];
  /** One of these. Empty: every request. */
  readonly permissions: readonly Permission[];
  /** In the Common Expression Language: true, or the rule does not fit. What fails to evaluate counts as not fitting to allow, and as fitting to deny. */
  readonly when?: string;
}

/** Asks an outside server (Envoy's `envoy.service.auth.v3.Authorization/Check`) after the rules have allowed. */
export interface ExternalAuthorizer {
  readonly cluster: string;
  readonly timeoutMs: number;
  /** Requests pass when it does not answer. */
  readonly failOpen: boolean;
  /** So much of the body goes along; 0: nothing. Longer bodies are cut. */
  readonly bodyBytesMax: number;
}

/** What holds for requests to one service. A rule that denies goes before rules that allow; where none fits, `default` decides. */
export interface AccessPolicy {
  readonly default: 'allow' | 'deny';
  readonly rules: readonly AccessRule[];
  /** Nothing is refused: what would be is logged and counted. */
  readonly audit?: true;
  readonly external?: ExternalAuthorizer;
  /** Of the service and its callers, where a condition asks for them. Callers by SPIFFE id. */
  readonly labels?: {
    readonly destination: Readonly<Record<string, string>>;
    readonly sources: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
}

/** Which tokens count. A token that is there and not valid is refused with 401, whatever the rules say. */
export interface TokenPolicy {
  readonly issuers: readonly TokenIssuer[];
}

// --- what goes out with calls (OAuth 2.0, RFC 6749 §4.4, RFC 8693)

/** A token that the data plane gets and attaches to calls. Its secret is read from a file of the data plane's own machine. */
export interface OutboundToken {
  readonly name: string;
  /** `client-credentials`: in the caller's own name. `token-exchange`: on behalf of whoever the incoming call's token speaks for. */
  readonly grant: 'client-credentials' | 'token-exchange';
  readonly url: string;
  readonly clientId: string;
  readonly clientSecretFile: string;
  readonly scopes: readonly string[];
  readonly audience?: string;
  readonly rootsPem?: string;
  /** Set to `Bearer <token>`. */
  readonly header: string;
}

// --- what the owners of a mesh say

export interface SecurityConfig {
  readonly mtls: MtlsMode;
  readonly tlsMin: TlsVersion;
  readonly issuers: readonly TokenIssuer[];
  readonly access: AccessConfig;
  /** SPIFFE ids that get no certificate any more, and whose connections are closed. */
  readonly denied: readonly string[];
  readonly outboundTokens: readonly OutboundTokenRule[];
}

/** In the words of services. Empty `to`: all services. */
export interface AccessConfig {
  readonly default: 'allow' | 'deny';
  readonly audit?: true;
  readonly rules: readonly (AccessRule & { readonly to: readonly AccessTarget[] })[];
  /** By a service of the mesh. */
  readonly external?: Omit<ExternalAuthorizer, 'cluster'> & { readonly service: ServiceRef };
}

export type AccessTarget =
  | { readonly kind: 'service'; readonly service: ServiceRef }
  | { readonly kind: 'namespace'; readonly namespace: string };

/** Calls of these services to these others get the token. */
export interface OutboundTokenRule {
  readonly token: OutboundToken;
  readonly from: readonly ServiceRef[];
  readonly to: readonly ServiceRef[];
}
