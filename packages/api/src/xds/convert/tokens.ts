// Tokens that come with requests and tokens that go out with them: heddle.config.v1.TokenPolicy and AttachedToken. Secrets are no part of either:
// what travels is the name of the file in which a data plane finds its own.
import type { AttachedToken, ClaimHeader, IntrospectionPolicy, KeySource, OutboundToken } from '@heddle/core';
import type { TokenAlgorithm, TokenIssuer, TokenPolicy, TokenSource } from '@heddle/core';
import {
  type AttachedToken as AttachedMessage,
  type ClaimHeader as ClaimHeaderMessage,
  type Introspection,
  type OutboundToken as OutboundMessage,
  TokenAlgorithm as AlgorithmMessage,
  TokenGrant,
  type TokenIssuer as IssuerMessage,
  type TokenPolicy as PolicyMessage,
  type TokenSource as SourceMessage,
} from '../../gen/own/heddle/config/v1/security.ts';
import { atLeastOne, claimPath, cookieName, givenOrAbsent, headerName, headerValue, milliseconds, spiffeText, words } from './extension.ts';
import type { At } from './rejection.ts';
import { required, requiredText } from './values.ts';

const ALGORITHMS = words<TokenAlgorithm, AlgorithmMessage>({
  RS256: AlgorithmMessage.TOKEN_ALGORITHM_RS256,
  RS384: AlgorithmMessage.TOKEN_ALGORITHM_RS384,
  RS512: AlgorithmMessage.TOKEN_ALGORITHM_RS512,
  PS256: AlgorithmMessage.TOKEN_ALGORITHM_PS256,
  PS384: AlgorithmMessage.TOKEN_ALGORITHM_PS384,
  PS512: AlgorithmMessage.TOKEN_ALGORITHM_PS512,
  ES256: AlgorithmMessage.TOKEN_ALGORITHM_ES256,
  ES384: AlgorithmMessage.TOKEN_ALGORITHM_ES384,
  ES512: AlgorithmMessage.TOKEN_ALGORITHM_ES512,
  EdDSA: AlgorithmMessage.TOKEN_ALGORITHM_EDDSA,
});
const GRANTS = words<OutboundToken['grant'], TokenGrant>({
  'client-credentials': TokenGrant.TOKEN_GRANT_CLIENT_CREDENTIALS,
  'token-exchange': TokenGrant.TOKEN_GRANT_TOKEN_EXCHANGE,
});
const URL_PROTOCOLS: readonly string[] = ['https:', 'http:'];

export function encodeTokens({ issuers }: TokenPolicy, at: At): PolicyMessage {
  return { issuers: issuers.map((issuer, index) => encodeIssuer(issuer, at.item('issuers', index))) };
}

function encodeIssuer({ keys, algorithms, sources, claimHeaders, audiences, ...rest }: TokenIssuer, at: At): IssuerMessage {
  givenOrAbsent(rest.rootsPem, at.field('roots_pem'));
  return {
    ...rest,
    audiences: [...audiences],
    keys: encodeKeys(keys),
    algorithms: algorithms.map((algorithm) => ALGORITHMS.toWire[algorithm]),
    sources: sources.map(encodeSource),
    claimHeaders: claimHeaders.map(({ claim, header }) => ({ claim: [...claim], header })),
  };
}

function encodeKeys(keys: KeySource): NonNullable<IssuerMessage['keys']> {
  if (keys.kind === 'discovery') return { $case: 'discovery', value: {} };
  return keys.kind === 'url' ? { $case: 'url', value: keys.url } : { $case: 'inline', value: keys.jwks };
}

function encodeSource(source: TokenSource): SourceMessage {
  return {
    kind:
      source.kind === 'cookie'
        ? { $case: 'cookie', value: source.name }
        : { $case: 'header', value: { name: source.name, prefix: source.prefix } },
  };
}

export function decodeTokens(message: PolicyMessage, at: At): TokenPolicy {
  const taken = new Set<string>();
  const issuers = atLeastOne(message.issuers, at.field('issuers')).map((issuer, index) => {
    const inside = at.item('issuers', index);
    const decoded = decodeIssuer(issuer, inside);
    if (taken.has(decoded.name)) inside.field('name').reject(`${JSON.stringify(decoded.name)} is the name of an earlier issuer already`);
    taken.add(decoded.name);
    return decoded;
  });
  return { issuers };
}

