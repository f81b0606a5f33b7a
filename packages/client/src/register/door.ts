// What the process that has the instance does for the others of it: connections into the mesh, and a word when it leaves. The first byte of a connection
// says what is wanted. Nobody but processes of the same user gets this far.
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { nodeClock } from '@heddle/runtime/process';
import type { RunningMesh } from '../plane/mesh.ts';

/** Of a connection: bytes for the mesh follow. */
export const STREAM = 0x53;
/** Of a connection: it is told as a line of JSON when calls can be made, and that it is open says that this process lives. */
export const READY = 0x52;
/** Of a connection: it ends when the process that opened it may end, too. */
export const LEAVE = 0x4c;

export interface ReadyLine {
  readonly pid: number;
  /** Why calls cannot be made. */
  readonly problem?: string;
}

/** How long a process that was told to end is taken to be one of several that were. */
const TOGETHER_MS = 300;
const LOOK_MS = 20;

export interface DoorOwner {
  readonly mesh: RunningMesh;
  /** Whether this process leaves as well; then what resolves when it has. */
  readonly leaving: () => Promise<void> | undefined;
}

/** Somebody has come. */
export function receive(socket: Socket, owner: DoorOwner): void {
  socket.unref();
  socket.on('error', () => {});
  socket.once('readable', () => {
    const first = socket.read(1) as Buffer | null;
    if (first === null) socket.destroy();
    else void serve(socket, first[0]!, owner);
  });
}

async function serve(socket: Socket, wish: number, owner: DoorOwner): Promise<void> {
  const { mesh } = owner;
  if (wish === LEAVE) {
    await left(owner);
    socket.end();
    return;
  }
  let problem: string | undefined;
  try {
    await mesh.ready();
  } catch (error) {
    problem = (error as Error).message;
  }
  if (wish === READY) {
    const line: ReadyLine = { pid: process.pid, ...(problem !== undefined && { problem }) };
    socket.write(`${JSON.stringify(line)}\n`);
    socket.resume();
    if (problem !== undefined) socket.end();
  } else if (wish === STREAM && problem === undefined) {
    const stream = mesh.connect();
    pipeline(socket, stream, socket, () => stream.destroy());
  } else {
    socket.destroy();
  }
}

/** A signal to a group of processes reaches them one after the other. */
async function left({ leaving }: DoorOwner): Promise<void> {
  for (let waitedMs = 0; waitedMs < TOGETHER_MS && leaving() === undefined; waitedMs += LOOK_MS)
    await new Promise<void>((resolve) => void nodeClock.after(LOOK_MS, resolve));
  await leaving();
}
