// Whether the content of a file is a JSON Web Key Set (RFC 7517 §5) that tokens can be checked with. Nothing of a key is ever part of a message.
import { isRecord, shown } from '../fault.ts';
import type { FileProblem } from '../named-files.ts';
import { recordOf, type Raw } from './raw.ts';

/** What a registry record holds. */
const KEY_SET_CHARS_MAX = 262_144;
/** RFC 7518 §6, RFC 8037 §2: members that only the owner of a key has. */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const KIND_OF_ALGORITHM: Readonly<Record<string, string>> = { RS: 'RSA', PS: 'RSA', ES: 'EC', Ed: 'OKP' };

/** @param algorithms as they stand in the file. */
export function keySetProblem(text: string, name: unknown, algorithms: readonly unknown[]): FileProblem | undefined {
  const file = shown(name);
  if (text.length > KEY_SET_CHARS_MAX)
    return { reason: `${file} has more than ${KEY_SET_CHARS_MAX / 1_024} KiB`, mend: 'check that it is the right file' };
  const keys = keysOf(text);
  if (keys === undefined)
    return { reason: `${file} is not a JSON Web Key Set`, mend: 'name a file with { "keys": [...] }, as the issuer publishes it' };
  if (keys.length === 0) return { reason: `${file} holds no key, so that no token could be right`, mend: 'write its keys into the file' };
  for (const [index, key] of keys.entries()) {
    const which = `key ${index + 1} in ${file}`;
    if (key['kty'] === 'oct')
      return {
        reason: `${which} is symmetric: whoever checks tokens with it could issue them, too`,
        mend: 'use a public key of the issuer',
      };
    if (PRIVATE.some((member) => key[member] !== undefined))
      return {
        reason: `${which} is a private key, with which anybody could issue tokens`,
        mend: 'take its private parts out, and replace the key',
      };
  }
  const kinds = new Set(algorithms.map((algorithm) => KIND_OF_ALGORITHM[String(algorithm).slice(0, 2)]));
  if (keys.some(({ kty }) => kinds.has(String(kty)))) return undefined;
  return { reason: `no key in ${file} is for any of the algorithms`, mend: 'allow the algorithms of the keys with "algorithms"' };
}

function keysOf(text: string): Raw[] | undefined {
  try {
    const { keys } = recordOf(JSON.parse(text));
    return Array.isArray(keys) && keys.every((key) => isRecord(key) && typeof key['kty'] === 'string') ? (keys as Raw[]) : undefined;
  } catch {
    return undefined;
  }
}
