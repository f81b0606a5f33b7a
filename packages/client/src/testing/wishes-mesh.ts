// A caller in a mesh whose `orders` is the gRPC service that does what a call asks for. Tests only.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { startWishes, type WishesServer } from './grpc-service.ts';
import { type CallerMesh, TwoPlanes } from './two-planes.ts';

export interface WishesMesh {
  readonly planes: TwoPlanes;
  readonly wishes: WishesServer;
  readonly mesh: CallerMesh;
}

/** Closed after the tests of the file; by then no call may hold the process any more. */
export async function wishesMesh(): Promise<WishesMesh> {
  const planes = new TwoPlanes();
  const wishes = await startWishes();
  const mesh = await planes.callerOf(wishes.port);
  after(async () => {
    wishes.server.forceShutdown();
    await planes.close();
    assert.equal(mesh.held, 0);
  });
  return { planes, wishes, mesh };
}
