// The two roots of a rotation on disk, and how far it is. Each step is one file that is replaced whole (`rotation.json`); what belongs to it is done
// before, or made up for at the next start. Whether a step may be made is decided elsewhere.
import { join } from 'node:path';
import { pinOfKey, moveFile, readTextFile, removeFile, writeFileAtomic } from '@heddle/runtime/node';
import { AuthorityError, type AuthorityOptions, unusable } from './authority-options.ts';
import { openRoot, type Root, rootPaths } from './root.ts';

/**
 * `none`; `added`: everybody is told of the new root; `used`: certificates come from the new one, while the control plane itself still shows
 * the old one; `finishing`: the old one is being removed, for a moment.
 */
export type RotationPhase = 'none' | 'added' | 'used' | 'finishing';

export interface RotationState {
  readonly phase: RotationPhase;
  /** When the new root came and when it was taken into use, Unix time; 0: not yet. */
  readonly addedMs: number;
  readonly usedMs: number;
  /** Goes on by itself as soon as it may. */
  readonly isAutomatic: boolean;
}

const NONE: RotationState = { phase: 'none', addedMs: 0, usedMs: 0, isAutomatic: false };
const FORMAT = 1;

/** Opens the root, and the next one where a rotation is under way. Rejects with AuthorityError `UNUSABLE_ROOT`. */
export async function openRootRotation(options: AuthorityOptions): Promise<RootRotation> {
  const file = join(options.stateDir, 'ca', 'rotation.json');
  const state = readState((await readTextFile(file)) ?? '', file);
  if (state.phase === 'finishing') await finishFiles(options, file);
  else if (state.phase === 'none') await removeNext(options);
  const isUnderWay = state.phase === 'added' || state.phase === 'used';
  const root = await openRoot(options, rootPaths(options.stateDir, 'root'));
  const next = isUnderWay ? await openRoot(options, rootPaths(options.stateDir, 'next')) : undefined;
  return new RootRotation(options, file, root, next, isUnderWay ? state : NONE);
}

export class RootRotation {
  /** Called after each step. */
  onStep: () => Promise<void> = async () => {};
  readonly #options: AuthorityOptions;
  readonly #file: string;
  #root: Root;
  #next: Root | undefined;
  #state: RotationState;

  constructor(options: AuthorityOptions, file: string, root: Root, next: Root | undefined, state: RotationState) {
    this.#options = options;
    this.#file = file;
    this.#root = root;
    this.#next = next;
    this.#state = state;
  }

  get state(): RotationState {
    return this.#state;
  }

  /** The one that the control plane shows. */
  get root(): Root {
    return this.#root;
  }

  get next(): Root | undefined {
    return this.#next;
  }

  /** Of the root's key. */
  get pin(): string {
    return pinOfKey(this.#root.facts.spkiDer);
  }

  get nextPin(): string | undefined {
    return this.#next === undefined ? undefined : pinOfKey(this.#next.facts.spkiDer);
  }

  /** Makes the next root and adds it to those that are trusted. */
  async add(isAutomatic: boolean): Promise<void> {
    this.#require('none', 'start');
    await removeNext(this.#options);
    const next = await openRoot(this.#options, rootPaths(this.#options.stateDir, 'next'));
    await this.#write({ phase: 'added', addedMs: this.#nowMs(), usedMs: 0, isAutomatic }, next);
  }

  /** Certificates come from the next root from now on. */
  async use(): Promise<void> {
    this.#require('added', 'use');
    await this.#write({ ...this.#state, phase: 'used', usedMs: this.#nowMs() }, this.#next);
  }

  /** The old root is forgotten, its key is removed. */
  async finish(): Promise<void> {
    this.#require('used', 'finish');
    const next = this.#next;
    await writeFileAtomic(this.#file, textOf({ ...this.#state, phase: 'finishing' }));
    await finishFiles(this.#options, this.#file);
    if (next !== undefined) this.#root = next;
    this.#next = undefined;
    this.#state = NONE;
    await this.onStep();
  }

  /** From `used` back to `added`; from there the next root is forgotten. */
  async abort(): Promise<void> {
    if (this.#state.phase === 'used') return this.#write({ ...this.#state, phase: 'added', usedMs: 0, isAutomatic: false }, this.#next);
    this.#require('added', 'abort');
    await removeFile(this.#file);
    await removeNext(this.#options);
    this.#next = undefined;
    this.#state = NONE;
    await this.onStep();
  }

  async goOnByItself(isAutomatic: boolean): Promise<void> {
    if (this.#state.phase === 'none' || this.#state.isAutomatic === isAutomatic) return;
    await this.#write({ ...this.#state, isAutomatic }, this.#next);
  }

  async #write(state: RotationState, next: Root | undefined): Promise<void> {
    await writeFileAtomic(this.#file, textOf(state));
    this.#next = next;
    this.#state = state;
    await this.onStep();
  }

  #nowMs(): number {
    return Math.floor(this.#options.clock.wallMs());
  }

  #require(phase: RotationPhase, step: string): void {
    const is = this.#state.phase;
    if (is === phase) return;
    const why = {
      none: 'no rotation is under way. Begin one with `heddle ca rotate start`',
      added: 'the new root has been added, and is not used yet. Go on with `heddle ca rotate use`',
      used: 'the new root is in use already. Go on with `heddle ca rotate finish`',
      finishing: 'the rotation is being finished. Look again with `heddle ca rotate status`',
    }[is];
    throw new AuthorityError('REFUSED', `\`${step}\` is not the next step: ${why}.`);
  }
}

/** The next root's files take the place of the root's, key first. To be called again after a crash anywhere in between. */
async function finishFiles({ stateDir }: AuthorityOptions, file: string): Promise<void> {
  const root = rootPaths(stateDir, 'root');
  const next = rootPaths(stateDir, 'next');
  await moveFile(next.key, root.key);
  await moveFile(next.certificate, root.certificate);
  await removeFile(file);
}

/** Left by a start of a rotation, or its abort, that was interrupted. */
async function removeNext({ stateDir }: AuthorityOptions): Promise<void> {
  const next = rootPaths(stateDir, 'next');
  await removeFile(next.certificate);
  await removeFile(next.key);
}

function textOf({ phase, addedMs, usedMs, isAutomatic }: RotationState): string {
  return `${JSON.stringify({ format: FORMAT, phase, addedMs, usedMs, isAutomatic }, undefined, 2)}\n`;
}

function readState(text: string, file: string): RotationState {
  if (text === '') return NONE;
  try {
    const { format, phase, addedMs, usedMs, isAutomatic } = JSON.parse(text) as Record<string, unknown>;
    const isKnown = phase === 'added' || phase === 'used' || phase === 'finishing';
    if (format === FORMAT && isKnown && Number.isFinite(addedMs) && Number.isFinite(usedMs) && typeof isAutomatic === 'boolean')
      return { phase, addedMs: addedMs as number, usedMs: usedMs as number, isAutomatic };
  } catch {
    // Told below, together with JSON of the wrong form.
  }
  throw unusable(
    `${file}, which says how far the replacement of the root is, is damaged. Put it back from a backup, together with the files beside it.`,
  );
}
