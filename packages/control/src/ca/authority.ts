// The mesh's certificate authority: leaves of an hour. It decides nothing about who may have which identity; callers have authenticated the
// workload before they ask for a signature. Every certificate is in the log before it is given out.
import { join } from 'node:path';
import { controlPlaneId, formatSpiffeId, isSpiffeId, readCertificate, type SpiffeId } from '@heddle/core';
import {
  certificateDer,
  createCsr,
  generateKeyPair,
  pinOfKey,
  privateDirectory,
  readChain,
  readCsr,
  writeFileAtomic,
} from '@heddle/runtime/node';
import { openAuthorityFiles, readRoots } from './authority-files.ts';
import { AuthorityFollower, fingerprintOf, type Followed, type FollowerHooks, type FollowerOptions } from './authority-follower.ts';
import { AuthorityError, type AuthorityOptions, type CaSource } from './authority-options.ts';
import type { Authority, ControlCertificate, ControlCertificateInput, IssuedCertificate, SignInput } from './authority-types.ts';
import { CommandSigner } from './command-signer.ts';
import { type IssuedLedger, type IssueReason, openLedger } from './ledger.ts';
import { openRootRotation, type RootRotation } from './root-rotation.ts';
import { type Root, signerOf } from './root.ts';
import { type SignedLeaf, type Signer, signerFirst } from './signer.ts';

/** Short enough that a stolen key is soon worthless, long enough that an hour's outage of the control plane is harmless. */
export const LEAF_TTL_MS = 60 * 60_000;
/** Below this, renewal at half life would be a constant load and clock differences would matter. */
export const LEAF_TTL_MIN_MS = 2_000;
export const LEAF_TTL_MAX_MS = 7 * 24 * 60 * 60_000;
/**
 * Who joins by a token that pins the old root, while certificates come from the new one already, gets one from the old root: it trusts nothing
 * else yet. So long it lives; it is renewed, from the new root, at half of that.
 */
const OLD_ROOT_TTL_MS = 120_000;
/** Of authorities that were replaced since the start: who renews late has a certificate of theirs. More are never looked at. */
const PAST_INTERMEDIATES_MAX = 4;
/** The roots that are trusted now, for commands on this machine. */
const ROOTS_FILE = 'roots.pem';

interface Signers {
  /** Of leaves. */
  readonly leaves: Signer;
  /** Of what the control plane shows. */
  readonly shown: Signer;
  readonly rootsPem: string;
}

/** Reads the authority or, on the first start, creates it. Rejects with AuthorityError `UNUSABLE_ROOT`, whose message says how to mend. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { stateDir, clock, logger, source = { kind: 'own' } } = options;
  const directory = join(stateDir, 'ca');
  let ledger: IssuedLedger;
  try {
    await privateDirectory(stateDir);
    await privateDirectory(directory);
    ledger = await openLedger({ path: join(directory, 'issued.jsonl'), clock, logger });
  } catch (error) {
    const why = `${directory} cannot be used: ${(error as Error).message}. Check who owns it and the free space.`;
    throw new AuthorityError('UNUSABLE_ROOT', why, error);
  }
  if (source.kind === 'own') {
    const rotation = await openRootRotation(options);
    const authority = new MeshAuthority(options, source.kind, ledger, signersOf(rotation, options), { rotation });
    await authority.writeRoots();
    return authority;
  }
  const files = await openElsewhere(source, options);
  const authority = new MeshAuthority(options, source.kind, ledger, asSigners(files.first), { files });
  await authority.writeRoots();
  return authority;
}

/** What is needed to follow the files. */
type Files = Pick<FollowerOptions, 'source' | 'first' | 'read'> & {
  /** What a command's certificates must lead to; kept as it is now. */
  readonly trusted: { rootsPem: string };
};

async function openElsewhere(source: Exclude<CaSource, { kind: 'own' }>, options: AuthorityOptions): Promise<Files> {
  const fingerprint = await fingerprintOf(source);
  const trusted = { rootsPem: '' };
  // One for all changes of its roots: how many commands run at once is its to know.
  const command = source.kind === 'command' ? new CommandSigner({ ...options, source, trusted }) : undefined;
  const read = async (): Promise<Followed> => {
    if (command !== undefined) return { signer: command, name: source.kind, rootsPem: await readRoots(source.rootsFile, options) };
    const { signer, rootsPem } = await openAuthorityFiles(source as Extract<CaSource, { kind: 'files' }>, options);
    const name = [...signer.intermediates.map((der) => Buffer.from(der).toString('base64')), signer.rootPin].join();
    return { signer, name, rootsPem: signerFirst(rootsPem, signer.rootPin) };
  };
  const first = await read();
  trusted.rootsPem = first.rootsPem;
  return { source, first: { ...first, fingerprint }, read, trusted };
}

