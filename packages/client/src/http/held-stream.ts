// A connection into the mesh as Node's HTTP client wants its sockets: it keeps the process alive as long as it is open and not `unref`ed, ends when
// the other side does, and its events come in the context of the request that it carries.
import { AsyncResource } from 'node:async_hooks';
import type { MemoryStream } from '@heddle/runtime/inside';
import type { Mesh } from '../plane/mesh.ts';

/** What an http.Agent looks at when it gives a connection to another request. */
class ContextHandle {
  /** An idle connection is read. */
  reading = true;
  private readonly stream: MemoryStream;

  constructor(stream: MemoryStream) {
    this.stream = stream;
    this.asyncReset();
  }

  asyncReset(): void {
    this.stream.context = new AsyncResource('HEDDLE_CONNECTION', { requireManualDestroy: true });
  }

  getAsyncId(): number {
    return this.stream.context?.asyncId() ?? -1;
  }

  getProviderType(): number {
    return 0;
  }
}

/** Only once the mesh is ready. */
export function heldStream(mesh: Mesh): MemoryStream {
  const stream = mesh.connect();
  let isHolding = true;
  mesh.hold();
  const release = (): void => {
    if (!isHolding) return;
    isHolding = false;
    mesh.release();
  };
  stream.ref = () => {
    if (!isHolding && !stream.destroyed) {
      isHolding = true;
      mesh.hold();
    }
    return stream;
  };
  stream.unref = () => {
    release();
    return stream;
  };
  stream.allowHalfOpen = false;
  stream.once('close', release);
  return Object.assign(stream, { _handle: new ContextHandle(stream) });
}
