// Tokens that calls are given: services and hosts that exist, one token for each way, and nothing sent in the open.
import { egressNames } from '../build/security.ts';
import { carriesBytes } from '../build/traffic.ts';
import { ipBytes } from '../../identity/ip.ts';
import { checkChangeable } from '../../routing/header-changes.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { authoritiesProblem } from '../named-files.ts';
import { arrayOf, checkTwice, compileFault, items, recordOf, valueFault, type Raw } from './raw.ts';
import type { SecurityFiles } from './security-files.ts';
import type { SecurityNames } from './security-names.ts';
import { checkUrl } from './urls.ts';

const USUAL_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export interface OutboundScope {
  readonly names: SecurityNames;
  readonly files: SecurityFiles;
  /** As it stands in the file. */
  readonly egress: unknown;
  /** Whether tokens of incoming calls are read at all. */
  readonly hasIssuers: boolean;
}

/** @param path of the list. */
export function checkOutbound(outbound: unknown, scope: OutboundScope, path: Path): Fault[] {
  const names = new Map<string, number>();
  const ways = new Map<string, number>();
  return arrayOf(outbound).flatMap((token, index): Fault[] => {
    if (!isRecord(token)) return [];
    const at = [...path, index];
    const faults = checkToken(token, scope, at);
    const { name } = token;
    if (typeof name === 'string' && name !== '') {
      const first = names.get(name);
      if (first !== undefined)
        faults.push(valueFault([...at, 'name'], `outbound[${first}] is called ${shown(name)} already`, 'give each a name of its own'));
      else names.set(name, index);
    }
    return [...faults, ...checkWays(token, ways, index, at)];
  });
}

/** Only the first token for a caller and a called service counts. */
function checkWays(token: Raw, ways: Map<string, number>, index: number, path: Path): Fault[] {
  const callers = items(token['from'], []).map(({ value }) => value);
  return items(token['to'], [...path, 'to']).flatMap(({ value: called, path: at }): Fault[] => {
    const keys = callers.map((caller) => JSON.stringify([caller, called]));
    const taken = keys.map((key) => ways.get(key)).find((first) => first !== undefined && first !== index);
    for (const key of keys) if (!ways.has(key)) ways.set(key, index);
    if (taken === undefined) return [];
    return [
      valueFault(
        at,
        `outbound[${taken}] has a token for these calls already, and only the first one is attached`,
        'remove it from one of the two',
      ),
    ];
  });
}

function checkToken(token: Raw, { names, files, egress, hasIssuers }: OutboundScope, path: Path): Fault[] {
  const { grant, header } = token;
  const faults = items(token['from'], [...path, 'from']).flatMap(({ value, path: at }): Fault[] =>
    typeof value === 'string' ? names.checkService(value, at) : [],
  );
  faults.push(
    ...checkTwice(token['from'], [...path, 'from']),
    ...checkTwice(token['to'], [...path, 'to']),
    ...checkTwice(token['scopes'], [...path, 'scopes']),
    ...items(token['to'], [...path, 'to']).flatMap(({ value, path: at }) =>
      typeof value === 'string' ? checkCalled(value, names, egress, at) : [],
    ),
    ...checkUrl(token['url'], 'read the secret and the token', [...path, 'url']),
    ...files.checkSecret(token['clientSecretFile'], [...path, 'clientSecretFile']),
    ...files.check(token['roots'], authoritiesProblem, [...path, 'roots']),
  );
  if (typeof header === 'string' && header !== '') faults.push(...compileFault([...path, 'header'], () => checkChangeable(header)));
  if (grant === 'token-exchange' && !hasIssuers) {
    const reason = 'a token is exchanged for that of the incoming call, and no issuer says which of those are valid';
    faults.push(valueFault([...path, 'grant'], reason, 'add "issuers" to "security", or use "client-credentials"'));
  }
  return faults;
}

function checkCalled(name: string, names: SecurityNames, egress: unknown, path: Path): Fault[] {
  const hosts = arrayOf(egress).flatMap((entry) => {
    const { host, port, protocol = 'tcp' } = recordOf(entry);
    if (typeof host !== 'string') return [];
    const known = egressNames(host.toLowerCase(), Number(port ?? USUAL_PORTS[String(protocol)]));
    return known.includes(name.toLowerCase()) ? [{ protocol, host }] : [];
  });
  if (hosts.length > 0) {
    const open = hosts.find(({ protocol, host: at }) => protocol === 'http' && !isLoopback(at));
    if (open !== undefined)
      return [
        inTheClear(
          name,
          open.host,
          hosts.some(({ protocol }) => protocol === 'https'),
          path,
        ),
      ];
    if (!hosts.some(({ protocol }) => protocol === 'tcp')) return [];
    const reason = `${shown(name)} has protocol "tcp" in "egress": its bytes are carried as they are, and no token can be put into them`;
    return [valueFault(path, reason, 'use protocol "https" there')];
  }
  if (name.includes('.'))
    return [valueFault(path, `there is no host ${shown(name)} in "egress"`, `add "{ host: ${hostOf(name)}, protocol: https }" to it`)];
  const { protocol } = recordOf(names.services[name]);
  if (Object.hasOwn(names.services, name) && carriesBytes(protocol)) {
    const reason = `${shown(name)} has protocol ${shown(protocol)}: it is carried as a byte stream, into which no token can be put`;
    return [valueFault(path, reason, 'remove it')];
  }
  return names.checkService(name, path);
}

/** RFC 6750 §5.3: bearer tokens are for connections that nobody else reads. */
function inTheClear(name: string, host: string, hasTls: boolean, path: Path): Fault {
  const reason = `${shown(name)} has protocol "http" in "egress": whoever is on the way could read the token`;
  return valueFault(path, reason, hasTls ? `name the port that has TLS, as in "${host}:443"` : 'use protocol "https" there');
}

function isLoopback(host: string): boolean {
  const bytes = ipBytes(host);
  return bytes?.length === 4 ? bytes[0] === 127 : bytes?.at(-1) === 1 && bytes.slice(0, -1).every((byte) => byte === 0);
}

function hostOf(name: string): string {
  const host = name.replace(/:\d+$/, '');
  return host.length > 120 ? 'HOST' : host;
}
