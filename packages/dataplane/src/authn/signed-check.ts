// A signed token against the issuers that may have made it: first what it says, which costs nothing, then its signature. The key is one of the issuer that the token names;
// keys of other issuers are never tried.
import { checkTokenClaims, checkTokenHeader, keysFor, memberOf } from '@heddle/core';
import type { SignedToken } from '@heddle/core';
import type { IssuerKeys } from './issuer-keys.ts';
import { isSignedBy } from './signature.ts';
import type { PolicyIssuer } from './policy-issuer.ts';

/** The issuer whose terms it meets; else why it meets those of none. @param wallMs Unix time. */
export function findTerms(
  issuers: readonly PolicyIssuer[],
  { header, claims }: SignedToken,
  wallMs: number,
): { readonly issuer: PolicyIssuer } | { readonly issuer: string; readonly reason: string } {
  const iss = memberOf(claims, 'iss');
  const named = issuers.filter(({ config }) => config.issuer === iss);
  let refusal = { issuer: '', reason: 'it is of none of the issuers whose tokens count where it was found' };
  for (const issuer of named) {
    const { config } = issuer;
    const reason = checkTokenHeader(header, config) ?? checkTokenClaims(claims, config, wallMs);
    if (reason === undefined) return { issuer };
    refusal = { issuer: config.name, reason };
  }
  return refusal;
}

/** Undefined: one of the issuer's keys has signed it. The keys have come. */
export async function checkSignature(keys: IssuerKeys, text: string, token: SignedToken): Promise<string | undefined> {
  const isNamed = memberOf(token.header, 'kid') !== undefined;
  let found = await tryKeys(keys, text, token);
  // The issuer may have a new key. One that is named and does not fit is no new one.
  if ((found === 'unknown' || (found === 'unfitting' && !isNamed)) && (await keys.askAgain())) found = await tryKeys(keys, text, token);
  if (found === 'fitting') return undefined;
  return found === 'unknown' ? 'its issuer has no such key' : 'its signature is not by a key of its issuer';
}

async function tryKeys({ keys }: IssuerKeys, text: string, token: SignedToken): Promise<'fitting' | 'unfitting' | 'unknown'> {
  const candidates = keysFor(keys!, token.header);
  if (candidates.length === 0) return 'unknown';
  for (const key of candidates) if (await isSignedBy(key, text, token)) return 'fitting';
  return 'unfitting';
}
