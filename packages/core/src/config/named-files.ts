// The files that a configuration file names: each is read once, and what is wrong is told at the place of its name.
import { readCertificate } from '../identity/certificate-facts.ts';
import { decodePem } from '../identity/pem.ts';
import type { Fault, Path } from './fault.ts';
import { shown } from './fault.ts';

/** Where the files come from. */
export interface ConfigFiles {
  /** The text of a file, named as in the configuration. Throws Error with a message that completes "cannot be read: …". */
  readonly read: (path: string) => string;
  /** Unix time: certificates that have ended, or not begun, get a warning. */
  readonly nowMs: number;
  /** Secrets are on other machines, and are not looked for. Default: one that cannot be read is a warning. */
  readonly secrets?: 'elsewhere';
}

/** What was read, by the name in the configuration. */
export type FileTexts = Map<string, string>;

/** What is wrong with the content of a file. */
export interface FileProblem {
  readonly reason: string;
  readonly mend: string;
}

/** The text of a file into `texts`; undefined: it cannot be read, which is among the faults, or its name is none, which is told elsewhere. */
export function readNamed(name: unknown, path: Path, files: ConfigFiles, texts: FileTexts, faults: Fault[]): string | undefined {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) return undefined;
  const known = texts.get(name);
  if (known !== undefined) return known;
  try {
    const text = files.read(name);
    texts.set(name, text);
    return text;
  } catch (error) {
    const mend = 'name a file that this user may read; relative names start from the directory of this file';
    faults.push({ path, on: 'value', reason: `${shown(name)} cannot be read: ${(error as Error).message}`, mend });
    return undefined;
  }
}

/** Whether a file holds certificates of authorities and nothing else that counts. @param name in the configuration. */
export function authoritiesProblem(text: string, name: unknown): FileProblem | undefined {
  const certificates = decodePem('CERTIFICATE', text);
  if (certificates.length === 0)
    return { reason: `there is no certificate in ${shown(name)}`, mend: 'name a PEM file with "-----BEGIN CERTIFICATE-----"' };
  for (const [index, der] of certificates.entries()) {
    const which = `certificate ${index + 1} in ${shown(name)}`;
    try {
      if (readCertificate(der).isAuthority) continue;
      return {
        reason: `${which} is not an authority's`,
        mend: 'name the file of the authority that signed the certificates, not one of these',
      };
    } catch (error) {
      return { reason: `${which} cannot be used: ${(error as Error).message}`, mend: 'remove it from the file' };
    }
  }
  return undefined;
}
