// Who is meant by an access rule, in Envoy's words: by the certificate of the peer, the address of the connection, and the claims that the filter
// for tokens has put into its metadata.
import type { ClaimMatch, IdentityMatch, Subject, TokenMatch } from '@heddle/core';
import type { CidrRange } from '../../../gen/foreign/envoy/config/core/v3/address.ts';
import type { Principal } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import type { StringMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/string.ts';
import type { ValueMatcher } from '../../../gen/foreign/envoy/type/matcher/v3/value.ts';
import { escaped } from './envoy-match.ts';
import { CLAIMS_KEY, TOKEN_FILTER } from './envoy-tokens.ts';

const SPIFFE_SCHEME = 'spiffe://';
const ANYBODY: Principal = { identifier: { $case: 'any', value: true } };
/** Lists of words (RFC 8693 §4.2); some issuers call it `scp`. */
const SCOPES: readonly string[] = ['scope', 'scp'];

/** `issuers`: names and what tokens of theirs have in `iss`. */
export function subjectPrincipal({ identities, networks, token }: Subject, issuers: ReadonlyMap<string, string>): Principal {
  return allOf([
    ...(identities === undefined ? [] : [oneOf(identities.map(identityPrincipal))]),
    ...(networks === undefined ? [] : [oneOf(networks.map(networkPrincipal))]),
    ...(token === undefined ? [] : tokenPrincipals(token, issuers)),
  ]);
}

/** Only peers with an identity of the trust domain get through the TLS of the listener. */
export function identityPrincipal(match: IdentityMatch): Principal {
  const name: StringMatcher['matchPattern'] =
    match.kind === 'exact'
      ? { $case: 'exact', value: match.id }
      : { $case: 'prefix', value: match.kind === 'any' ? SPIFFE_SCHEME : match.prefix };
  return { identifier: { $case: 'authenticated', value: { principalName: { matchPattern: name } } } };
}

function networkPrincipal(network: string): Principal {
  const [addressPrefix = '', length] = network.split('/');
  const prefixLen = length === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(length);
  const range: CidrRange = { addressPrefix, prefixLen };
  return { identifier: { $case: 'directRemoteIp', value: range } };
}

function tokenPrincipals({ issuers, claims }: TokenMatch, known: ReadonlyMap<string, string>): Principal[] {
  const names = issuers.length > 0 ? issuers : [...known.keys()];
  const texts = names.flatMap((name) => known.get(name) ?? []);
  return [oneOf(texts.map((issuer) => claimIs(['iss'], text(issuer)))), ...claims.map(claimPrincipal)];
}

function claimPrincipal({ claim, values }: ClaimMatch): Principal {
  const isScope = claim.length === 1 && SCOPES.includes(claim[0] ?? '');
  const matchers = values.flatMap((value): ValueMatcher[] => {
    const plain = valueMatcher(value);
    const inList: ValueMatcher = { matchPattern: { $case: 'listMatch', value: { matchPattern: { $case: 'oneOf', value: plain } } } };
    if (!isScope || typeof value !== 'string' || value === '') return [plain, inList];
    const words: StringMatcher = { matchPattern: { $case: 'safeRegex', value: { regex: `(?:.* )?${escaped(value)}(?: .*)?` } } };
    return [plain, inList, { matchPattern: { $case: 'stringMatch', value: words } }];
  });
  return claimIs(claim, { matchPattern: { $case: 'orMatch', value: { valueMatchers: matchers } } });
}

function valueMatcher(value: string | number | boolean): ValueMatcher {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'boolean') return { matchPattern: { $case: 'boolMatch', value } };
  return { matchPattern: { $case: 'doubleMatch', value: { matchPattern: { $case: 'exact', value } } } };
}

function text(value: string): ValueMatcher {
  return { matchPattern: { $case: 'stringMatch', value: { matchPattern: { $case: 'exact', value } } } };
}

function claimIs(claim: readonly string[], value: ValueMatcher): Principal {
  const path = [CLAIMS_KEY, ...claim].map((key) => ({ segment: { $case: 'key' as const, value: key } }));
  return { identifier: { $case: 'metadata', value: { filter: TOKEN_FILTER, path, value } } };
}

function allOf(ids: readonly Principal[]): Principal {
  const [one, ...others] = ids;
  if (one === undefined) return ANYBODY;
  return others.length === 0 ? one : { identifier: { $case: 'andIds', value: { ids: [...ids] } } };
}

/** Nobody, of none. */
function oneOf(ids: readonly Principal[]): Principal {
  const [one, ...others] = ids;
  if (one === undefined) return { identifier: { $case: 'notId', value: ANYBODY } };
  return others.length === 0 ? one : { identifier: { $case: 'orIds', value: { ids: [...ids] } } };
}
