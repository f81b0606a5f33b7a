// The program of a worker process. It lives as long as its primary, and for the time of its requests in flight.
import { createLogger, deferHelperThreads, nodeClock, nodeNetwork, nodeRandom, parentProcess } from '@heddle/runtime/node';
import type { ToWorker } from './messages.ts';
import { Worker } from './worker.ts';

/** What requests in flight have when the primary has died. */
const ORPHAN_GRACE_MS = 10_000;

const parent = parentProcess();
if (parent === undefined) {
  process.stderr.write('This program is a part of `heddle proxy`, which starts it itself.\n');
  process.exit(2);
}

// A terminal and service managers send these to every process of a group; the primary says when and how to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {});

deferHelperThreads();

let isDone = false;
const worker = new Worker({
  network: nodeNetwork,
  clock: nodeClock,
  random: nodeRandom,
  loggerFor: ({ worker: number, logLevel, logFormat }) =>
    createLogger({ level: logLevel, name: 'proxy', ...(logFormat === undefined ? {} : { format: logFormat }) }).child({ worker: number }),
  send: (message) => parent.send(message),
  // With the channel gone nothing is left that keeps the process alive, once the last message has been written.
  onDone: () => {
    isDone = true;
    parent.release();
  },
});
parent.listen((message, socket) => {
  worker.take(message as ToWorker, socket).catch((error: unknown) => {
    process.stderr.write(
      `heddle: error: a worker cannot go on: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
    process.exit(1);
  });
});
void parent.gone.then(() => (isDone ? undefined : worker.orphaned(ORPHAN_GRACE_MS)));
worker.start();
