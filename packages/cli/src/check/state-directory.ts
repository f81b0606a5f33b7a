// The state directory: closed to others, with room on its disk, and with a root that goes on for a while.
import { X509Certificate } from 'node:crypto';
import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { decodePem } from '@heddle/core';
import { formatAge } from '../output/format.ts';
import { readStateFile } from '../state-directory.ts';
import { failed, ok, type Finding } from './finding.ts';

/** What only its owner may read. */
const SECRETS = ['operator.token', 'registry.sqlite', 'ca/root.key.pem', 'ca/next.key.pem', 'ca/issued.jsonl'];
/** The audit log alone may have 80 MiB, and changes are refused when it cannot be written. */
const FREE_MIN_BYTES = 200 * 1_048_576;
/** A root that ends sooner must be replaced now. */
const ROOT_LEFT_MIN_MS = 30 * 86_400_000;

export function checkStateDirectory(directory: string, nowMs: number): Finding[] {
  return [permissions(directory), disk(directory), root(directory, nowMs)];
}

function permissions(directory: string): Finding {
  const open = [directory, ...SECRETS.map((name) => join(directory, name)).filter(existsSync)].filter(
    (path) => (statSync(path).mode & 0o077) !== 0,
  );
  if (open.length === 0) return ok('state directory', `${directory}, closed to others`);
  const detail = `other users of this machine can get at ${open.join(', ')}`;
  return failed('state directory', detail, 'whoever reads it can do what the operator can', `chmod go= ${open.join(' ')}`);
}

function disk(directory: string): Finding {
  const name = 'disk';
  const { bavail, bsize, files, ffree } = statfsSync(directory);
  return diskFinding({ freeBytes: bavail * bsize, files, freeFiles: ffree }, directory) ?? ok(name, `${megabytes(bavail * bsize)} free`);
}

/** Undefined: there is room. */
export function diskFinding(
  { freeBytes, files, freeFiles }: { readonly freeBytes: number; readonly files: number; readonly freeFiles: number },
  directory: string,
): Finding | undefined {
  const why = 'the registry, issued certificates and the audit log are written there; without room, changes are refused';
  const mend = `make room on the disk of ${directory}`;
  if (freeBytes < FREE_MIN_BYTES) return failed('disk', `only ${megabytes(freeBytes)} free`, why, mend);
  // Some file systems have no such number.
  return files > 0 && freeFiles < 100 ? failed('disk', `only ${freeFiles} more files can be made`, why, mend) : undefined;
}

function root(directory: string, nowMs: number): Finding {
  const name = 'root certificate';
  const pem = readStateFile(directory, 'ca', 'roots.pem') ?? readStateFile(directory, 'ca', 'root.pem');
  const why = 'every certificate of the mesh leads to it: without it, nobody trusts anybody';
  if (pem === undefined) return failed(name, `${join(directory, 'ca/roots.pem')} is missing`, why, 'start the mesh with `heddle up`');
  // While a root is being replaced there are two.
  const leftMs = Math.min(...decodePem('CERTIFICATE', pem).map((der) => new X509Certificate(der).validToDate.getTime())) - nowMs;
  if (leftMs > ROOT_LEFT_MIN_MS) return ok(name, `ends in ${formatAge(leftMs)}`);
  return leftMs > 0
    ? failed(name, `ends in ${formatAge(leftMs)}`, why, 'replace it while everything runs: `heddle ca rotate --auto`')
    : failed(
        name,
        'has ended',
        why,
        'stop the mesh, move the directory `ca` and `identities` of the state directory away, and start again: a new root is made and everything joins anew',
      );
}

function megabytes(bytes: number): string {
  return bytes >= 1_073_741_824 ? `${(bytes / 1_073_741_824).toFixed(1)} GiB` : `${Math.floor(bytes / 1_048_576)} MiB`;
}
