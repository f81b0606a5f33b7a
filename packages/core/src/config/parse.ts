// The mesh file, from text to configuration: either a complete `MeshConfig`, or every problem at once, each with its place,
// reason and mend. Pure; never throws, whatever the text.
import { dirname } from 'node:path';
import type { ConditionCompiler } from '../authz/index.ts';
import { buildMesh } from './build/mesh.ts';
import type { MeshConfig } from './mesh.ts';
import { MESH_PLANNED } from './planned.ts';
import type { ConfigFiles, FileTexts } from './named-files.ts';
import type { Problem } from './problem.ts';
import type { FileKind } from './read-file.ts';
import { readConfigFile, withFaults } from './read-file.ts';
import { MeshFile } from './schema/mesh.ts';
import { checkBuiltAccess } from './semantics/access-built.ts';
import { checkBuilt } from './semantics/built.ts';
import { checkMeaning } from './semantics/mesh.ts';
import { SecurityFiles } from './semantics/security-files.ts';

export interface ParseMeshOptions {
  /** The file's name, for messages. */
  readonly path: string;
  /** Absolute directory that relative `cwd` settings start from. Default: that of `path`, so `path` must then be absolute. */
  readonly directory?: string;
  /**
   * Gives the files with keys and authorities that the mesh file names, relative names included. Default: they are on another machine; each is a
   * warning, and counts as empty, so that the result is good for looking at, not for running.
   */
  readonly files?: ConfigFiles;
  /** `compileCondition` of `@heddle/core/cel`; see `mayHaveConditions`. Default: conditions are not looked at, each of which is a warning. */
  readonly conditions?: ConditionCompiler;
}

export interface ParsedMeshFile {
  /** Absent when there is an error. */
  readonly mesh?: MeshConfig;
  /** In the order of the file; warnings do not keep the mesh from being used. */
  readonly problems: readonly Problem[];
  /** What is in the files that it names, by name; without secrets. */
  readonly files: ReadonlyMap<string, string>;
}

const MESH_FILE: Omit<FileKind<typeof MeshFile>, 'checkMeaning'> = {
  schema: MeshFile,
  planned: MESH_PLANNED,
  whenEmpty: 'begin with "mesh: NAME" and "services:", for example as in examples/shop/heddle.yaml',
  whenLarge: 'check that it is the right file; a mesh file of 1,000 services has some 300 KiB',
};

/** Whether a file may have conditions, so that what reads them is worth loading. */
export function mayHaveConditions(text: string): boolean {
  return /\bwhen\b/.test(text);
}

/** @param text the content of the file. */
export function parseMeshFile(text: string, options: ParseMeshOptions): ParsedMeshFile {
  const texts: FileTexts = new Map();
  const files = new SecurityFiles(options.files, texts);
  const kind = { ...MESH_FILE, checkMeaning: (root: unknown) => checkMeaning(root, files, options.conditions) };
  const { output, source, problems: read } = readConfigFile(kind, text, options.path);
  if (output === undefined) return { problems: read, files: texts };
  const mesh = buildMesh(output, options.directory ?? dirname(options.path), source.textOf, (name) => texts.get(name) ?? '');
  const faults = [...checkBuilt(mesh, output), ...checkBuiltAccess(mesh, output)];
  const problems = withFaults(read, faults, source, options.path);
  return problems.some(({ severity }) => severity === 'error') ? { problems, files: texts } : { mesh, problems, files: texts };
}
