// Who a rule or a role is for: services, identities, networks, tokens.
import { Network } from '../../authz/network.ts';
import { DEFAULT_NAMESPACE } from '../../model/service.ts';
import { claimPathOf } from '../build/access.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { listed, nearest } from '../suggest.ts';
import { checkTwice, compileFault, items, keyFault, noEffect, present, recordOf, valueFault, warning, type Raw } from './raw.ts';
import type { SecurityNames } from './security-names.ts';

export const WHO_WORDS: readonly string[] = ['anyone', 'mesh', 'operator'];
/** Only a token can show them. */
export const OF_TOKENS: readonly string[] = ['jwt', 'claims', 'groups', 'roles'];
const OF_PEERS: readonly string[] = ['service', 'namespace', 'identity', 'network'];
const EXAMPLE = 'service: web';

/** @param path of the list, or of the only one. */
export function checkWhos(written: unknown, names: SecurityNames, issuers: readonly string[], path: Path): Fault[] {
  const all = items(written, path);
  return [
    ...all.flatMap(({ value, path: at }) => checkWho(value, names, issuers, at)),
    ...checkSame(all),
    ...checkCovered(all, 'anyone', 'everybody'),
    ...checkCovered(all, 'mesh', 'every identity of the mesh'),
  ];
}

function checkWho(who: unknown, names: SecurityNames, issuers: readonly string[], path: Path): Fault[] {
  if (typeof who === 'string') {
    if (who === '*') return [valueFault(path, '"*" could mean two things here', 'write "mesh" for every identity, "anyone" for everybody')];
    if (!WHO_WORDS.includes(who)) return names.checkService(who, path, WHO_WORDS);
    if (!Object.hasOwn(names.services, who)) return [];
    const mend = `write "${DEFAULT_NAMESPACE}/${who}" for the service; better, give it another name`;
    return [warning(valueFault(path, `${shown(who)} is a word of rules, and a service is called so, too: the word is meant`, mend))];
  }
  if (!isRecord(who)) return [];
  if (present(who, [...OF_PEERS, ...OF_TOKENS]).length === 0)
    return [valueFault(path, 'says nothing about who', `for example "${EXAMPLE}", or "anyone" in place of the map`)];
  return [...checkPeer(who, names, path), ...checkToken(who, issuers, path)];
}

function checkPeer(who: Raw, names: SecurityNames, path: Path): Fault[] {
  const { service, namespace, identity, network } = who;
  const faults: Fault[] = [];
  if (identity !== undefined)
    for (const key of present(who, ['service', 'namespace']))
      faults.push(keyFault([...path, key], 'stands beside "identity", and only one of them can count', 'remove one of the two'));
  faults.push(...checkServiceAndNamespace(service, namespace, names, path));
  if (typeof identity === 'string' && identity !== '') faults.push(...names.checkIdentity(identity, [...path, 'identity'], true));
  if (typeof network === 'string' && network !== '') faults.push(...compileFault([...path, 'network'], () => new Network(network)));
  return faults;
}

/** @param path of the map that has them. */
export function checkServiceAndNamespace(service: unknown, namespace: unknown, names: SecurityNames, path: Path): Fault[] {
  if (typeof service === 'string' && service !== '') {
    if (typeof namespace !== 'string') return names.checkService(service, [...path, 'service']);
    if (service.includes('/'))
      return [valueFault([...path, 'service'], `${shown(service)} has a namespace already`, 'remove one of the two')];
    return names.checkServiceIn(namespace, service, [...path, 'service']);
  }
  return typeof namespace === 'string' && namespace !== '' ? names.checkNamespace(namespace, [...path, 'namespace']) : [];
}

/** @param map that has `jwt`, `claims`, `groups` or `roles`. @param issuers names of all. */
export function checkToken(map: Raw, issuers: readonly string[], path: Path): Fault[] {
  const faults = items(map['jwt'], [...path, 'jwt']).flatMap(({ value, path: at }): Fault[] =>
    typeof value !== 'string' || value === '' || issuers.includes(value) ? [] : [unknownIssuer(value, issuers, at)],
  );
  for (const key of ['jwt', 'groups', 'roles']) faults.push(...checkTwice(map[key], [...path, key]));
  faults.push(...checkClaims(map['claims'], [...path, 'claims']));
  const [needing] = present(map, ['claims', 'groups', 'roles']);
  if (needing === undefined || map['jwt'] !== undefined || issuers.length === 1) return faults;
  faults.push(
    issuers.length === 0
      ? keyFault([...path, needing], 'only a token can say this, and there are no issuers of tokens', 'add "issuers" to "security"')
      : keyFault([...path, needing], 'does not say whose token must say this', `add "jwt: NAME" with ${listed(issuers)}`),
  );
  return faults;
}

function unknownIssuer(name: string, issuers: readonly string[], path: Path): Fault {
  const meant = nearest(name, issuers);
  const mend =
    meant !== undefined
      ? `did you mean "${meant}"?`
      : issuers.length > 0
        ? `use ${listed(issuers)}, or add it to "issuers"`
        : 'add it to "issuers" of "security"';
  return valueFault(path, `there is no issuer ${shown(name)}`, mend);
}

function checkClaims(claims: unknown, path: Path): Fault[] {
  if (!isRecord(claims)) return [];
  const names = Object.keys(claims);
  if (names.length === 0) return [valueFault(path, 'asks for no claim', 'remove it; "jwt: NAME" alone asks for a valid token')];
  return names.flatMap((name) => [...checkClaimPath(name, [...path, name], 'key'), ...checkTwice(claims[name], [...path, name])]);
}

/** The longest path that is looked at. */
const CLAIM_DEPTH_MAX = 16;

export function checkClaimPath(written: unknown, path: Path, on: Fault['on']): Fault[] {
  if (typeof written !== 'string') return [];
  const steps = claimPathOf(written);
  if (steps.includes(''))
    return [{ path, on, reason: `${shown(written)} is not the name of a claim: dots lead into maps`, mend: 'for example "realm.roles"' }];
  if (steps.length <= CLAIM_DEPTH_MAX) return [];
  return [{ path, on, reason: `${shown(written)} leads through more than ${CLAIM_DEPTH_MAX} maps`, mend: 'let the issuer put it higher' }];
}

function checkSame(all: readonly { readonly value: unknown; readonly path: Path }[]): Fault[] {
  const seen = new Set<string>();
  return all.flatMap(({ value, path }): Fault[] => {
    const key = JSON.stringify(value);
    if (value === null || value === undefined || !seen.has(key)) {
      seen.add(key);
      return [];
    }
    return [valueFault(path, isRecord(value) ? 'is listed twice' : `${shown(value)} is listed twice`, 'remove one of the two')];
  });
}

/** Others beside a word that stands for them too. */
function checkCovered(all: readonly { readonly value: unknown; readonly path: Path }[], word: string, meaning: string): Fault[] {
  if (!all.some(({ value }) => value === word)) return [];
  return all
    .filter(({ value }) => value !== word && (word === 'anyone' || isOfMesh(value)))
    .map(({ path }) => noEffect(path, `"${word}" stands beside it and is ${meaning}`, 'remove one of the two'));
}

function isOfMesh(who: unknown): boolean {
  if (typeof who === 'string') return !WHO_WORDS.includes(who) || who === 'operator';
  return present(recordOf(who), ['service', 'namespace', 'identity']).length > 0;
}
