// A certificate, its key and the roots as files for programs that read them themselves. All three change in one step: the names lead
// through one link, `..data`, to a directory that is written whole and then moved into place. Whoever watches the directory for a move
// (Envoy's `watched_directory`) or looks now and then (gRPC's `file_watcher`) never finds a certificate beside another one's key.
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, readlink, rename, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { TRUST_BUNDLE, WORKLOAD_CERTIFICATE } from '@heddle/core';
import { checkHeld, type HeldIdentity, type WorkloadName } from '@heddle/dataplane/identity';
import { readTextFile, restrictToOwner, writeFileAtomic } from '@heddle/runtime/node';
import { CliError } from '../errors.ts';

export const CERTIFICATE_FILE = 'cert.pem';
export const KEY_FILE = 'key.pem';
export const ROOTS_FILE = 'ca.pem';
/** By these Envoy finds the others, also for its connection to the control plane, before any configuration has come from there. */
export const ENVOY_CERTIFICATE_FILE = 'envoy-certificate.yaml';
export const ENVOY_ROOTS_FILE = 'envoy-roots.yaml';
const PEM_FILES = [CERTIFICATE_FILE, KEY_FILE, ROOTS_FILE];
const NAMES = [...PEM_FILES, ENVOY_CERTIFICATE_FILE, ENVOY_ROOTS_FILE];
/** As Kubernetes calls it, so that programs made for its volumes find what they know. */
const CURRENT = '..data';
const VERSION_FORM = /^\.\.\d{4}-\d{2}-\d{2}T\d{6}\.[0-9a-f]{12}$/;
/** A reader that has found its way into an older version has finished by then. */
const KEPT_MS = 60_000;

export class IdentityFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes the directory where there is none. Throws CliError when it cannot hold the files. */
  async prepare(): Promise<void> {
    const refuse = (why: string, cause?: unknown): never => {
      throw new CliError(`the directory ${this.directory} cannot be used: ${why}`, 'name another one with --out', { cause });
    };
    try {
      await mkdir(this.directory, { recursive: true, mode: 0o700 });
      for (const name of [CURRENT, ...NAMES]) {
        const found = await lstat(join(this.directory, name)).catch(absent);
        if (found !== undefined && !found.isSymbolicLink()) refuse(`${name} in it is not from Heddle`);
      }
    } catch (error) {
      if (error instanceof CliError) throw error;
      refuse((error as Error).message, error);
    }
  }

  /** Undefined when nothing was written yet. Throws an Error that says why what is there cannot be used. */
  async load(workload: Pick<WorkloadName, 'namespace' | 'service'>, nowMs: number): Promise<HeldIdentity | undefined> {
    const version = await readlink(join(this.directory, CURRENT)).catch(absent);
    if (version === undefined) return undefined;
    // Read from one version, whatever the link says by the time the last file is read.
    const [certificatePem, keyPem, rootsPem] = await Promise.all(
      PEM_FILES.map((name) => readTextFile(join(this.directory, version, name))),
    );
    if (certificatePem === undefined || keyPem === undefined || rootsPem === undefined) throw new Error('it is not complete');
    await restrictToOwner(join(this.directory, version, KEY_FILE));
    const { mtimeMs } = await stat(join(this.directory, version, CERTIFICATE_FILE));
    return checkHeld({ certificatePem, keyPem, rootsPem, receivedMs: mtimeMs }, workload, nowMs);
  }

  /** Throws the file system's error; what was there then still is. */
  async write({ certificatePem, keyPem, rootsPem }: HeldIdentity, nowMs: number): Promise<void> {
    const stamp = new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '');
    const version = `..${stamp}.${randomBytes(6).toString('hex')}`;
    const folder = join(this.directory, version);
    const previous = await readlink(join(this.directory, CURRENT)).catch(absent);
    try {
      await mkdir(folder, { mode: 0o755 });
      // The mode is cut by the umask; that of the directory around it is its owner's choice.
      await chmod(folder, 0o755);
      await writeFileAtomic(join(folder, CERTIFICATE_FILE), certificatePem, { mode: 0o644 });
      await writeFileAtomic(join(folder, KEY_FILE), keyPem);
      await writeFileAtomic(join(folder, ROOTS_FILE), rootsPem, { mode: 0o644 });
      await writeFileAtomic(join(folder, ENVOY_CERTIFICATE_FILE), this.#envoyCertificate(), { mode: 0o644 });
      await writeFileAtomic(join(folder, ENVOY_ROOTS_FILE), this.#envoyRoots(), { mode: 0o644 });
      await this.#link(version, CURRENT);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    for (const name of NAMES) {
      const target = join(CURRENT, name);
      if ((await readlink(join(this.directory, name)).catch(absent)) !== target) await this.#link(target, name);
    }
    await this.#sweep([version, previous], nowMs);
  }

  #envoyCertificate(): string {
    const of = (name: string): object => ({ filename: join(this.directory, name) });
    return secretFile({
      name: WORKLOAD_CERTIFICATE,
      tls_certificate: {
        certificate_chain: of(CERTIFICATE_FILE),
        private_key: of(KEY_FILE),
        watched_directory: { path: this.directory },
      },
    });
  }

  #envoyRoots(): string {
    const roots = { filename: join(this.directory, ROOTS_FILE) };
    return secretFile({ name: TRUST_BUNDLE, validation_context: { trusted_ca: roots, watched_directory: { path: this.directory } } });
  }

  /** Puts a link in place by a move: readers find the old one or the new one. */
  async #link(target: string, name: string): Promise<void> {
    const temporary = join(this.directory, `..${randomBytes(6).toString('hex')}.tmp`);
    await symlink(target, temporary);
    try {
      await rename(temporary, join(this.directory, name));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #sweep(kept: readonly (string | undefined)[], nowMs: number): Promise<void> {
    for (const name of await readdir(this.directory)) {
      if (!VERSION_FORM.test(name) || kept.includes(name)) continue;
      const folder = join(this.directory, name);
      const found = await stat(folder).catch(absent);
      if (found !== undefined && nowMs - found.mtimeMs > KEPT_MS) await rm(folder, { recursive: true, force: true });
    }
  }
}

/** As Envoy reads a secret from a file; JSON is YAML. */
function secretFile(secret: object): string {
  const resource = { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret', ...secret };
  return `${JSON.stringify({ resources: [resource] })}\n`;
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
