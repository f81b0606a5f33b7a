// The root's key and certificate on disk: created once, read ever after, never replaced silently. The trust domain stands in the
// certificate (X.509-SVID 3.1), so that a state directory cannot serve another mesh by mistake.
import { join } from 'node:path';
import {
  type CertificateFacts,
  certificateTbs,
  distinguishedName,
  decodePem,
  encodePem,
  formatTrustDomain,
  parseTrustDomain,
  readCertificate,
  withSignature,
} from '@heddle/core';
import {
  certificateMatchesKey,
  createFileAtomic,
  generateKeyPair,
  isSignedBy,
  keyIdentifier,
  type KeyPair,
  privateDirectory,
  readKeyPair,
  readTextFile,
  restrictToOwner,
} from '@heddle/runtime/node';
import { AuthorityError, type AuthorityOptions, CLOCK_SKEW_MS } from './authority-types.ts';

/** Ten years; leap days are of no interest here. */
export const ROOT_TTL_MS = 10 * 365 * 24 * 60 * 60_000;
/** From then on each start warns: all workloads must be given a new root before. */
const ROOT_ENDS_SOON_MS = 90 * 24 * 60 * 60_000;
const SERIAL_BYTES = 16;
const NAME_PART_MAX = 64;

export interface Root {
  readonly key: KeyPair;
  readonly certificatePem: string;
  readonly facts: CertificateFacts;
  /** What to do when this root can no longer be used. */
  readonly mend: string;
}

interface Paths {
  readonly directory: string;
  readonly key: string;
  readonly certificate: string;
}

/** Rejects with AuthorityError `UNUSABLE_ROOT`. */
export async function openRoot(options: AuthorityOptions): Promise<Root> {
  const directory = join(options.stateDir, 'ca');
  const paths: Paths = { directory, key: join(directory, 'root.key.pem'), certificate: join(directory, 'root.pem') };
  try {
    await privateDirectory(options.stateDir);
    await privateDirectory(directory);
    const existing = await readTextFile(paths.certificate);
    const key = await openKey(paths, existing !== undefined, options);
    const certificatePem = existing ?? (await createCertificate(paths, key, options));
    return checkRoot(paths, key, certificatePem, options);
  } catch (error) {
    if (error instanceof AuthorityError) throw error;
    throw unusable(`${paths.directory} cannot be used: ${(error as Error).message}. Check who owns it and the free space.`, error);
  }
}

async function openKey(paths: Paths, certificateExists: boolean, options: AuthorityOptions): Promise<KeyPair> {
  let keyPem = await readTextFile(paths.key);
  if (keyPem === undefined) {
    if (certificateExists)
      throw unusable(
        `${paths.certificate} is there but its key ${paths.key} is missing. Put the key back from a backup. ${startAnew(paths)}`,
      );
    await createFileAtomic(paths.key, generateKeyPair().keyPem);
    keyPem = (await readTextFile(paths.key)) ?? ''; // Another process may have been first: what is in the file counts.
  } else if (await restrictToOwner(paths.key)) {
    options.logger.warn(
      { path: paths.key },
      'the root key could be read by other users of this machine; access has been taken from them, consider the key known to them',
    );
  }
  try {
    return readKeyPair(keyPem);
  } catch (error) {
    throw unusable(`${paths.key} cannot be used: ${(error as Error).message}. Put it back from a backup. ${startAnew(paths)}`, error);
  }
}

/** Also after a start that was interrupted between the two files: the key counts, and pins of it stay true. */
async function createCertificate(paths: Paths, key: KeyPair, options: AuthorityOptions): Promise<string> {
  const nowMs = options.clock.wallMs();
  const subjectDer = distinguishedName({ organization: 'Heddle', commonName: `root of ${options.trustDomain}`.slice(0, NAME_PART_MAX) });
  const subjectKeyId = keyIdentifier(key.spkiDer);
  const tbs = certificateTbs({
    serial: options.random.bytes(SERIAL_BYTES),
    issuerDer: subjectDer,
    subjectDer,
    notBeforeMs: nowMs - CLOCK_SKEW_MS,
    notAfterMs: nowMs + ROOT_TTL_MS,
    spkiDer: key.spkiDer,
    role: 'authority',
    names: { uris: [formatTrustDomain(options.trustDomain)] },
    subjectKeyId,
    authorityKeyId: subjectKeyId,
  });
  const pem = encodePem('CERTIFICATE', withSignature(tbs, key.sign(tbs)));
  const created = await createFileAtomic(paths.certificate, pem, { mode: 0o644 });
  if (created)
    options.logger.info({ path: paths.certificate, trustDomain: options.trustDomain }, 'created the root certificate of the mesh');
  return created ? pem : ((await readTextFile(paths.certificate)) ?? pem);
}

function checkRoot(paths: Paths, key: KeyPair, certificatePem: string, options: AuthorityOptions): Root {
  const der = decodePem('CERTIFICATE', certificatePem);
  if (der.length !== 1)
    throw unusable(`${paths.certificate} holds ${der.length} certificates instead of one. Put it back from a backup. ${fromKey(paths)}`);
  const facts = readFacts(paths, der[0] as Uint8Array);
  if (!certificateMatchesKey(der[0] as Uint8Array, key.spkiDer)) {
    throw unusable(`${paths.certificate} and ${paths.key} do not belong together. Put both back from one backup. ${startAnew(paths)}`);
  }
  if (!facts.isAuthority || !isSignedBy(der[0] as Uint8Array, key))
    throw unusable(`${paths.certificate} is not a root certificate. ${fromKey(paths)}`);
  const trustDomain = facts.uris.length === 1 ? parseTrustDomain(facts.uris[0] as string) : undefined;
  if (trustDomain !== options.trustDomain) {
    throw unusable(
      `${paths.certificate} is the root of trust domain ${trustDomain ?? '(none)'}, but the mesh's is ${options.trustDomain}. Set the trust domain back, or use another state directory (--state-dir). ${startAnew(paths)}`,
    );
  }
  const nowMs = options.clock.wallMs();
  const endIso = new Date(facts.notAfterMs).toISOString();
  if (nowMs >= facts.notAfterMs) throw unusable(`${paths.certificate} ended at ${endIso}. Check this machine's clock. ${startAnew(paths)}`);
  if (nowMs < facts.notBeforeMs) {
    throw unusable(
      `${paths.certificate} begins only at ${new Date(facts.notBeforeMs).toISOString()}, after this machine's clock (${new Date(nowMs).toISOString()}). Set the clock.`,
    );
  }
  if (nowMs >= facts.notAfterMs - ROOT_ENDS_SOON_MS)
    options.logger.warn(
      { path: paths.certificate, endsAt: endIso },
      'the root certificate ends soon; workloads must join a new root before',
    );
  return { key, certificatePem: encodePem('CERTIFICATE', der[0] as Uint8Array), facts, mend: startAnew(paths) };
}

function readFacts(paths: Paths, der: Uint8Array): CertificateFacts {
  try {
    return readCertificate(der);
  } catch (error) {
    throw unusable(`${paths.certificate} cannot be read: ${(error as Error).message}. Put it back from a backup. ${fromKey(paths)}`, error);
  }
}

function startAnew(paths: Paths): string {
  return `To begin with a new root, move ${paths.directory} away and start again; then every workload must join anew.`;
}

function fromKey(paths: Paths): string {
  return `Or remove this one file: the certificate is made anew from ${paths.key}, and workloads need not join again.`;
}

function unusable(message: string, cause?: unknown): AuthorityError {
  return new AuthorityError('UNUSABLE_ROOT', message, cause);
}
