// An authority from files: a certificate with its key, and the roots that others keep. What does not fit together is told at the start, by
// file, and not at the first call that fails.
import { type CertificateFacts, DerError, encodePem, formatSpiffeId, KEY_USAGE, parseTrustDomain } from '@heddle/core';
import {
  certificateMatchesKey,
  type ChainLink,
  forbiddenBy,
  isEncryptedKey,
  type KeyPair,
  pathToRoot,
  readAuthorityKey,
  readChain,
  readTextFile,
} from '@heddle/runtime/node';
import { type AuthorityOptions, type CaSource, unusable } from './authority-options.ts';
import { PASSPHRASE_MEND } from './passphrase.ts';
import { LocalSigner } from './signer.ts';

/** Bundles of whole platforms have some 150; a mesh has one or two. */
const ROOTS_MAX = 32;
const ENDS_SOON_MS = 30 * 24 * 60 * 60_000;

type FileSource = Extract<CaSource, { kind: 'files' }>;

/** Rejects with AuthorityError `UNUSABLE_ROOT`. */
export async function openAuthorityFiles(
  source: FileSource,
  options: AuthorityOptions,
): Promise<{ signer: LocalSigner; rootsPem: string }> {
  const { certificateFile, rootsFile } = source;
  const rootsPem = await readRoots(rootsFile, options);
  const [own, ...above] = await readCertificates(certificateFile, 'the certificate of the authority (--ca-cert)');
  if (own === undefined) throw unusable(`${certificateFile} (--ca-cert) holds no certificate in PEM.`);
  const key = await readKey(source);
  if (!certificateMatchesKey(own.der, key.spkiDer))
    throw unusable(`${certificateFile} (--ca-cert) and ${source.keyFile} (--ca-key) do not belong together.`);
  const isRoot = readChain(rootsPem).some(({ der }) => Buffer.compare(der, own.der) === 0);
  const upwards = isRoot ? [] : pathToRoot({ leafDer: own.der, intermediates: above.map(({ der }) => der), rootsPem });
  if (upwards === undefined)
    throw unusable(
      `${certificateFile} (--ca-cert) does not lead to any of the roots in ${rootsFile} (--ca-roots). Put the certificates between them after it in the file, and the right root there.`,
    );
  const path = [own, ...upwards];
  for (const link of path) checkAuthority(link.facts, certificateFile, options);
  checkPath(path, certificateFile, options);
  const mend = `Put a new certificate into ${certificateFile}; it is read within seconds.`;
  return { signer: new LocalSigner({ key, path, random: options.random, mend }), rootsPem };
}

async function readKey({ keyFile, passphrase }: FileSource): Promise<KeyPair> {
  const pem = await readFile(keyFile, 'the key of the authority (--ca-key)');
  try {
    return readAuthorityKey(pem, passphrase);
  } catch (error) {
    throw unusable(
      `${keyFile} (--ca-key) cannot be used: ${(error as Error).message}.${isEncryptedKey(pem) ? ` ${PASSPHRASE_MEND}` : ''}`,
      error,
    );
  }
}

function checkAuthority(facts: CertificateFacts, file: string, { clock, logger, trustDomain }: AuthorityOptions): void {
  const nowMs = clock.wallMs();
  const endIso = new Date(facts.notAfterMs).toISOString();
  if (!facts.isAuthority || facts.keyUsage?.includes(KEY_USAGE.keyCertSign) === false)
    throw unusable(
      `${file} (--ca-cert) is not the certificate of an authority (CA:TRUE and key usage keyCertSign are needed). Have one made that may sign certificates.`,
    );
  if (nowMs >= facts.notAfterMs) throw unusable(`${file} (--ca-cert), or an authority above it, ended at ${endIso}. Put a new one there.`);
  if (nowMs < facts.notBeforeMs)
    throw unusable(
      `${file} (--ca-cert), or an authority above it, begins only at ${new Date(facts.notBeforeMs).toISOString()}. Check this machine's clock.`,
    );
  if (nowMs >= facts.notAfterMs - ENDS_SOON_MS) logger.warn({ path: file, endsAt: endIso }, 'the certificate of the authority ends soon');
  const domain = facts.uris.length === 1 ? parseTrustDomain(facts.uris[0] as string) : undefined;
  if (domain !== undefined && domain !== trustDomain)
    throw unusable(`${file} (--ca-cert), or an authority above it, is of trust domain ${domain}, but the mesh's is ${trustDomain}.`);
}

/** Whether anything that is signed would be taken at all. */
function checkPath(path: readonly ChainLink[], file: string, { trustDomain }: AuthorityOptions): void {
  const leaf = { uris: [formatSpiffeId({ trustDomain, namespace: 'default', name: 'x' })], dns: [], ips: [] };
  const forbidden = forbiddenBy(leaf, path);
  if (forbidden !== undefined)
    throw unusable(
      `What ${file} (--ca-cert) signs for trust domain ${trustDomain} would be refused by everybody: it comes from ${forbidden}. Have a certificate made that may sign it.`,
    );
}

/** PEM of certificates alone. Rejects with AuthorityError `UNUSABLE_ROOT`. */
export async function readRoots(file: string, { clock }: AuthorityOptions): Promise<string> {
  const roots = await readCertificates(file, 'the roots (--ca-roots)');
  if (roots.length === 0 || roots.length > ROOTS_MAX)
    throw unusable(`${file} (--ca-roots) holds ${roots.length} certificates in PEM; 1 to ${ROOTS_MAX} are taken.`);
  for (const { facts } of roots) {
    if (!facts.isAuthority) throw unusable(`${file} (--ca-roots) holds a certificate that is not of an authority. Take it out.`);
    if (clock.wallMs() >= facts.notAfterMs)
      throw unusable(`${file} (--ca-roots) holds a root that ended at ${new Date(facts.notAfterMs).toISOString()}. Take it out.`);
  }
  return roots.map(({ der }) => encodePem('CERTIFICATE', der)).join('');
}

async function readCertificates(file: string, what: string): Promise<ChainLink[]> {
  const pem = await readFile(file, what);
  try {
    return readChain(pem);
  } catch (error) {
    if (error instanceof DerError) throw unusable(`${file} cannot be used as ${what}: ${error.message}.`, error);
    throw error;
  }
}

async function readFile(file: string, what: string): Promise<string> {
  let text: string | undefined;
  try {
    text = await readTextFile(file);
  } catch (error) {
    throw unusable(`${file}, which should hold ${what}, cannot be read: ${(error as Error).message}.`, error);
  }
  if (text === undefined) throw unusable(`${file}, which should hold ${what}, is not there.`);
  return text;
}
