// What the fields of `match` mean to one another; paths, texts and expressions are compiled as the data plane does it.
import type { Fault, Path } from '../fault.ts';
import { isRecord, shown } from '../fault.ts';
import { PATH_PATTERN } from '../schema/match.ts';
import { PARAMETER_PATTERN } from '../schema/balance.ts';
import { TOKEN_PATTERN } from '../schema/fields.ts';
import { plainPath } from '../build/match.ts';
import type { PathMatch, TextMatch } from '../../model/route.ts';
import { compilePath } from '../../routing/path-test.ts';
import { compileText } from '../../routing/text-test.ts';
import { checkExactlyOne, checkTwice, compileFault, items, keyFault, noEffect, present, valueFault, type Raw } from './raw.ts';

const PATH_KINDS = ['exact', 'prefix', 'segments', 'template', 'regex'];
const TEXT_KINDS = ['exact', 'prefix', 'suffix', 'contains', 'regex'];

/** @param protocol of the service that gets the requests. */
export function checkMatch(match: unknown, protocol: unknown, path: Path): Fault[] {
  if (!isRecord(match)) return [];
  return [
    ...checkPath(match['path'], [...path, 'path']),
    ...checkMethods(match['methods'], [...path, 'methods']),
    ...checkFields(match['headers'], 'header', [...path, 'headers']),
    ...checkFields(match['query'], 'query parameter', [...path, 'query']),
    ...checkAuthority(match['authority'], [...path, 'authority']),
    ...checkGrpc(match, protocol, path),
  ];
}

export function checkPath(match: unknown, path: Path): Fault[] {
  if (typeof match === 'string') return PATH_PATTERN.test(match) ? checkPlainPath(match, path) : [];
  if (!isRecord(match)) return [];
  const faults = checkExactlyOne(match, PATH_KINDS, path, 'prefix: /v2');
  if (faults.length > 0) return faults;
  const [kind, value] = Object.entries(match)[0] as [PathMatch['kind'], unknown];
  return typeof value === 'string' && value !== '' ? compileFault([...path, kind], () => compilePath({ kind, value })) : [];
}

function checkPlainPath(text: string, path: Path): Fault[] {
  const { kind, value } = plainPath(text);
  if (kind === 'segments' && value.includes('{')) {
    const reason = `${shown(text)} is a template, in which "/**" has no meaning`;
    return [valueFault(path, reason, `write "${value}/{rest=**}"`)];
  }
  if (kind !== 'template' && value.includes('*')) {
    const reason = `${shown(text)} has a "*" that stands for nothing; only "/**" at the end stands for any number of segments`;
    return [valueFault(path, reason, 'write {name} for one segment, or "{ exact: … }" if the path has a "*"')];
  }
  return compileFault(path, () => compilePath({ kind, value }));
}

export function checkMethods(methods: unknown, path: Path): Fault[] {
  const connect = items(methods, path)
    .filter(({ value }) => value === 'CONNECT')
    .map((item) => valueFault(item.path, 'CONNECT asks for a connection and has no path, so that no rule can take it', 'remove it'));
  return [...connect, ...checkTwice(methods, path)];
}

export function checkAuthority(match: unknown, path: Path): Fault[] {
  return checkText(match, path, TEXT_KINDS, 'prefix: orders.');
}

/** Where what HTTP/2 has in pseudo-headers is asked for. */
interface Instead {
  readonly path: string;
  readonly authority: string;
}

const IN_MATCH: Instead = { path: 'path', authority: 'authority' };

export function checkFields(fields: unknown, what: 'header' | 'query parameter', path: Path, instead: Instead = IN_MATCH): Fault[] {
  if (!isRecord(fields)) return [];
  const seen = new Map<string, string>();
  return Object.entries(fields).flatMap(([name, value]): Fault[] => {
    const inside = [...path, name];
    const nameFaults = checkFieldName(name, what, inside, instead);
    if (nameFaults.length > 0) return nameFaults;
    const key = what === 'header' ? name.toLowerCase() : name;
    const other = seen.get(key);
    if (other !== undefined) return [keyFault(inside, `is the same header as ${shown(other)}`, 'remove one of the two')];
    seen.set(key, name);
    return checkText(value, inside, [...TEXT_KINDS, 'present'], 'present: true');
  });
}

function checkFieldName(name: string, what: 'header' | 'query parameter', path: Path, instead: Instead): Fault[] {
  if (what === 'query parameter') {
    if (PARAMETER_PATTERN.test(name)) return [];
    const mend = 'write it as it is sent: blanks, "&", "=", "#" and what is not ASCII percent-encoded';
    return [keyFault(path, `${shown(name)} is not the name of a query parameter`, mend)];
  }
  if (!TOKEN_PATTERN.test(name)) {
    const isPseudo = name.startsWith(':');
    return [
      keyFault(
        path,
        `${shown(name)} is not the name of a header`,
        isPseudo ? `use "${instead.path}", "methods" or "${instead.authority}"` : 'use letters, digits and "-"',
      ),
    ];
  }
  if (name.toLowerCase() !== 'host') return [];
  return [keyFault(path, 'the header "host" is the authority, which HTTP/2 has in another place', `use "${instead.authority}"`)];
}

/** A text alone is the exact one. */
function checkText(match: unknown, path: Path, kinds: readonly string[], example: string): Fault[] {
  if (typeof match === 'string') return compileFault(path, () => compileText({ kind: 'exact', value: match }));
  if (!isRecord(match)) return [];
  const faults = checkExactlyOne(match, kinds, path, example);
  if (faults.length > 0) return faults;
  return [...checkHowCompared(match, path), ...checkWords(match, path)];
}

function checkHowCompared(match: Raw, path: Path): Fault[] {
  const faults: Fault[] = [];
  if (match['ignoreCase'] !== undefined && match['regex'] !== undefined)
    faults.push(
      noEffect([...path, 'ignoreCase'], 'a regular expression says by itself what it takes', 'write [Aa] for a letter in either case'),
    );
  if (match['present'] === undefined) return faults;
  const others = present(match, ['ignoreCase', 'invert']);
  return [
    ...faults,
    ...others.map((key) => noEffect([...path, key], 'nothing is compared', 'remove it; "present: false" is the opposite')),
  ];
}

function checkWords(match: Raw, path: Path): Fault[] {
  const [kind] = present(match, TEXT_KINDS) as TextMatch['kind'][];
  const value = kind === undefined ? undefined : match[kind];
  if (kind === undefined || !['string', 'number', 'boolean'].includes(typeof value)) return [];
  return compileFault([...path, kind], () => compileText({ kind, value: String(value) }));
}

function checkGrpc(match: Raw, protocol: unknown, path: Path): Fault[] {
  if (match['grpc'] === undefined) return [];
  const inside = [...path, 'grpc'];
  if (match['path'] !== undefined)
    return [keyFault(inside, 'stands beside "path", and only one of them can count', 'remove one of the two')];
  const faults: Fault[] = [];
  if (protocol !== 'grpc' && protocol !== 'http2')
    faults.push(
      keyFault(
        inside,
        `the service has protocol ${shown(protocol ?? 'http')}, which carries no gRPC calls`,
        'write "protocol: grpc", or use "path"',
      ),
    );
  if (match['methods'] !== undefined && !items(match['methods'], []).some(({ value }) => value === 'POST'))
    faults.push(keyFault([...path, 'methods'], 'every gRPC call is a POST, so that no request could fit', 'remove it'));
  return faults;
}
