// What is applied, kept on disk for the next process: one that starts while the control plane is away serves with it. Written some seconds
// after a change, whole or not at all, readable by its owner only; bounded, because a start must not take long. The file's time is when
// the control plane last said that it is right.
import { join } from 'node:path';
import { encodeResource, type KeptResource, kindOfTypeUrl, TYPE_URLS } from '@heddle/api';
import { type Resource, type ResourceKind, resourceName, type ResourceTypes } from '@heddle/core';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import { fileTimeMs, privateDirectory, readTextFile, restrictToOwner, setFileTimeMs, writeFileAtomic } from '@heddle/runtime/node';
import type { ResourceUpdate } from '../data-plane.ts';

const FORMAT = 1;
/** No namespace begins with a dot, so this is no directory of identities. */
const FILE_NAME = '.configuration';
/** Soon after the first one came, then not more often than this: what changes in between is told again by the control plane anyway. */
const FIRST_AFTER_MS = 1_000;
const AGAIN_AFTER_MS = 10_000;
/** How old the file may seem although it is right. */
const MARK_EVERY_MS = 60_000;
/** A mesh of 1,000 services and 10,000 instances has some 8 MB. */
const TEXT_LENGTH_MAX = 64 * 1024 * 1024;

export interface KeptConfiguration {
  readonly resources: readonly KeptResource[];
  /** When the control plane last said that this is right, Unix time. */
  readonly keptMs: number;
}

export interface ConfigurationKeeperOptions {
  /** That of the identities. */
  readonly directory: string;
  /** Of this data plane; what another one kept is not taken. */
  readonly node: string;
  /** When the control plane last proved that what is applied is what it says, Unix time. */
  readonly syncedMs: () => number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Header {
  readonly format: number;
  readonly node: string;
  readonly resources: number;
}

export class ConfigurationKeeper {
  readonly #options: ConfigurationKeeperOptions;
  readonly #path: string;
  readonly #held = new Map<ResourceKind, Map<string, Resource>>();
  /** Of what has not changed since it was written last. */
  readonly #lines = new WeakMap<Resource, string>();
  #timer: Timer | undefined;
  #markTimer: Timer | undefined;
  #markedMs = 0;
  #pauseMs = FIRST_AFTER_MS;
  #writing: Promise<void> = Promise.resolve();
  #isTold = false;
  #isClosed = false;

  constructor(options: ConfigurationKeeperOptions) {
    this.#options = options;
    this.#path = join(options.directory, FILE_NAME);
  }

  /** Undefined when nothing usable is kept. Never rejects. */
  async load(): Promise<KeptConfiguration | undefined> {
    const { node, logger } = this.#options;
    try {
      const text = await readTextFile(this.#path);
      if (text === undefined) return undefined;
      await restrictToOwner(this.#path);
      return { resources: read(text, node), keptMs: await fileTimeMs(this.#path) };
    } catch (error) {
      logger.warn({ path: this.#path, error: (error as Error).message }, 'the kept configuration cannot be used');
      return undefined;
    }
  }

  /** Takes note of what was applied, and writes it by and by. */
  applied({ kind, upserts, removed }: ResourceUpdate): void {
    let held = this.#held.get(kind);
    if (held === undefined) this.#held.set(kind, (held = new Map()));
    for (const name of removed) held.delete(name);
    for (const resource of upserts) held.set(resourceName(kind, resource), resource);
    if (this.#isClosed) return;
    this.#timer ??= this.#options.clock.after(this.#pauseMs, () => void this.#write());
    if (this.#markTimer === undefined) this.#markLater();
  }

  /** Writes what is not written yet, and ends. Never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#markTimer?.cancel();
    if (this.#timer !== undefined) await this.#write();
    else this.#mark();
    await this.#writing;
  }

  /** Ends without a further word: another process keeps the file from now on. */
  leave(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#markTimer?.cancel();
  }

  #markLater(): void {
    this.#markTimer = this.#options.clock.after(MARK_EVERY_MS, () => {
      this.#mark();
      this.#markLater();
    });
  }

  /** Nothing has changed, and the control plane has said so. */
  #mark(): void {
    const syncedMs = this.#options.syncedMs();
    if (this.#markedMs === 0 || syncedMs <= this.#markedMs) return;
    this.#markedMs = syncedMs;
    // Where that fails the file only looks older than it is.
    this.#writing = this.#writing.then(() => setFileTimeMs(this.#path, syncedMs)).catch(() => {});
  }

  #write(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#pauseMs = AGAIN_AFTER_MS;
    const text = this.#text();
    const { directory, syncedMs, logger } = this.#options;
    this.#markedMs = syncedMs();
    const keptMs = this.#markedMs;
    this.#writing = this.#writing.then(async () => {
      try {
        if (text.length > TEXT_LENGTH_MAX) throw new Error(`it has ${text.length} bytes, at most ${TEXT_LENGTH_MAX} are kept`);
        await privateDirectory(directory);
        await writeFileAtomic(this.#path, text);
        await setFileTimeMs(this.#path, keptMs);
        this.#isTold = false;
      } catch (error) {
        // Once for each outage of the disk.
        if (!this.#isTold)
          logger.warn(
            { path: this.#path, error: (error as Error).message },
            'the configuration could not be kept; a proxy that starts while the control plane is away will have an older one, or none',
          );
        this.#isTold = true;
      }
    });
    return this.#writing;
  }

  #text(): string {
    const lines: string[] = [];
    for (const [kind, held] of this.#held) for (const resource of held.values()) lines.push(this.#line(kind, resource));
    const header: Header = {
      format: FORMAT,
      node: this.#options.node,
      resources: lines.length,
    };
    return `${[JSON.stringify(header), ...lines].join('\n')}\n`;
  }

  #line(kind: ResourceKind, resource: Resource): string {
    let line = this.#lines.get(resource);
    if (line === undefined) {
      const { name, version, any } = encodeResource(kind, resource as ResourceTypes[typeof kind]);
      line = JSON.stringify([TYPE_URLS[kind], name, version, Buffer.from(any.value).toString('base64')]);
      this.#lines.set(resource, line);
    }
    return line;
  }
}

/** Throws Error. What is inside the resources is checked by who applies them. */
function read(text: string, node: string): KeptResource[] {
  const [first = '', ...lines] = text.trimEnd().split('\n');
  const header = JSON.parse(first) as Partial<Header>;
  if (header.format !== FORMAT) throw new Error(`it has format ${String(header.format)}, this Heddle reads ${FORMAT}`);
  if (header.node !== node) throw new Error(`it is of the data plane ${JSON.stringify(header.node)}`);
  if (header.resources !== lines.length) throw new Error('it is not complete');
  return lines.map((line): KeptResource => {
    const [typeUrl, name, version, value] = JSON.parse(line) as unknown[];
    const kind = kindOfTypeUrl(String(typeUrl));
    if (kind === undefined || typeof name !== 'string' || typeof version !== 'string' || typeof value !== 'string')
      throw new Error('a resource in it is not complete');
    return { kind, name, version, value: Buffer.from(value, 'base64') };
  });
}
