// Follows the files of an authority that is elsewhere: what replaces a certificate there need not know this process. What cannot be used is told, and
// the last good files stay. A new root is told to everybody first, and used when all have it; one that was taken out goes when nobody needs it. A
// restart takes the files as they are.
import { decodePem, encodePem } from '@heddle/core';
import type { Timer } from '@heddle/runtime';
import { pinOfKey, readChain, readTextFile, sha256 } from '@heddle/runtime/node';
import { type AuthorityOptions, type CaSource, FILES_TAKEN_UP_MS } from './authority-options.ts';
import type { IssuedLedger } from './ledger.ts';
import { type Signer, signerFirst } from './signer.ts';

/** Three small files; a certificate that is replaced by hand is in use before somebody asks. */
export const FILES_LOOK_EVERY_MS = 2_000;

export interface Followed {
  readonly signer: Signer;
  /** Of what signs: another one, another name. */
  readonly name: string;
  /** As the files say it. */
  readonly rootsPem: string;
}

export interface FollowerHooks {
  /** Whether every data plane has acknowledged the roots of now. */
  readonly haveAll: () => boolean;
  /** One line for people. */
  readonly tell: (message: string) => void;
}

export interface FollowerOptions {
  readonly source: Exclude<CaSource, { kind: 'own' }>;
  readonly authority: Pick<AuthorityOptions, 'clock' | 'logger'>;
  readonly ledger: Pick<IssuedLedger, 'validOfWorkloads'>;
  /** In use at the start, and what `fingerprintOf` said before it was read. */
  readonly first: Followed & { readonly fingerprint: string };
  /** Reads and checks the files. Rejects with AuthorityError. */
  readonly read: () => Promise<Followed>;
  /** What is in use from now on. The one that signs is first of the roots, where that is known. */
  readonly onChange: (now: Followed) => void;
}

export class AuthorityFollower {
  readonly #options: FollowerOptions;
  readonly #hooks: FollowerHooks;
  #now: Followed;
  /** Of the files as they were looked at last. */
  #fingerprint: string;
  /** They were different at the last look: somebody may be writing them. */
  #isSettling = false;
  /** Read, and not wholly in use yet. */
  #next: Followed | undefined;
  /** Since when the roots are those of now, Unix time. */
  #rootsSinceMs: number;
  #told = '';
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: FollowerOptions, hooks: FollowerHooks) {
    this.#options = options;
    this.#hooks = hooks;
    this.#now = options.first;
    this.#fingerprint = options.first.fingerprint;
    // Those who have certificates of before may have heard of fewer roots.
    this.#rootsSinceMs = options.authority.clock.wallMs();
    this.#later();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #later(): void {
    if (this.#isClosed) return;
    this.#timer = this.#options.authority.clock.after(FILES_LOOK_EVERY_MS, () => void this.#look().finally(() => this.#later()));
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const fingerprint = await fingerprintOf(this.#options.source);
    if (fingerprint !== this.#fingerprint) {
      this.#fingerprint = fingerprint;
      this.#isSettling = true;
      return;
    }
    if (this.#isSettling) {
      this.#isSettling = false;
      await this.#read();
    }
    if (this.#next !== undefined && !this.#isClosed) this.#proceed(this.#next);
  }

  async #read(): Promise<void> {
    const { logger } = this.#options.authority;
    try {
      this.#next = await this.#options.read();
      this.#told = '';
    } catch (error) {
      this.#next = undefined;
      const { message } = error as Error;
      logger.error({ error: message }, 'the files of the authority have changed and cannot be used; the last good ones stay in use');
      this.#hooks.tell(`the changed files of the authority cannot be used, the last good ones stay in use: ${message}`);
    }
  }

  /** As far as it can be gone now. */
  #proceed(next: Followed): void {
    const inFile = pinsOf(next.rootsPem);
    const mayUse = this.#mayUse(next);
    const kept = [...pinsOf(this.#now.rootsPem)].filter(([pin]) => !inFile.has(pin) && this.#isNeeded(pin, mayUse));
    const { signer, name } = mayUse && next.name !== this.#now.name ? next : this.#now;
    const wanted = [...inFile, ...kept].map(([, der]) => encodePem('CERTIFICATE', der)).join('');
    const rootsPem = signerFirst(wanted, signer.rootPin);
    const isUsed = signer !== this.#now.signer;
    if (isUsed || rootsPem !== this.#now.rootsPem) {
      if (rootsPem !== this.#now.rootsPem) this.#rootsSinceMs = this.#options.authority.clock.wallMs();
      this.#now = { signer, name, rootsPem };
      this.#options.onChange(this.#now);
      this.#say(
        isUsed
          ? 'certificates come from the authority in the changed files from now on'
          : 'the trusted roots are those of the changed file',
      );
    }
    if (mayUse && kept.length === 0) {
      this.#next = undefined;
      return;
    }
    const pins = kept.map(([pin]) => pin).join(', ');
    this.#say(
      mayUse
        ? `a root that was taken out of the file stays trusted until the certificates that lead to it are renewed (${pins})`
        : 'the authority in the changed files leads to a new root; it signs as soon as everybody who has a certificate knows that root',
    );
  }

  /** Whoever trusts the roots of now takes what it signs, and finds the way to the control plane that shows it. */
  #mayUse({ signer }: Followed): boolean {
    const { rootPin } = signer;
    // What a command signs with, it alone knows.
    if (rootPin === undefined || rootPin === this.#now.signer.rootPin) return true;
    if (!pinsOf(this.#now.rootsPem).has(rootPin) || !this.#hooks.haveAll()) return false;
    const issued = this.#options.ledger.validOfWorkloads();
    if (issued.some(({ timeMs }) => timeMs < this.#rootsSinceMs)) return false;
    return issued.length === 0 || this.#options.authority.clock.wallMs() >= this.#rootsSinceMs + FILES_TAKEN_UP_MS;
  }

  #isNeeded(pin: string, isReplaced: boolean): boolean {
    if (pin === this.#now.signer.rootPin && !isReplaced) return true;
    return this.#options.ledger.validOfWorkloads().some(({ root }) => root === pin);
  }

  #say(message: string): void {
    if (message === this.#told) return;
    this.#told = message;
    this.#options.authority.logger.warn({}, message);
    this.#hooks.tell(message);
  }
}

/** Base64 SHA-256 of their text: keys are not kept. */
export async function fingerprintOf(source: FollowerOptions['source']): Promise<string> {
  const paths = source.kind === 'files' ? [source.certificateFile, source.keyFile, source.rootsFile] : [source.rootsFile];
  const texts = await Promise.all(paths.map((path) => readTextFile(path).catch((error: Error) => error.message)));
  return texts.map((text) => Buffer.from(sha256(Buffer.from(text ?? ''))).toString('base64')).join();
}

/** DER by the pin of its key, in their order. */
function pinsOf(rootsPem: string): Map<string, Uint8Array> {
  const ders = decodePem('CERTIFICATE', rootsPem);
  return new Map(readChain(rootsPem).map(({ facts }, index): [string, Uint8Array] => [pinOfKey(facts.spkiDer), ders[index] ?? NOTHING]));
}

const NOTHING = new Uint8Array();