function asSigners({ signer, rootsPem }: Followed): Signers {
  return { leaves: signer, shown: signer, rootsPem };
}

function signersOf({ root, next, state }: RootRotation, options: AuthorityOptions): Signers {
  const shown = signerOf(root, options);
  const isUsed = next !== undefined && state.phase === 'used';
  const leaves = isUsed ? signerOf(next, options) : shown;
  // The one that signs first: by that whoever holds a certificate knows whether a new one would be another.
  const roots = isUsed ? [next, root] : [root, next];
  return { leaves, shown, rootsPem: roots.map((one: Root | undefined) => one?.certificatePem ?? '').join('') };
}

interface LeafInput {
  readonly signer: Signer;
  readonly csrDer: Uint8Array;
  readonly spkiDer: Uint8Array;
  readonly identity: SpiffeId;
  readonly ttlMs: number | undefined;
  readonly dns: readonly string[] | undefined;
  readonly ips: readonly string[] | undefined;
  readonly why: IssueReason;
  readonly replaces: string | undefined;
}

class MeshAuthority implements Authority {
  readonly trustDomain: string;
  readonly source: CaSource['kind'];
  readonly ledger: IssuedLedger;
  readonly rotation: RootRotation | undefined;
  readonly #options: AuthorityOptions;
  readonly #listeners = new Set<() => void>();
  #showFirst: () => Promise<void> = async () => {};
  #changes: Promise<void> = Promise.resolve();
  #signers: Signers;
  /** Of the chain that the control plane was given last. */
  #shownPin: string | undefined;
  #controlSerial: string | undefined;
  readonly #files: Files | undefined;
  #follower: AuthorityFollower | undefined;
  #pastIntermediates: readonly Uint8Array[] = [];

  constructor(
    options: AuthorityOptions,
    source: CaSource['kind'],
    ledger: IssuedLedger,
    signers: Signers,
    { rotation, files }: { readonly rotation?: RootRotation; readonly files?: Files },
  ) {
    this.#options = options;
    this.trustDomain = options.trustDomain;
    this.source = source;
    this.ledger = ledger;
    this.rotation = rotation;
    this.#files = files;
    this.#signers = signers;
    if (rotation !== undefined) rotation.onStep = () => this.#take(signersOf(rotation, options));
  }

  get rootsPem(): string {
    return this.#signers.rootsPem;
  }

  get pin(): string {
    return this.#shownPin ?? this.#signers.shown.rootPin ?? this.pins[0] ?? '';
  }

  get pins(): readonly string[] {
    return readChain(this.rootsPem).map(({ facts }) => pinOfKey(facts.spkiDer));
  }

  get rootNotAfterMs(): number {
    return this.#signers.leaves.notAfterMs;
  }

