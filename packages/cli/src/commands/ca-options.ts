// What signs certificates, as the options of `heddle control` say it: a root of its own, an authority from files, or a command.
import { resolve } from 'node:path';
import { type CaSource, readPassphrase } from '@heddle/control';
import type { KeyType } from '@heddle/runtime/node';
import { CliError, splitMend } from '../errors.ts';

export interface CaOptions {
  readonly caPassphraseFile?: string;
  readonly caKeyType: KeyType;
  readonly caCert?: string;
  readonly caKey?: string;
  readonly caRoots?: string;
  readonly caCommand?: string;
  /** Milliseconds. */
  readonly caCommandTimeout: number;
}

/** Throws CliError for options that do not go together. Files are looked at later. */
export async function caSource(options: CaOptions, environment: NodeJS.ProcessEnv): Promise<CaSource> {
  const { caPassphraseFile, caKeyType, caCert, caKey, caRoots, caCommand, caCommandTimeout } = options;
  const passphrase = await readPassphrase(caPassphraseFile, environment).catch((error: Error) => {
    const { message, mend } = splitMend(error.message);
    throw new CliError(message, mend, { cause: error });
  });
  const locked = passphrase === undefined ? {} : { passphrase };
  if (caCommand !== undefined) {
    if (caCert !== undefined || caKey !== undefined)
      throw wrong('--ca-command has certificates signed elsewhere', 'leave out --ca-cert and --ca-key');
    if (caRoots === undefined) throw wrong('--ca-command needs the roots that its certificates lead to', 'name their file with --ca-roots');
    if (caPassphraseFile !== undefined) throw wrong('--ca-command has no key of its own here', 'leave out --ca-passphrase-file');
    return { kind: 'command', command: caCommand, rootsFile: resolve(caRoots), timeoutMs: caCommandTimeout };
  }
  if (caCert === undefined && caKey === undefined && caRoots === undefined) return { kind: 'own', keyType: caKeyType, ...locked };
  if (caCert === undefined || caKey === undefined || caRoots === undefined)
    throw wrong('an authority from files needs its certificate, its key and the roots', 'give all of --ca-cert, --ca-key and --ca-roots');
  return { kind: 'files', certificateFile: resolve(caCert), keyFile: resolve(caKey), rootsFile: resolve(caRoots), ...locked };
}

function wrong(message: string, mend: string): CliError {
  return new CliError(message, mend, { exitCode: 2 });
}
