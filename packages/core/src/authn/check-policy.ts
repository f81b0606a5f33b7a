// Token policies before they are applied: what would refuse everything, or could not be carried out, is said at once and not found out by callers.
import { inPart } from '../authz/error.ts';
import type { OutboundToken, TokenAlgorithm, TokenIssuer, TokenPolicy, TokenSource } from '../model/security.ts';
import { RouteFault } from '../routing/error.ts';
import { checkChangeable } from '../routing/header-changes.ts';
import { parseKeySet } from './key-set.ts';

const ALGORITHMS: Readonly<Record<TokenAlgorithm, true>> = {
  RS256: true,
  RS384: true,
  RS512: true,
  PS256: true,
  PS384: true,
  PS512: true,
  ES256: true,
  ES384: true,
  ES512: true,
  EdDSA: true,
};
/** RFC 9110 §5.6.2, RFC 6265 §4.1.1. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Places where tokens may be, of all issuers together: each costs every request a look. */
const PLACES_MAX = 16;

/** @throws AccessPolicyError */
export function checkTokenPolicy({ issuers }: TokenPolicy): void {
  const names = new Set<string>();
  for (const issuer of issuers) {
    inPart('', `issuer "${issuer.name}"`, () => {
      if (names.has(issuer.name)) throw new RouteFault('there are two of this name', 'give each a name of its own');
      checkIssuer(issuer);
    });
    names.add(issuer.name);
  }
  const sources = issuers.flatMap((issuer) => issuer.sources);
  const places = new Set(sources.map(placeOf));
  const headers = new Set(sources.flatMap(({ kind, name }) => (kind === 'header' ? [name.toLowerCase()] : [])));
  inPart('', 'issuers', () => {
    if (places.size > PLACES_MAX) throw new RouteFault(`tokens may be in ${places.size} places`, `name at most ${PLACES_MAX}`);
    const taken = issuers.flatMap(({ claimHeaders }) => claimHeaders).find(({ header }) => headers.has(header.toLowerCase()));
    if (taken !== undefined) throw new RouteFault(`tokens come in the header "${taken.header}", so no claim can`, 'use another one');
  });
}

/** The same text for what is the same place. */
export function placeOf(source: TokenSource): string {
  return source.kind === 'cookie' ? `cookie ${source.name}` : `header ${source.name.toLowerCase()} ${source.prefix.toLowerCase()}`;
}

function checkIssuer({ issuer, audiences, algorithms, sources, keys, keysMaxAgeMs, skewMs, claimHeaders }: TokenIssuer): void {
  if (issuer === '') throw new RouteFault('the text that its tokens have in "iss" is missing', 'name the issuer');
  if (audiences.length === 0) throw new RouteFault('it has no audience, so no token could be for this service', 'name at least one');
  if (algorithms.length === 0) throw new RouteFault('it has no algorithm, so no signature could be right', 'name at least one');
  const unknown = algorithms.find((algorithm) => !Object.hasOwn(ALGORITHMS, algorithm));
  if (unknown !== undefined)
    throw new RouteFault(`the algorithm "${unknown}" is not known`, `use some of ${Object.keys(ALGORITHMS).join(', ')}`);
  if (sources.length === 0) throw new RouteFault('it is not said where its tokens are', 'name a header or a cookie');
  const unnamed = sources.find(({ name }) => !NAME.test(name));
  if (unnamed !== undefined) throw new RouteFault(`"${unnamed.name}" is not the name of a ${unnamed.kind}`, 'write the name alone');
  if (!(keysMaxAgeMs > 0)) throw new RouteFault('its keys would be asked for without a pause', 'give a time above 0');
  if (!(skewMs >= 0 && Number.isFinite(skewMs))) throw new RouteFault('clocks cannot differ by this', 'give a time of 0 or more');
  for (const { header } of claimHeaders) checkChangeable(header);
  if (keys.kind !== 'inline') return;
  const set = parseKeySet(keys.jwks);
  if (typeof set === 'string') throw new RouteFault(`its keys cannot be used: ${set}`, 'give a JSON Web Key Set with public keys');
}

/** @throws AccessPolicyError */
export function checkOutboundToken({ name, header, grant, url }: OutboundToken): void {
  inPart('', `token "${name}"`, () => {
    checkChangeable(header);
    if (grant !== 'client-credentials' && grant !== 'token-exchange')
      throw new RouteFault(`the grant "${String(grant)}" is not known`, 'use client-credentials or token-exchange');
    if (!URL.canParse(url)) throw new RouteFault('the place where it is issued is no URL', 'write it with https://');
  });
}
