// Who is meant by a rule, compiled. What is not known about a caller is to the disadvantage of the caller: it does not fit who is allowed, and
// fits who is denied.
import { claimFits } from '../authn/claims.ts';
import type { IdentityMatch, Subject, TokenMatch } from '../model/security.ts';
import { RouteFault } from '../routing/error.ts';
import type { Facts } from './facts.ts';
import { Network } from './network.ts';

export class CompiledSubject {
  readonly config: Subject;
  readonly networks: readonly Network[] | undefined;
  private readonly denies: boolean;

  /** @throws RouteFault */
  constructor(config: Subject, denies: boolean) {
    checkIdentities(config.identities);
    if (config.networks?.length === 0) throw new RouteFault('the list of networks is empty, so that nobody fits', 'leave it out for all');
    checkToken(config.token);
    this.config = config;
    this.networks = config.networks?.map((network) => new Network(network));
    this.denies = denies;
  }

  /** @param assumeToken as if the right token had come. */
  fits(facts: Facts, assumeToken: boolean): boolean {
    const { identities, token } = this.config;
    if (identities !== undefined && !identityFits(identities, facts.view.sourceIdentity)) return false;
    if (this.networks !== undefined && !this.addressFits(facts)) return false;
    return token === undefined || assumeToken || tokenFits(token, facts);
  }

  addressFits(facts: Facts): boolean {
    const { address } = facts;
    if (address.version === 0) return this.denies;
    for (const network of this.networks ?? []) if (network.has(address)) return true;
    return false;
  }
}

function checkIdentities(identities: Subject['identities']): void {
  if (identities?.length === 0) throw new RouteFault('the list of identities is empty, so that nobody fits', 'leave it out for everybody');
  for (const match of identities ?? []) {
    const text = match.kind === 'exact' ? match.id : match.kind === 'prefix' ? match.prefix : 'spiffe://';
    if (!text.startsWith('spiffe://'))
      throw new RouteFault(`"${text}" is not a SPIFFE id`, 'write one as "spiffe://mesh.internal/ns/default/svc/web"');
    if (match.kind === 'prefix' && !text.endsWith('/'))
      throw new RouteFault(
        `the prefix "${text}" ends within a name, so that names which only begin alike would fit too`,
        'end it with "/", or give the whole id',
      );
  }
}

function checkToken(token: TokenMatch | undefined): void {
  for (const { claim, values } of token?.claims ?? []) {
    if (claim.length === 0 || claim.includes('')) throw new RouteFault('a claim has no name', 'name it');
    if (values.length === 0)
      throw new RouteFault(`claim "${claim.join('.')}" has no values, so that no token fits`, 'give at least one value');
  }
}

/** @param id empty: nothing was proven, and no match fits. */
export function identityFits(matches: readonly IdentityMatch[], id: string): boolean {
  if (id === '') return false;
  for (let index = 0; index < matches.length; index++) {
    const match = matches[index] as IdentityMatch;
    if (match.kind === 'any' || (match.kind === 'exact' ? match.id === id : id.startsWith(match.prefix))) return true;
  }
  return false;
}

export function tokenFits({ issuers, claims }: TokenMatch, { view }: Facts): boolean {
  const token = view.claims;
  if (token === undefined || (issuers.length > 0 && !issuers.includes(token.issuer))) return false;
  for (const match of claims) if (!claimFits(token.claims, match)) return false;
  return true;
}
