// Whose tokens count: names, addresses, where tokens and keys are, and headers made of claims.
import { BEARER_HEADER } from '../build/security.ts';
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { authoritiesProblem } from '../named-files.ts';
import { TOKEN_PATTERN } from '../schema/fields.ts';
import { DEFAULT_ALGORITHMS } from '../schema/issuer.ts';
import { arrayOf, checkExactlyOne, checkTwice, items, keyFault, noEffect, recordOf, valueFault, type Raw } from './raw.ts';
import { keySetProblem } from './key-set.ts';
import type { SecurityFiles } from './security-files.ts';
import { checkUrl, parseUrl } from './urls.ts';
import { checkClaimPath } from './who.ts';

const FORGE = 'put keys of its own in place of the right ones';
/** They say where a message begins, ends and goes to, or what its body is; or carry what the mesh and its data planes say. */
const NOT_FOR_CLAIMS: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'traceparent',
  'tracestate',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'x-request-id',
]);
const NOT_FOR_CLAIMS_PREFIXES = ['grpc-', 'sec-websocket-', 'x-envoy-', 'x-forwarded-', 'x-heddle-'];
/** Headers that carry no token: data planes end them, or say with them what is their own. */
const NOT_FOR_TOKENS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'content-type',
  'host',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** @param path of the list. */
export function checkIssuers(issuers: unknown, files: SecurityFiles, path: Path): Fault[] {
  const names = new Map<string, number>();
  const urls = new Map<string, number>();
  const all = arrayOf(issuers);
  const sources = new Set(all.flatMap((issuer) => headersOf(recordOf(issuer)['from'])));
  return all.flatMap((issuer, index): Fault[] => {
    if (!isRecord(issuer)) return [];
    const at = [...path, index];
    return [
      ...checkUnique(issuer['name'], names, index, [...at, 'name'], 'give each issuer a name of its own'),
      ...checkUnique(issuer['issuer'], urls, index, [...at, 'issuer'], 'put the audiences of both into one'),
      ...checkIssuer(issuer, sources, files, at),
    ];
  });
}

function checkUnique(value: unknown, seen: Map<string, number>, index: number, path: Path, mend: string): Fault[] {
  if (typeof value !== 'string' || value === '') return [];
  const first = seen.get(value);
  if (first === undefined) {
    seen.set(value, index);
    return [];
  }
  return [valueFault(path, `issuers[${first}] has ${shown(value)} already`, mend)];
}

function checkIssuer(issuer: Raw, sources: ReadonlySet<string>, files: SecurityFiles, path: Path): Fault[] {
  return [
    ...checkIssuerUrl(issuer, [...path, 'issuer']),
    ...checkTwice(issuer['audiences'], [...path, 'audiences']),
    ...checkTwice(issuer['algorithms'], [...path, 'algorithms']),
    ...checkKeys(issuer, files, path),
    ...checkSources(issuer['from'], [...path, 'from']),
    ...checkClaimHeaders(issuer['claimHeaders'], sources, [...path, 'claimHeaders']),
    ...checkClaimPath(issuer['rolesClaim'], [...path, 'rolesClaim'], 'value'),
    ...checkClaimPath(issuer['groupsClaim'], [...path, 'groupsClaim'], 'value'),
    ...checkIntrospection(issuer['introspection'], files, [...path, 'introspection']),
  ];
}

/** A URL, or with keys of its own any text (RFC 7519 §4.1.1). */
function checkIssuerUrl({ issuer, keys }: Raw, path: Path): Fault[] {
  if (typeof issuer !== 'string' || issuer === '') return [];
  if (issuer.trim() !== issuer) return [valueFault(path, 'has blanks at its ends, and is compared as text', `write "${issuer.trim()}"`)];
  const url = parseUrl(issuer);
  if (url !== undefined) {
    const faults = checkUrl(issuer, FORGE, path);
    if (faults.length > 0 || keys !== undefined || url.search === '') return faults;
    return [
      valueFault(path, `${shown(issuer)} has a "?", so that no document about it can be found`, 'say with "keys" where its keys are'),
    ];
  }
  if (keys !== undefined) return [];
  const mend = 'write the URL that its tokens have in "iss", or say with "keys" where its keys are';
  return [valueFault(path, `${shown(issuer)} is not a URL, so that its keys cannot be found`, mend)];
}

