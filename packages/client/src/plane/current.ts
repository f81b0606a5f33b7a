// The mesh that this process is part of by `@heddle/client/register`, for those who are given none: there may be several copies of this package.
import type { Mesh } from './mesh.ts';

/** With the port that the application is to listen on; undefined: it is not called. */
export interface CurrentMesh extends Mesh {
  readonly port: number | undefined;
}

const CURRENT = Symbol.for('heddle.current-mesh');
const place = globalThis as { [CURRENT]?: CurrentMesh };

export function currentMesh(): CurrentMesh | undefined {
  return place[CURRENT];
}

export function setCurrentMesh(mesh: CurrentMesh | undefined): void {
  place[CURRENT] = mesh;
}
