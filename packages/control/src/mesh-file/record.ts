// What is kept of where the running configuration comes from: which file the control plane was started with, and what was changed since.
import { z } from 'zod';
import { meshFileStoreKey } from '../registry/keys.ts';
import { asciiJson, inParts } from '../registry/parts.ts';
import { parseJson } from '../registry/reader.ts';
import { readRecord } from '../registry/service-record.ts';
import type { Split } from './splits.ts';

/** A mesh file as somebody sent it. */
export interface SentFile {
  readonly text: string;
  /** What is in the files that it names, by name. Without secrets: these are on the machines of the data planes. */
  readonly files: Readonly<Record<string, string>>;
}

export interface AppliedFile extends SentFile {
  /** Unix time in milliseconds. */
  readonly timeMs: number;
  /** As the audit log names them. */
  readonly by: string;
}

export interface MeshFileRecord {
  /** One more with each change: of the file at a start, of what was applied, of a split. */
  readonly revision: number;
  /** SHA-256 of the file that the control plane was started with, in hexadecimal digits. */
  readonly file: string;
  /** Absent: what holds is in that file. */
  readonly applied?: AppliedFile;
  readonly splits: readonly Split[];
}

const ref = z.strictObject({ namespace: z.string(), name: z.string() });
const Stored: z.ZodType<MeshFileRecord> = z.strictObject({
  revision: z.int().min(0),
  file: z.string(),
  applied: z.strictObject({ text: z.string(), files: z.record(z.string(), z.string()), timeMs: z.int(), by: z.string() }).exactOptional(),
  splits: z.array(
    z.strictObject({
      service: z.string(),
      rule: z.string(),
      to: z.array(z.strictObject({ service: ref, labels: z.record(z.string(), z.string()), weight: z.int().min(0).max(1_000_000) })),
    }),
  ),
});

/** By key in the store. */
export function recordParts(record: MeshFileRecord): Map<string, string> {
  return inParts(asciiJson(record), meshFileStoreKey);
}

/** Undefined: there is none. Throws RegistryError INVALID. */
export function readMeshFileRecord(parts: readonly string[]): MeshFileRecord | undefined {
  return parts.length === 0 ? undefined : readRecord(Stored, parseJson(parts.join('')), 'mesh file');
}