function checkKeys(issuer: Raw, files: SecurityFiles, path: Path): Fault[] {
  const { keys, roots, introspection } = issuer;
  const at = [...path, 'keys'];
  const faults: Fault[] = [];
  if (typeof keys === 'string') faults.push(...checkUrl(keys, FORGE, at));
  if (isRecord(keys)) {
    faults.push(...checkExactlyOne(keys, ['url', 'file'], at, 'file: jwks.json'), ...checkUrl(keys['url'], FORGE, [...at, 'url']));
    const algorithms = issuer['algorithms'] ?? DEFAULT_ALGORITHMS;
    faults.push(...files.check(keys['file'], (text, name) => keySetProblem(text, name, arrayOf(algorithms)), [...at, 'file']));
  }
  const isFile = isRecord(keys) && keys['file'] !== undefined;
  if (isFile && issuer['keysMaxAge'] !== undefined)
    faults.push(noEffect([...path, 'keysMaxAge'], 'the keys are in a file, which is read with this one'));
  if (isFile && introspection === undefined && roots !== undefined)
    faults.push(noEffect([...path, 'roots'], 'the keys are in a file, so that no server is asked'));
  return [...faults, ...files.check(roots, authoritiesProblem, [...path, 'roots'])];
}

function checkSources(from: unknown, path: Path): Fault[] {
  const seen = new Set<string>();
  return items(from, path).flatMap(({ value, path: at }): Fault[] => {
    if (!isRecord(value)) return [];
    const { header, cookie } = value;
    const faults = checkExactlyOne(value, ['header', 'cookie'], at, 'header: authorization');
    if (faults.length > 0) return faults;
    if (cookie !== undefined && value['prefix'] !== undefined) return [noEffect([...at, 'prefix'], 'a cookie holds the token alone')];
    const key = JSON.stringify([typeof header === 'string' ? header.toLowerCase() : header, value['prefix'], cookie]);
    if (seen.has(key)) return [valueFault(at, 'is listed twice', 'remove one of the two')];
    seen.add(key);
    if (typeof header !== 'string') return [];
    const name = header.toLowerCase();
    if (name === 'cookie') return [valueFault([...at, 'header'], 'a cookie has a name of its own', 'write "{ cookie: NAME }"')];
    if (name === 'host')
      return [valueFault([...at, 'header'], 'the header "host" is the authority, which is no token', 'name another header')];
    if (!NOT_FOR_TOKENS.has(name) && !name.startsWith('x-heddle-')) return [];
    const reason = `the header ${shown(header)} is for data planes themselves, and carries no token of a caller`;
    return [valueFault([...at, 'header'], reason, `use "${BEARER_HEADER}", or a header of your own`)];
  });
}

/** Names in lower case of the headers that tokens come in. */
function headersOf(from: unknown): string[] {
  if (from === undefined) return [BEARER_HEADER];
  return items(from, []).flatMap(({ value }) => {
    const { header } = recordOf(value);
    return typeof header === 'string' ? [header.toLowerCase()] : [];
  });
}

/** Whatever a caller sends under these names is removed: nothing may be lost that somebody needs. */
function checkClaimHeaders(headers: unknown, sources: ReadonlySet<string>, path: Path): Fault[] {
  const seen = new Map<string, string>();
  return Object.entries(recordOf(headers)).flatMap(([written, claim]): Fault[] => {
    const at = [...path, written];
    const name = written.toLowerCase();
    const first = seen.get(name);
    seen.set(name, first ?? written);
    if (first !== undefined) return [keyFault(at, `is the same header as ${shown(first)}`, 'remove one of the two')];
    if (written.startsWith(':'))
      return [
        keyFault(
          at,
          `${shown(written)} is not a header: HTTP/2 says with it where a request goes`,
          'use a name of your own, such as "x-user"',
        ),
      ];
    if (!TOKEN_PATTERN.test(written)) return [keyFault(at, `${shown(written)} is not the name of a header`, 'use letters, digits and "-"')];
    if (sources.has(name)) {
      const reason = `tokens come in the header ${shown(written)}, and what callers send under the name of a claim is removed`;
      return [keyFault(at, reason, 'use another name, such as "x-user"')];
    }
    if (NOT_FOR_CLAIMS.has(name) || NOT_FOR_CLAIMS_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      const reason = `the header ${shown(written)} has a meaning of its own, and what callers send under the name of a claim is removed`;
      return [keyFault(at, reason, 'use a name of your own, such as "x-user"')];
    }
    return checkClaimPath(claim, at, 'value');
  });
}

function checkIntrospection(introspection: unknown, files: SecurityFiles, path: Path): Fault[] {
  if (!isRecord(introspection)) return [];
  return [
    ...checkUrl(introspection['url'], 'read tokens and the secret', [...path, 'url']),
    ...files.checkSecret(introspection['clientSecretFile'], [...path, 'clientSecretFile']),
  ];
}
