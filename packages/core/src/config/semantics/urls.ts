// Addresses that tokens and secrets travel to: encrypted, unless the other end is this machine, and without secrets in them.
import { ipBytes } from '../../identity/ip.ts';
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import { valueFault } from './raw.ts';

/** @param what is read or sent there, after "whoever is on the way could …". */
export function checkUrl(text: unknown, what: string, path: Path): Fault[] {
  if (typeof text !== 'string' || text === '') return [];
  const url = parseUrl(text);
  if (url === undefined) return [valueFault(path, `${shown(text)} is not a URL`, 'for example "https://id.example"')];
  // Not shown: it may be a secret.
  if (url.username !== '' || url.password !== '')
    return [valueFault(path, 'the URL has a name or a password in it', 'remove them; files with secrets have keys of their own')];
  if (url.hash !== '') return [valueFault(path, `${shown(text)} has a "#", and what follows it is never sent`, 'remove it')];
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return [];
  return [
    valueFault(
      path,
      `${shown(text)} is not encrypted: whoever is on the way could ${what}`,
      'use "https"; "http" is for this machine itself, for example "http://127.0.0.1:9000"',
    ),
  ];
}

/** With http or https; undefined for anything else. */
export function parseUrl(text: string): URL | undefined {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') && url.hostname !== '' ? url : undefined;
}

/** A name of this machine, or an address of it; with brackets or without. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[|\]$/g, '');
  return name === 'localhost' || name === '::1' || (ipBytes(name)?.length === 4 && name.startsWith('127.'));
}
