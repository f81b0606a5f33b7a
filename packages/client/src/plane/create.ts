// Makes a mesh of options and environment.
import { hostname } from 'node:os';
import type { RunningMesh } from './mesh.ts';
import { type MeshOptions, readSettings } from './options.ts';
import { ProcessMesh } from './start.ts';

/**
 * Makes this process part of a mesh. It starts with `ready()`, or with the first call. Options that are left out come from the environment.
 * @throws MeshError `BAD_OPTIONS`
 */
export function createMesh(options: MeshOptions = {}): RunningMesh {
  return new ProcessMesh(readSettings(options, process.env, `${hostname()}-${process.pid}`));
}
