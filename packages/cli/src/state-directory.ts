// The state directory: where a control plane keeps what it knows, and where the commands find it. `.heddle`, looked for from the
// working directory upwards. One that belongs to somebody else is not used: whoever owns it would be the operator.
import { chmodSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CliError } from './errors.ts';

export const STATE_DIRECTORY_NAME = '.heddle';

/** Written by a control plane once it serves. */
export interface ControlInfo {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  readonly mesh: string;
  readonly trustDomain: string;
  /** Where it serves names by DNS; absent when it does not. */
  readonly dns?: { readonly address: string; readonly port: number };
  /** Where its REST API is; absent when it has none. */
  readonly rest?: { readonly address: string; readonly port: number; readonly tls: boolean };
}

/** The given one, else the nearest that exists, else undefined. */
export function findStateDirectory(given: string | undefined, from = process.cwd()): string | undefined {
  if (given !== undefined) return resolve(from, given);
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    const candidate = join(directory, STATE_DIRECTORY_NAME);
    if (isOwnDirectory(candidate)) return candidate;
    if (dirname(directory) === directory) return undefined;
  }
}

/** The state directory to read from. Throws CliError when there is none. */
export function requireStateDirectory(given: string | undefined): string {
  const directory = findStateDirectory(given);
  if (directory === undefined) {
    throw new CliError(
      'no mesh was started here: there is no .heddle in this directory or above it',
      'start one with `heddle up`, or name its directory with --state-dir',
    );
  }
  if (!isOwnDirectory(directory))
    throw new CliError(`${directory} is not a directory of yours`, 'name the state directory of a mesh with --state-dir');
  return directory;
}

/** The state directory to write to: made when it does not exist, closed to others. Throws CliError. */
export function prepareStateDirectory(given: string | undefined): string {
  const directory = findStateDirectory(given) ?? resolve(STATE_DIRECTORY_NAME);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!isOwnDirectory(directory)) throw new Error('it belongs to another user, or is no directory');
    chmodSync(directory, 0o700);
  } catch (error) {
    throw new CliError(
      `the state directory ${directory} cannot be used: ${(error as Error).message}`,
      'choose another one with --state-dir',
      { cause: error },
    );
  }
  return directory;
}

function isOwnDirectory(path: string): boolean {
  try {
    const found = statSync(path);
    return found.isDirectory() && (process.getuid === undefined || found.uid === process.getuid());
  } catch {
    return false;
  }
}

/** A file of the state directory as text without surrounding white space; undefined when it is not there. */
export function readStateFile(directory: string, ...name: readonly string[]): string | undefined {
  const path = join(directory, ...name);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 'run the command as the user who started the mesh', {
      cause: error,
    });
  }
}

function isPlace(value: unknown): boolean {
  const { address, port } = (value ?? {}) as { readonly address?: unknown; readonly port?: unknown };
  return typeof address === 'string' && typeof port === 'number';
}

/** Undefined when no control plane has served from this directory yet. Throws CliError when the file is damaged. */
export function readControlInfo(directory: string): ControlInfo | undefined {
  const text = readStateFile(directory, 'control.json');
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<ControlInfo>;
    const { address, port, pid, mesh, trustDomain, dns, rest } = value;
    if (
      typeof address === 'string' &&
      typeof port === 'number' &&
      typeof pid === 'number' &&
      typeof mesh === 'string' &&
      typeof trustDomain === 'string'
    ) {
      return { address, port, pid, mesh, trustDomain, ...(isPlace(dns) && { dns }), ...(isRest(rest) && { rest }) };
    }
  } catch {
    // Told below, together with JSON of the wrong form.
  }
  throw new CliError(`${join(directory, 'control.json')} is damaged`, 'start the control plane again: it writes the file anew');
}

function isRest(rest: ControlInfo['rest']): boolean {
  return typeof rest?.address === 'string' && typeof rest.port === 'number' && typeof rest.tls === 'boolean';
}

/** A control plane that listens everywhere is reached on this machine's loopback. */
export function connectableAddress(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}
