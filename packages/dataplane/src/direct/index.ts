// The door `@heddle/dataplane/direct`: a data plane inside the process of its application, which calls it without a connection.
import { LocalDataPlane } from '../data-plane-local.ts';
import type { DataPlaneOptions } from '../data-plane-types.ts';
import type { InsideDataPlane } from './inside-data-plane.ts';

export type { InsideDataPlane, ProcessLoad } from './inside-data-plane.ts';
export { type DirectCall, DirectCallError, type DirectCalls, type DirectRequest, type DirectUser, type FlatHeaders } from './types.ts';

export function createInsideDataPlane(options: DataPlaneOptions): InsideDataPlane {
  return new LocalDataPlane(options);
}
