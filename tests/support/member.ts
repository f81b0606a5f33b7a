// The data plane inside the process of the test itself, as an instance of a service of a real control plane.
import { createMesh, type MeshOptions, type RunningMesh } from '@heddle/client';
import { type Cleanup, type ControlRef, joinToken } from './planes.ts';

/** What `createMesh` needs to join, with a fresh token. */
export async function memberOptions(control: ControlRef, service: string, more: MeshOptions = {}): Promise<MeshOptions> {
  return {
    service,
    control: `${control.address}:${control.port}`,
    joinToken: await joinToken(control, service),
    logLevel: 'silent',
    ...more,
  };
}

/** Not started yet; stopped in the end. */
export async function member(cleanup: Cleanup, control: ControlRef, service: string, more: MeshOptions = {}): Promise<RunningMesh> {
  const mesh = createMesh(await memberOptions(control, service, more));
  cleanup.add(() => mesh.stop());
  return mesh;
}
