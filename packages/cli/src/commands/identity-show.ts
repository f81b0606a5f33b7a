// `heddle identity show`: which identities a state directory or a directory of `heddle identity watch` holds, and until when. Keys are
// read only to see that they belong to their certificates.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { decodePem } from '@heddle/core';
import { certificateMatchesKey, readKeyPair, readPeerId, verifyLeaf } from '@heddle/runtime/node';
import { X509Certificate } from 'node:crypto';
import { CliError, type ExitCode } from '../errors.ts';
import { type Column, formatAge, formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { type Palette, paletteFor } from '../output/palette.ts';
import { readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { CERTIFICATE_FILE, KEY_FILE, ROOTS_FILE } from './identity-files.ts';

export interface IdentityShowOptions {
  readonly dir?: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

interface Row {
  /** Empty where the certificate cannot be read. */
  readonly identity: string;
  readonly kind: 'workload' | 'root';
  readonly notAfter: string | null;
  /** What is wrong; empty when nothing is. */
  readonly problem: string;
  readonly file: string;
}

export function showIdentity({ dir, output, stateDir }: IdentityShowOptions): ExitCode {
  const rows = heldIdentities(dir, stateDir);
  if (output === 'table') {
    const palette = paletteFor(process.stdout, process.env);
    process.stdout.write(rows.length === 0 ? 'none\n' : formatTable(columns(palette), rows, palette));
  } else process.stdout.write(formatData(rows, output));
  return rows.some(({ problem }) => problem !== '') ? 1 : 0;
}

export function heldIdentities(dir: string | undefined, stateDir: string | undefined): Row[] {
  return dir === undefined ? ofStateDirectory(requireStateDirectory(stateDir)) : ofFiles(resolve(dir));
}

function columns(palette: Palette): Column<Row>[] {
  return [
    { title: 'IDENTITY', cell: ({ identity }) => (identity === '' ? '-' : identity) },
    { title: 'KIND', cell: ({ kind }) => kind },
    { title: 'UNTIL', cell: ({ notAfter }) => notAfter ?? '-' },
    { title: 'STATE', cell: ({ problem, notAfter }) => (problem === '' ? palette.good(left(notAfter)) : palette.bad(problem)) },
    { title: 'FILE', cell: ({ file }) => file },
  ];
}

function left(notAfter: string | null): string {
  return notAfter === null ? 'good' : `good for ${formatAge(Date.parse(notAfter) - Date.now())}`;
}

function ofFiles(directory: string): Row[] {
  const read = (name: string): string => {
    try {
      return readFileSync(join(directory, name), 'utf8');
    } catch (error) {
      throw new CliError(
        `${directory} holds no identity: ${(error as Error).message}`,
        'name a directory of `heddle identity watch --out`, or a state directory with --state-dir',
        { cause: error },
      );
    }
  };
  const kept = { certificatePem: read(CERTIFICATE_FILE), keyPem: read(KEY_FILE), rootsPem: read(ROOTS_FILE) };
  return [...roots(kept.rootsPem, ROOTS_FILE), workload(kept, CERTIFICATE_FILE)];
}

function ofStateDirectory(directory: string): Row[] {
  const rows: Row[] = [];
  const root = ['roots.pem', 'root.pem'].map((name) => join('ca', name)).find((name) => existsSync(join(directory, name))) ?? '';
  const rootPem = root === '' ? undefined : readOptional(join(directory, root));
  if (rootPem !== undefined) rows.push(...roots(rootPem, root));
  const folder = join(directory, 'identities');
  for (const name of names(folder)) {
    const file = relative(directory, join(folder, name));
    const text = readOptional(join(folder, name));
    if (text === undefined) continue;
    try {
      rows.push(workload(JSON.parse(text) as Kept, file));
    } catch (error) {
      rows.push({ identity: '', kind: 'workload', notAfter: null, problem: `damaged: ${(error as Error).message}`, file });
    }
  }
  if (rows.length === 0 && readControlInfo(directory) === undefined)
    throw new CliError(`${directory} holds no identities`, 'start a mesh with `heddle up`, or name another directory');
  return rows;
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.json') && statSync(join(folder, name)).isFile())
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readOptional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 'run the command as the user who owns it', { cause: error });
  }
}

interface Kept {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootsPem: string;
}

function workload({ certificatePem, keyPem, rootsPem }: Kept, file: string): Row {
  const peer = readPeerId(certificatePem);
  if (!peer.ok) return { identity: '', kind: 'workload', notAfter: null, problem: `the certificate ${peer.reason}`, file };
  const { uri, facts } = peer;
  const row = { identity: uri, kind: 'workload' as const, notAfter: new Date(facts.notAfterMs).toISOString(), file };
  const verdict = verifyLeaf({ leaf: certificatePem, rootsPem, nowMs: Date.now() });
  if (!verdict.ok) return { ...row, problem: verdict.code === 'expired' ? 'expired' : `the certificate ${verdict.reason}` };
  const matches = certificateMatchesKey(certificatePem, readKeyPair(keyPem).spkiDer);
  return { ...row, problem: matches ? '' : 'certificate and key do not belong together' };
}

function roots(pem: string, file: string): Row[] {
  return decodePem('CERTIFICATE', pem).map((der) => {
    const certificate = new X509Certificate(der);
    const notAfter = certificate.validToDate;
    const identity = /URI:(\S+?)(?:,|$)/.exec(certificate.subjectAltName ?? '')?.[1] ?? certificate.subject;
    return { identity, kind: 'root', notAfter: notAfter.toISOString(), problem: notAfter.getTime() < Date.now() ? 'expired' : '', file };
  });
}
