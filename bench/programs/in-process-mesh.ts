// A data plane inside this process, configured by a file in place of a control plane: what `createMesh` makes, without joining.
import type { Mesh } from '@heddle/client';
import { createInsideDataPlane } from '@heddle/dataplane/direct';
import { InsideServers, InsideSocket, insideNetwork } from '@heddle/runtime/inside';
import { backgroundNetwork, createMetrics, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { PlaneMesh } from '../../packages/client/src/testing/plane-mesh.ts';
import { configure } from './plane-spec.ts';

const LOOPBACK = '127.0.0.1';
const QUIET = { debug() {}, info() {}, warn: console.error, error: console.error, child: () => QUIET };

/** @param wayOut port of the listener for calls out, which needs no socket; undefined: there is none */
export async function startInside(specFile: string, wayOut: number | undefined): Promise<Mesh> {
  const servers = new InsideServers();
  const sockets = wayOut === undefined ? [] : [new InsideSocket(LOOPBACK, wayOut)];
  const plane = createInsideDataPlane({
    network: insideNetwork(backgroundNetwork, servers, sockets),
    clock: nodeClock,
    random: nodeRandom,
    logger: QUIET,
    metrics: createMetrics(),
    node: 'bench',
  });
  const [workload = ''] = await configure(plane, specFile);
  return new PlaneMesh({ plane, workload, out: { address: LOOPBACK, port: wayOut ?? 0 }, servers });
}
