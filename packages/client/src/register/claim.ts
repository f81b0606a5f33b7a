// Which of an instance's processes has its data plane: the one that listens at the meeting place. The system sees to it that only one does, and that it is
// no longer taken when that process has ended, however it did.
import { linkSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A place that is left behind is cleared and tried again; more often than this, others are quicker. */
const TRIES = 3;

/**
 * The server that holds the place; undefined where another process does. Rejects when the place cannot be used at all.
 * @param onConnection of another process of the instance. Nothing is read of it yet.
 */
export async function claim(path: string, onConnection: (socket: Socket) => void): Promise<Server | undefined> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const server = await listenAt(path, onConnection);
    if (server !== undefined) return server;
    if (await answers(path)) return undefined;
    await clear(path);
  }
  return undefined;
}

function listenAt(path: string, onConnection: (socket: Socket) => void): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, onConnection);
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    // Exclusive: in a worker of a cluster it would be the primary's.
    server.listen({ path, exclusive: true }, () => resolve(server));
    server.unref();
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Takes away what a process that is gone has left. Between looking and taking another one may have come: then it is put back. */
async function clear(path: string): Promise<void> {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    if (await answers(aside)) linkSync(aside, path);
  } catch {
    // Somebody else was quicker.
  } finally {
    rmSync(aside, { force: true });
  }
}
