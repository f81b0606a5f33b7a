// Replacing a running proxy, from the side of the old process: it starts the new one, hands it everything that listens, and lets go of it
// when the new one serves. When that fails the old one goes on, and says why.
import type { Clock, Logger } from '@heddle/runtime';
import { type BoundSocket, startCommand } from '@heddle/runtime/node';
import type { SocketBind } from '@heddle/dataplane';
import { type FromSuccessor, type HandedWorkload, type HeldPort, TAKEOVER_VARIABLE, type ToSuccessor } from './takeover.ts';

export interface UpgradeOptions {
  /** Command line of the new process: a Node program that calls `receiveTakeover`. */
  readonly command: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ports: readonly HeldPort[];
  readonly admin: { readonly bind: SocketBind; readonly socket: BoundSocket };
  /** Listeners by name, so that ports which the system chose stay. */
  readonly names: ReadonlyMap<string, SocketBind>;
  readonly workloads: readonly HandedWorkload[];
}

/** Health checks, certificates and the first configuration fit in; a person who waits has not given up yet. */
const READY_TIMEOUT_MS = 60_000;

export interface Successor {
  readonly pid: number | undefined;
  /** Tells it that nobody else accepts any more, and leaves it alone. */
  release(): void;
}

/** Resolves to the new process once it accepts connections, or to undefined, after a line in the log, when it does not come to that. */
export function startSuccessor(options: UpgradeOptions): Promise<Successor | undefined> {
  const { command, clock, logger, ports, admin, names, workloads } = options;
  return new Promise((resolve) => {
    let isOver = false;
    const over = (successor: Successor | undefined, reason = ''): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      if (successor === undefined) logger.error({ reason }, 'the upgrade has failed; this process goes on as before');
      resolve(successor);
    };
    const timer = clock.after(READY_TIMEOUT_MS, () => {
      started.kill('SIGKILL');
      over(undefined, `the new process was not ready within ${READY_TIMEOUT_MS / 1_000} s`);
    });
    const started = startCommand(command, {
      environment: { [TAKEOVER_VARIABLE]: '1' },
      onMessage: (message) => {
        if ((message as FromSuccessor).type !== 'ready') return;
        over({
          pid: started.pid,
          release: () => {
            started.send({ type: 'yours' } satisfies ToSuccessor);
            started.leave();
          },
        });
      },
      onEnd: ({ code, signal, reason }) =>
        over(undefined, reason || `the new process ended (${signal ?? `exit code ${code}`}) before it was ready; its own lines say why`),
    });
    const tell = (message: ToSuccessor, socket?: BoundSocket): void => started.send(message, socket);
    for (const { bind, socket } of ports) tell({ type: 'port', bind }, socket);
    tell({ type: 'admin', bind: admin.bind }, admin.socket);
    tell({ type: 'all', names, workloads });
  });
}
