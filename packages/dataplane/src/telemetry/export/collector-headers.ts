// What a request to a collector has besides. Secrets are read for each batch, so that a new one is used at once; they are kept nowhere and show up in
// no message.
import type { CollectorHeader } from '@heddle/core';
import { NoAnswerError } from '../../asking/https-client.ts';

export interface ReadSecrets {
  /** Of the environment of this process. */
  variable(name: string): string | undefined;
  /** Undefined: there is none. Rejects with the system's error. */
  file(path: string, bytesMax: number): Promise<string | undefined>;
}

/** One line of visible ASCII: whoever writes the configuration could name any file; keys, certificates and lists of users have more lines than one. */
const SECRET = /^[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?$/;
const FILE_BYTES_MAX = 4_098;

export function isSecret({ from }: CollectorHeader): boolean {
  return from !== 'value';
}

/** Throws NoAnswerError where one is not to be had. */
export async function collectorHeaders(headers: readonly CollectorHeader[], secrets: ReadSecrets): Promise<[string, string][]> {
  const known: [string, string][] = [];
  for (const header of headers) known.push([header.name, await valueOf(header, secrets)]);
  return known;
}

async function valueOf({ name, from, text }: CollectorHeader, secrets: ReadSecrets): Promise<string> {
  if (from === 'value') return text;
  const where = from === 'env' ? `the environment variable ${text}` : `the file ${text}`;
  const found = from === 'env' ? secrets.variable(text) : await readFile(text, secrets);
  if (found === undefined) throw new NoAnswerError(`was not asked: ${where}, with the value of the header ${name}, is not there`);
  const value = found.replace(/\r?\n$/, '');
  if (!SECRET.test(value)) throw new NoAnswerError(`was not asked: ${where} is no value of a header, which is one line of ASCII`);
  return value;
}

async function readFile(path: string, secrets: ReadSecrets): Promise<string | undefined> {
  try {
    return await secrets.file(path, FILE_BYTES_MAX);
  } catch (error) {
    throw new NoAnswerError(`was not asked: ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`);
  }
}
