// A mesh file that did not come from the disk: read by the same parser, with the files it names as far as they were sent along.
import { basename, dirname } from 'node:path';
import type { MeshConfig } from '@heddle/core';
import { mayHaveConditions, parseMeshFile, type ConfigFiles, type Problem } from '@heddle/core/config';
import { sha256 } from '@heddle/runtime/node';
import type { SentFile } from './record.ts';

/** Where a mesh was read from. */
export interface MeshSource {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
}

/** Stands for the control plane's own file where there is none. */
export const NO_FILE = '/heddle.yaml';

/** A mesh file with errors; its message is for who sees nothing but that. */
export class MeshFileError extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    const errors = problems.filter(({ severity }) => severity === 'error');
    const { line = 1, column = 1, where = '', reason = '' } = errors[0] ?? {};
    const more = errors.length > 1 ? `; and ${errors.length - 1} more` : '';
    super(`line ${line}, column ${column}: ${where === '' ? '' : `${where}: `}${reason}${more}`);
    this.name = 'MeshFileError';
    this.problems = problems;
  }
}

/** @param file absolute. @param files absent: they are on the machine of the file. Never rejects. */
export async function readMeshText(
  text: string,
  file: string,
  files?: ConfigFiles,
): Promise<{ readonly mesh?: MeshConfig; readonly problems: readonly Problem[] }> {
  const { compileCondition } = mayHaveConditions(text) ? await import('@heddle/core/cel') : {};
  return parseMeshFile(text, {
    path: basename(file),
    directory: dirname(file),
    ...(files && { files }),
    ...(compileCondition && { conditions: compileCondition }),
  });
}

/**
 * As it would be in place of the control plane's own file: relative names of secrets start from that file's directory. Nothing is read on this
 * machine. Throws MeshFileError. @param path of the control plane's own file, for the names of secrets and in problems.
 */
export async function readSentFile(
  { text, files }: SentFile,
  path: string,
  nowMs: number,
): Promise<{ readonly mesh: MeshConfig; readonly problems: readonly Problem[] }> {
  const read = (name: string): string => {
    if (Object.hasOwn(files, name)) return files[name] as string;
    throw new Error('its content was not sent along, as `heddle apply` does it; nothing is read on the machine of the control plane');
  };
  const { mesh, problems } = await readMeshText(text, path, { read, nowMs, secrets: 'elsewhere' });
  if (mesh === undefined) throw new MeshFileError(problems);
  return { mesh, problems };
}

/** @param mesh where there is no file. */
export function fingerprint(source: Pick<MeshSource, 'text'> | undefined, mesh: MeshConfig): string {
  return Buffer.from(sha256(source?.text ?? JSON.stringify(mesh))).toString('hex');
}
