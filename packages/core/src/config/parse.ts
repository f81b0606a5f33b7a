// The mesh file, from text to configuration: either a complete `MeshConfig`, or every problem at once, each with its place,
// reason and mend. Pure; never throws, whatever the text.
import { dirname } from 'node:path';
import { buildMesh } from './build.ts';
import { explainIssue } from './explain.ts';
import type { Fault } from './fault.ts';
import { formatPath } from './fault.ts';
import type { MeshConfig } from './mesh.ts';
import type { Problem } from './problem.ts';
import { MeshFile } from './schema.ts';
import { checkMeaning } from './semantics.ts';
import type { Place, PlacedFault, Source } from './source.ts';
import { readYaml } from './source.ts';

/** A mesh of 1,000 services fits; more is a mistake or an attack. */
export const MESH_FILE_BYTES_MAX = 1_048_576;

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

/** @param text the content of the file. */
export function parseMeshFile(text: string, options: ParseMeshOptions): ParsedMeshFile {
  const refusal = refuse(text);
  if (refusal !== undefined) return { problems: [problem(refusal, START, options)] };
  const { source, faults } = readYaml(text);
  if (source === undefined) return { problems: inOrder(faults.map((fault) => problem(fault, fault.place, options))) };
  if (source.value === null && faults.length === 0) return { problems: [problem(EMPTY, START, options)] };
  const parsed = MeshFile.safeParse(source.value);
  const issues = parsed.success ? [] : parsed.error.issues.flatMap((issue) => explainIssue(issue, source.value, source.textOf));
  const problems = collect(source, faults, [...issues, ...checkMeaning(source.value)], options);
  if (!parsed.success || problems.some(({ severity }) => severity === 'error')) return { problems };
  return { mesh: buildMesh(parsed.data, options.directory ?? dirname(options.path), source.textOf), problems };
}

const START: Place = { line: 1, column: 1 };

const EMPTY: Fault = {
  path: [],
  on: 'value',
  reason: 'the file is empty',
  mend: 'begin with "mesh: NAME" and "services:", for example as in examples/shop/heddle.yaml',
};

function refuse(text: string): Fault | undefined {
  if (text.length > MESH_FILE_BYTES_MAX || Buffer.byteLength(text) > MESH_FILE_BYTES_MAX) {
    return {
      path: [],
      on: 'value',
      reason: 'the file is larger than 1 MiB',
      mend: 'check that it is the right file; a mesh file of 1,000 services has some 300 KiB',
    };
  }
  return text.trim() === '' ? EMPTY : undefined;
}

/** One problem per place: a second one would only say the same in other words. */
function collect(source: Source, placed: readonly PlacedFault[], faults: readonly Fault[], options: ParseMeshOptions): Problem[] {
  const taken = new Set(placed.map(({ path }) => JSON.stringify(path)));
  const problems = placed.map((fault) => problem(fault, fault.place, options));
  for (const fault of faults) {
    const key = JSON.stringify(fault.path);
    if (taken.has(key)) continue;
    taken.add(key);
    problems.push(problem(fault, source.placeOf(fault.path, fault.on), options));
  }
  return inOrder(problems);
}

function problem(fault: Fault, place: Place, options: ParseMeshOptions): Problem {
  const { severity = 'error', path, reason, mend } = fault;
  return { severity, path: options.path, line: place.line, column: place.column, where: formatPath(path), reason, mend };
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}
