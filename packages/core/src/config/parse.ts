// The mesh file, from text to configuration: either a complete `MeshConfig`, or every problem at once, each with its place,
// reason and mend. Pure; never throws, whatever the text.
import { dirname } from 'node:path';
import { buildMesh } from './build/mesh.ts';
import type { MeshConfig } from './mesh.ts';
import { MESH_PLANNED } from './planned.ts';
import type { Problem } from './problem.ts';
import type { FileKind } from './read-file.ts';
import { readConfigFile, withFaults } from './read-file.ts';
import { MeshFile } from './schema/mesh.ts';
import { checkBuilt } from './semantics/built.ts';
import { checkMeaning } from './semantics/mesh.ts';

export interface ParseMeshOptions {
  /** The file's name, for messages. */
  readonly path: string;
  /** Absolute directory that relative `cwd` settings start from. Default: that of `path`, so `path` must then be absolute. */
  readonly directory?: string;
}

export interface ParsedMeshFile {
  /** Absent when there is an error. */
  readonly mesh?: MeshConfig;
  /** In the order of the file; warnings do not keep the mesh from being used. */
  readonly problems: readonly Problem[];
}

const MESH_FILE: FileKind<typeof MeshFile> = {
  schema: MeshFile,
  planned: MESH_PLANNED,
  checkMeaning,
  whenEmpty: 'begin with "mesh: NAME" and "services:", for example as in examples/shop/heddle.yaml',
  whenLarge: 'check that it is the right file; a mesh file of 1,000 services has some 300 KiB',
};

/** @param text the content of the file. */
export function parseMeshFile(text: string, options: ParseMeshOptions): ParsedMeshFile {
  const { output, source, problems: read } = readConfigFile(MESH_FILE, text, options.path);
  if (output === undefined) return { problems: read };
  const mesh = buildMesh(output, options.directory ?? dirname(options.path), source.textOf);
  const problems = withFaults(read, checkBuilt(mesh, output), source, options.path);
  return problems.some(({ severity }) => severity === 'error') ? { problems } : { mesh, problems };
}
