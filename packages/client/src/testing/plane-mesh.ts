// A mesh of one data plane that was configured by hand: what `Mesh` is to the doors, without a control plane, and ready from the start. It loads nothing
// that a measurement would feel. Tests, soak and benchmarks only.
import type { SocketAddress } from '@heddle/core';
import type { DirectCalls, InsideDataPlane } from '@heddle/dataplane/direct';
import { type InsideServers, memoryLink, type MemoryStream } from '@heddle/runtime/inside';
import type { Mesh } from '../plane/mesh.ts';
import { isMeshName } from '../plane/names.ts';

const LOOPBACK = '127.0.0.1';

export interface PlaneMeshOptions {
  readonly plane: InsideDataPlane;
  readonly workload: string;
  /** Of the listener for calls out. */
  readonly out: SocketAddress;
  readonly servers: InsideServers;
}

export class PlaneMesh implements Mesh {
  readonly workload: string;
  readonly servers: InsideServers;
  readonly plane: InsideDataPlane;
  readonly calls: DirectCalls;
  isReady = true;
  private readonly out: SocketAddress;

  constructor({ plane, workload, out, servers }: PlaneMeshOptions) {
    this.plane = plane;
    this.workload = workload;
    this.out = out;
    this.servers = servers;
    this.calls = plane.callsThrough(out, workload);
  }

  serves(authority: string): boolean {
    return isMeshName(authority);
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  connect(): MemoryStream {
    const { address, port } = this.out;
    const { connection, stream } = memoryLink({ remoteAddress: address, remotePort: port, localAddress: LOOPBACK, localPort: 0 });
    this.plane.enter(this.out, connection, this.workload);
    return stream;
  }

  hold(): void {}
  release(): void {}
}
