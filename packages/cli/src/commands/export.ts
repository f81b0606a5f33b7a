// What every `heddle export …` needs: which control plane the exported configuration leads to, and where the text goes.
import { writeFileSync } from 'node:fs';
import { CliError } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { connectableAddress, readControlInfo, requireStateDirectory } from '../state-directory.ts';

export interface ExportControlOptions {
  readonly control?: HostPort;
  readonly trustDomain?: string;
  readonly stateDir?: string;
}

export interface ExportControl {
  readonly host: string;
  readonly port: number;
  readonly trustDomain: string;
}

/** Throws CliError that names the flag which is missing. */
export function exportControl({ control, trustDomain, stateDir }: ExportControlOptions): ExportControl {
  if (control !== undefined) {
    if (trustDomain === undefined)
      throw new CliError(
        '--trust-domain is missing: with --control nothing else says which identity the control plane must show',
        'add --trust-domain; `trustDomain` of the mesh file says it, else it is the name of the mesh',
        { exitCode: 2 },
      );
    return { ...control, trustDomain };
  }
  const directory = requireStateDirectory(stateDir);
  const info = readControlInfo(directory);
  if (info === undefined)
    throw new CliError(
      `no control plane runs with ${directory}`,
      'start one with `heddle up`, or name one with --control HOST:PORT and --trust-domain',
    );
  if (trustDomain !== undefined && trustDomain !== info.trustDomain)
    throw new CliError(
      `--trust-domain is ${trustDomain}, but the mesh of ${directory} has ${info.trustDomain}`,
      'leave --trust-domain away, or name the right state directory with --state-dir',
      { exitCode: 2 },
    );
  return { host: connectableAddress(info.address), port: info.port, trustDomain: info.trustDomain };
}

/** To the file, else to standard output. Throws CliError. */
export function writeExport(text: string, file: string | undefined): void {
  if (file === undefined) {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new CliError(`${file} cannot be written: ${(error as Error).message}`, 'name another file with --output', { cause: error });
  }
}
