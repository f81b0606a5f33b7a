// A root's key and certificate on disk: created once, read ever after, never replaced silently. The trust domain stands in the
// certificate (X.509-SVID 3.1), so that a state directory cannot serve another mesh by mistake.
import { join } from 'node:path';
import {
  type CertificateFacts,
  certificateTbs,
  decodePem,
  distinguishedName,
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
  isEncryptedKey,
  isSignedBy,
  keyIdentifier,
  type KeyPair,
  readAuthorityKey,
  readTextFile,
  restrictToOwner,
  writeFileAtomic,
} from '@heddle/runtime/node';
import { AuthorityError, type AuthorityOptions, CLOCK_SKEW_MS, unusable } from './authority-options.ts';
import { encryptPrivateKey } from './encrypted-key.ts';
import { PASSPHRASE_MEND } from './passphrase.ts';
import { LocalSigner } from './signer.ts';

/** Ten years; leap days are of no interest here. */
export const ROOT_TTL_MS = 10 * 365 * 24 * 60 * 60_000;
/** From then on each start warns: there is time to replace it without haste. */
const ROOT_ENDS_SOON_MS = 90 * 24 * 60 * 60_000;
const SERIAL_BYTES = 16;
const NAME_PART_MAX = 64;

export interface Root {
  readonly key: KeyPair;
  readonly certificatePem: string;
  readonly der: Uint8Array;
  readonly facts: CertificateFacts;
  /** What to do when this root can no longer be used. */
  readonly mend: string;
}

export interface RootPaths {
  readonly directory: string;
  readonly key: string;
  readonly certificate: string;
}

/** `next`: of the one that a rotation brings. */
export function rootPaths(stateDir: string, which: 'root' | 'next'): RootPaths {
  const directory = join(stateDir, 'ca');
  return { directory, key: join(directory, `${which}.key.pem`), certificate: join(directory, `${which}.pem`) };
}

/** Reads the root or, where there is none, makes it. Rejects with AuthorityError `UNUSABLE_ROOT`. */
export async function openRoot(options: AuthorityOptions, paths: RootPaths): Promise<Root> {
  try {
    const existing = await readTextFile(paths.certificate);
    const key = await openKey(paths, existing !== undefined, options);
    const certificatePem = existing ?? (await createCertificate(paths, key, options));
    return checkRoot(paths, key, certificatePem, options);
  } catch (error) {
    if (error instanceof AuthorityError) throw error;
    throw unusable(`${paths.directory} cannot be used: ${(error as Error).message}. Check who owns it and the free space.`, error);
  }
}

export function signerOf({ key, der, facts, mend }: Root, options: AuthorityOptions): LocalSigner {
  return new LocalSigner({ key, path: [{ der, facts }], random: options.random, mend });
}

async function openKey(paths: RootPaths, certificateExists: boolean, options: AuthorityOptions): Promise<KeyPair> {
  const { keyType, passphrase } = ownSource(options);
  let keyPem = await readTextFile(paths.key);
  if (keyPem === undefined) {
    if (certificateExists)
      throw unusable(
        `${paths.certificate} is there but its key ${paths.key} is missing. Put the key back from a backup. ${startAnew(paths)}`,
      );
    const plain = generateKeyPair(keyType).keyPem;
    await createFileAtomic(paths.key, passphrase === undefined ? plain : await encryptPrivateKey(plain, passphrase));
    keyPem = (await readTextFile(paths.key)) ?? ''; // Another process may have been first: what is in the file counts.
  } else if (await restrictToOwner(paths.key)) {
    options.logger.warn(
      { path: paths.key },
      'the root key could be read by other users of this machine; access has been taken from them, consider the key known to them',
    );
  }
  if (isEncryptedKey(keyPem) && passphrase === undefined) throw unusable(`${paths.key} is encrypted. ${PASSPHRASE_MEND}`);
  let key: KeyPair;
  try {
    key = readAuthorityKey(keyPem, passphrase);
  } catch (error) {
    const mend = isEncryptedKey(keyPem) ? PASSPHRASE_MEND : `Put it back from a backup. ${startAnew(paths)}`;
    throw unusable(`${paths.key} cannot be used: ${(error as Error).message}. ${mend}`, error);
  }
  if (passphrase !== undefined && !isEncryptedKey(keyPem)) {
    await writeFileAtomic(paths.key, await encryptPrivateKey(keyPem, passphrase));
    options.logger.info(
      { path: paths.key },
      'the root key has been encrypted with the passphrase; backups of before still hold it in the clear',
    );
  }
  return key;
}

function ownSource({ source }: AuthorityOptions): Extract<AuthorityOptions['source'], { kind: 'own' }> {
  return source?.kind === 'own' ? source : { kind: 'own' };
}

/** Also after a start that was interrupted between the two files: the key counts, and pins of it stay true. */
async function createCertificate(paths: RootPaths, key: KeyPair, options: AuthorityOptions): Promise<string> {
  const nowMs = options.clock.wallMs();
  const subjectKeyId = keyIdentifier(key.spkiDer);
  // Each root has a name of its own: some verifiers look for issuers by name alone.
  const generation = Buffer.from(subjectKeyId.subarray(0, 4)).toString('hex');
  const subjectDer = distinguishedName({
    organization: 'Heddle',
    commonName: `root ${generation} of ${options.trustDomain}`.slice(0, NAME_PART_MAX),
  });
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
    signatureAlgorithm: key.algorithm,
  });
  const pem = encodePem('CERTIFICATE', withSignature(tbs, key.sign(tbs), key.algorithm));
  const created = await createFileAtomic(paths.certificate, pem, { mode: 0o644 });
  if (created) options.logger.info({ path: paths.certificate, trustDomain: options.trustDomain }, 'created a root certificate of the mesh');
  return created ? pem : ((await readTextFile(paths.certificate)) ?? pem);
}

function checkRoot(paths: RootPaths, key: KeyPair, certificatePem: string, options: AuthorityOptions): Root {
  const ders = decodePem('CERTIFICATE', certificatePem);
  const der = ders[0];
  if (der === undefined || ders.length !== 1)
    throw unusable(`${paths.certificate} holds ${ders.length} certificates instead of one. Put it back from a backup. ${fromKey(paths)}`);
  const facts = readFacts(paths, der);
  if (!certificateMatchesKey(der, key.spkiDer)) {
    throw unusable(`${paths.certificate} and ${paths.key} do not belong together. Put both back from one backup. ${startAnew(paths)}`);
  }
  if (!facts.isAuthority || !isSignedBy(der, key)) throw unusable(`${paths.certificate} is not a root certificate. ${fromKey(paths)}`);
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
    options.logger.warn({ path: paths.certificate, endsAt: endIso }, 'the root certificate ends soon; replace it with `heddle ca rotate`');
  return { key, certificatePem: encodePem('CERTIFICATE', der), der, facts, mend: startAnew(paths) };
}

function readFacts(paths: RootPaths, der: Uint8Array): CertificateFacts {
  try {
    return readCertificate(der);
  } catch (error) {
    throw unusable(`${paths.certificate} cannot be read: ${(error as Error).message}. Put it back from a backup. ${fromKey(paths)}`, error);
  }
}

function startAnew(paths: RootPaths): string {
  return `To begin with a new root, move ${paths.directory} away and start again; then every workload must join anew.`;
}

function fromKey(paths: RootPaths): string {
  return `Or remove this one file: the certificate is made anew from ${paths.key}, and workloads need not join again.`;
}