function decodeIssuer(message: IssuerMessage, at: At): TokenIssuer {
  const { audiences, algorithms, sources, claimHeaders = [], rootsPem = '', introspection } = message;
  return {
    name: requiredText(message.name, at.field('name')),
    issuer: requiredText(message.issuer, at.field('issuer')),
    audiences: atLeastOne(audiences, at.field('audiences')).map((one, index) => requiredText(one, at.item('audiences', index))),
    keys: decodeKeys(message.keys, at),
    keysMaxAgeMs: milliseconds(message.keysMaxAgeMs, at.field('keys_max_age_ms'), 1),
    ...(rootsPem !== '' && { rootsPem }),
    algorithms: atLeastOne(algorithms, at.field('algorithms')).map((one, index) => ALGORITHMS.fromWire(one, at.item('algorithms', index))),
    sources: atLeastOne(sources, at.field('sources')).map((source, index) => decodeSource(source, at.item('sources', index))),
    skewMs: milliseconds(message.skewMs, at.field('skew_ms')),
    claimHeaders: decodeClaimHeaders(claimHeaders, at),
    forward: message.forward === true,
    ...(introspection !== undefined && { introspection: decodeIntrospection(introspection, at.field('introspection')) }),
  };
}

function decodeKeys(keys: IssuerMessage['keys'], at: At): KeySource {
  const given = required(keys, at.field('keys'));
  if (given.$case === 'discovery') return { kind: 'discovery' };
  if (given.$case === 'url') return { kind: 'url', url: webAddress(given.value, at.field('url')) };
  return { kind: 'inline', jwks: requiredText(given.value, at.field('inline')) };
}

function decodeSource({ kind }: SourceMessage, at: At): TokenSource {
  const given = required(kind, at);
  if (given.$case === 'cookie') return { kind: 'cookie', name: cookieName(given.value, at.field('cookie')) };
  const inside = at.field('header');
  const { name, prefix } = given.value;
  return { kind: 'header', name: headerName(name, inside.field('name')), prefix: headerValue(prefix, inside.field('prefix')) };
}

/** Two claims in one header would have to be told apart by whoever reads it. */
function decodeClaimHeaders(messages: readonly ClaimHeaderMessage[], at: At): ClaimHeader[] {
  const taken = new Set<string>();
  return messages.map(({ claim, header }, index) => {
    const inside = at.item('claim_headers', index);
    const name = headerName(header, inside.field('header'));
    if (taken.has(name)) inside.field('header').reject(`${JSON.stringify(name)} is listed twice`);
    taken.add(name);
    return { claim: claimPath(claim, inside), header: name };
  });
}

function decodeIntrospection({ url, clientId, clientSecretFile, cacheMs }: Introspection, at: At): IntrospectionPolicy {
  return {
    url: webAddress(url, at.field('url')),
    clientId: requiredText(clientId, at.field('client_id')),
    clientSecretFile: requiredText(clientSecretFile, at.field('client_secret_file')),
    cacheMs: milliseconds(cacheMs, at.field('cache_ms')),
  };
}

export function encodeAttached({ from, token }: AttachedToken, at: At): AttachedMessage {
  const inside = at.field('token');
  givenOrAbsent(token.audience, inside.field('audience'));
  givenOrAbsent(token.rootsPem, inside.field('roots_pem'));
  return { from: [...from], token: { ...token, grant: GRANTS.toWire[token.grant], scopes: [...token.scopes] } };
}

export function decodeAttached({ from = [], token }: AttachedMessage, at: At): AttachedToken {
  const inside = at.field('token');
  return {
    from: from.map((id, index) => spiffeText(id, at.item('from', index))),
    token: decodeOutbound(required(token, inside), inside),
  };
}

function decodeOutbound(message: OutboundMessage, at: At): OutboundToken {
  const { scopes = [], audience = '', rootsPem = '' } = message;
  return {
    name: requiredText(message.name, at.field('name')),
    grant: GRANTS.fromWire(message.grant, at.field('grant')),
    url: webAddress(message.url, at.field('url')),
    clientId: requiredText(message.clientId, at.field('client_id')),
    clientSecretFile: requiredText(message.clientSecretFile, at.field('client_secret_file')),
    scopes: scopes.map((scope, index) => requiredText(scope, at.item('scopes', index))),
    ...(audience !== '' && { audience }),
    ...(rootsPem !== '' && { rootsPem }),
    header: headerName(message.header, at.field('header')),
  };
}

/** Kept as it is written. */
function webAddress(value: string | undefined, at: At): string {
  const text = requiredText(value, at);
  const protocol = URL.canParse(text) ? new URL(text).protocol : '';
  return URL_PROTOCOLS.includes(protocol) ? text : at.reject(`${JSON.stringify(text)} is not a URL of http or https`);
}
