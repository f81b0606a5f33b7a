// The mesh as a process has it whose instance another process has: a child, a worker of a cluster, a worker thread. Everything goes through the door of
// that one, with its identity. When it ends, somebody else is to be found.
import { connect, type Socket } from 'node:net';
import type { Mesh } from '../plane/mesh.ts';
import { bridged } from './bridge.ts';
import { LEAVE, READY, type ReadyLine, STREAM } from './door.ts';
import { GuestCalls } from './guest-calls.ts';

const LINE_BYTES_MAX = 16_384;

export type Guest = Pick<Mesh, 'calls' | 'connect'> & {
  /** Of the process that has the instance. */
  readonly ownerPid: number;
  /** Resolves when this process may end: it is one of several that were told to, and the instance has left rotation; or it is the only one. Never rejects. */
  leave(): Promise<void>;
  close(): void;
};

/** Why the process that has the instance cannot make calls. */
export class GuestProblem extends Error {}

/**
 * Resolves when calls can be made. Rejects with GuestProblem when the owner cannot, and with the system's error when there is nobody at the place.
 * @param onGone the owner has ended
 */
export async function enter(path: string, onGone: () => void): Promise<Guest> {
  const { ownerPid, socket } = await ask(path);
  const open = (): Socket => {
    const stream = connect({ path, allowHalfOpen: true });
    stream.unref();
    stream.write(Buffer.of(STREAM));
    return stream;
  };
  const calls = new GuestCalls(open);
  socket.once('close', () => {
    calls.close();
    onGone();
  });
  return {
    ownerPid,
    calls,
    connect: () => bridged(open()),
    leave: () => leave(path),
    close: () => void socket.destroy(),
  };
}

function ask(path: string): Promise<{ ownerPid: number; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the process that has the instance has ended')));
    socket.on('data', (part: string) => {
      text += part;
      if (text.length > LINE_BYTES_MAX) socket.destroy();
      if (!text.endsWith('\n')) return;
      const { pid, problem } = JSON.parse(text) as ReadyLine;
      if (problem !== undefined) reject(new GuestProblem(problem));
      socket.unref();
      resolve({ ownerPid: pid, socket });
    });
    socket.write(Buffer.of(READY));
  });
}

function leave(path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.resume();
    socket.write(Buffer.of(LEAVE));
  });
}
