// The data path's only entry: one data plane hosts any number of workloads of one machine.
import { LocalDataPlane } from './data-plane-local.ts';
import type { DataPlane, DataPlaneOptions } from './data-plane-types.ts';

export * from './data-plane-types.ts';

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  return new LocalDataPlane(options);
}
