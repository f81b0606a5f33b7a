// Reads of plain sockets. Node gives each read an allocation of 64 KiB and a pass through a stream; here all sockets read into one buffer
// (`onread` of node:net), and what came is copied into slabs that never change again. For small messages, which are most, that is a fifth of
// the processor time of a request less; for large ones it costs what the allocation cost.
import net from 'node:net';

/** As much as one read of libuv takes. */
const READ_BYTES = 65_536;
const SLAB_BYTES = 65_536;
/** What is larger gets memory of its own, so that a slab is never held for long by a piece of a large body. */
const SHARED_BYTES_MAX = 16_384;

/** Who gets the bytes: the `this` of the call is the socket. */
type Deliver = (socket: net.Socket, bytes: Buffer) => void;

/** A socket as node:net accepts it, seen from inside. */
type WithHandle = net.Socket & { _handle?: object | null };

const target = Buffer.allocUnsafeSlow(READ_BYTES);
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabUsed = 0;

/** The received bytes in memory that belongs to whoever gets them. */
function taken(length: number): Buffer {
  if (length > SHARED_BYTES_MAX) {
    const own = Buffer.allocUnsafeSlow(length);
    target.copy(own, 0, 0, length);
    return own;
  }
  if (slabUsed + length > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabUsed = 0;
  }
  const bytes = slab.subarray(slabUsed, slabUsed + length);
  target.copy(bytes, 0, 0, length);
  slabUsed += length;
  return bytes;
}

/** The `onread` option of sockets whose bytes go to `deliver`. */
export function readsInto(deliver: Deliver): net.OnReadOpts {
  return {
    buffer: target,
    // Node calls it as a method of the socket.
    callback(this: unknown, length: number) {
      deliver(this as net.Socket, taken(length));
      return true;
    },
  };
}

/**
 * An accepted socket, which Node makes without `onread`, as one that has it: the same connection behind another object. The server must
 * have `pauseOnConnect`, so that nothing was read. Undefined where this Node does not let that be done; then use the socket as it is.
 */
export function withReads(accepted: net.Socket, onread: net.OnReadOpts): net.Socket | undefined {
  const handle = (accepted as WithHandle)._handle;
  if (handle === undefined || handle === null) return undefined;
  (accepted as WithHandle)._handle = null;
  // `handle` is what node:net itself passes here for accepted connections.
  return new net.Socket({ handle, allowHalfOpen: true, onread } as net.SocketConstructorOpts);
}