  get intermediates(): readonly Uint8Array[] {
    return [...new Set([...this.#signers.leaves.intermediates, ...this.#signers.shown.intermediates, ...this.#pastIntermediates])];
  }

  follow(hooks: FollowerHooks): void {
    if (this.#files === undefined) return;
    const onChange = (now: Followed): void => this.#changed(now);
    this.#follower = new AuthorityFollower({ ...this.#files, authority: this.#options, ledger: this.ledger, onChange }, hooks);
  }

  onChange(listener: () => void): { close(): void } {
    this.#listeners.add(listener);
    return { close: () => this.#listeners.delete(listener) };
  }

  showFirst(show: () => Promise<void>): void {
    this.#showFirst = show;
  }

  /** For the commands on this machine. Rejects with AuthorityError. */
  async writeRoots(): Promise<void> {
    const path = join(this.#options.stateDir, 'ca', ROOTS_FILE);
    await writeFileAtomic(path, this.rootsPem, { mode: 0o644 }).catch((error: unknown) => {
      throw new AuthorityError('UNUSABLE_ROOT', `${path} cannot be written: ${(error as Error).message}. Check the free space.`, error);
    });
  }

  checkCsr(csrDer: Uint8Array): string {
    return pinOfKey(readCsr(csrDer));
  }

  async sign(input: SignInput): Promise<IssuedCertificate> {
    const { identity, csrDer, dns, ips, why = 'renewal', replaces } = input;
    const control = controlPlaneId(this.trustDomain);
    if (identity.namespace === control.namespace && identity.name === control.name) {
      throw new AuthorityError('BAD_IDENTITY', 'The identity of the control plane itself is not given to anyone else.');
    }
    const { leaves, shown } = this.#signers;
    const isOfOldRoot = leaves !== shown && input.pin !== undefined && input.pin === shown.rootPin;
    const ttlMs = isOfOldRoot ? Math.min(input.ttlMs ?? LEAF_TTL_MS, OLD_ROOT_TTL_MS) : input.ttlMs;
    const { issued } = await this.#leaf({
      ...{ signer: isOfOldRoot ? shown : leaves, csrDer, spkiDer: readCsr(csrDer), identity },
      ...{ dns, ips, ttlMs, why, replaces },
    });
    return issued;
  }

  async issueControlCertificate(input: ControlCertificateInput): Promise<ControlCertificate> {
    const key = input.key ?? generateKeyPair();
    const identity = controlPlaneId(this.trustDomain);
    const issuedMs = this.#options.clock.wallMs();
    const ttlMs = input.ttlMs ?? Math.max(LEAF_TTL_MS, this.#options.ttlMs ?? 0);
    const { issued, signed, serial } = await this.#leaf({
      ...{ signer: this.#signers.shown, csrDer: createCsr(key), spkiDer: key.spkiDer, identity },
      ...{ ttlMs, dns: input.dns, ips: input.ips, why: 'control', replaces: this.#controlSerial },
    });
    this.#controlSerial = serial;
    this.#shownPin = signed.rootPin;
    return { ...issued, key, chainPem: issued.certificatePem + signed.rootPem, renewAtMs: issuedMs + (issued.notAfterMs - issuedMs) / 2 };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#follower?.close();
    await this.#changes;
    await this.ledger.close();
  }

  #changed(now: Followed): void {
    const past = now.signer === this.#signers.leaves ? [] : this.#signers.leaves.intermediates;
    this.#pastIntermediates = [...past, ...this.#pastIntermediates].slice(0, PAST_INTERMEDIATES_MAX);
    if (this.#files !== undefined) this.#files.trusted.rootsPem = now.rootsPem;
    void this.#take(asSigners(now));
  }

  /**
   * The servers of the control plane first: who hears of a new root is known by them then, and who forgets an old one is not shown it any more.
   * Never rejects. One change after the other.
   */
  #take(signers: Signers): Promise<void> {
    this.#signers = signers;
    this.#shownPin = undefined;
    const { logger } = this.#options;
    const show = this.#showFirst;
    this.#changes = this.#changes
      .then(async () => {
        await show();
        await this.writeRoots();
      })
      .catch((error: unknown) => logger.error({ error: (error as Error).message }, 'the servers or commands here lack the changed roots'))
      .then(() => {
        for (const listener of [...this.#listeners]) listener();
      });
    return this.#changes;
  }

  async #leaf(input: LeafInput): Promise<{ issued: IssuedCertificate; signed: SignedLeaf; serial: string }> {
    const { signer, csrDer, spkiDer, identity, ttlMs, dns = [], ips = [], why, replaces } = input;
    this.#checkIdentity(identity);
    const nowMs = this.#options.clock.wallMs();
    const lifeMs = Math.min(Math.max(ttlMs ?? LEAF_TTL_MS, LEAF_TTL_MIN_MS), LEAF_TTL_MAX_MS);
    const uri = formatSpiffeId(identity);
    const signed = await signer.issue({ csrDer, spkiDer, identity, uri, nowMs, notAfterMs: nowMs + lifeMs, dns, ips });
    const { serial, notBeforeMs, notAfterMs } = readCertificate(certificateDer(signed.certificatePem));
    await this.ledger.record({
      ...{ timeMs: Math.floor(nowMs), serial, id: uri, keyPin: pinOfKey(spkiDer), untilMs: notAfterMs, why, root: signed.rootPin },
      ...(replaces === undefined ? {} : { replaces }),
    });
    return { issued: { certificatePem: signed.certificatePem, spiffeId: uri, notBeforeMs, notAfterMs }, signed, serial };
  }

  #checkIdentity(identity: SpiffeId): void {
    if (identity.trustDomain !== this.trustDomain) {
      throw new AuthorityError('BAD_IDENTITY', `This authority certifies trust domain ${this.trustDomain}, not ${identity.trustDomain}.`);
    }
    if (!isSpiffeId(identity))
      throw new AuthorityError(
        'BAD_IDENTITY',
        `${JSON.stringify(`${identity.namespace}/${identity.name}`)} cannot be written as a SPIFFE id.`,
      );
  }
}
