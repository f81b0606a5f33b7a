// When a person or the system asks a command to stop: Ctrl-C, SIGTERM, the end of the terminal or of the pipe behind the output.
import { closeSync, openSync } from 'node:fs';

export const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Calls at every stop signal, until the returned function is called. */
export function onStopSignal(handle: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of STOP_SIGNALS) process.on(signal, handle);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, handle);
  };
}

export interface StopRequest extends Disposable {
  /** Resolves at the first stop signal, or when nobody reads standard output any more. */
  readonly asked: Promise<void>;
}

/**
 * Listens from now on, and keeps the process alive, until it is disposed of.
 * @param onHangup what SIGHUP does instead of stopping, as in services; the end of the terminal still stops.
 */
export function listenForStop(onHangup?: () => void): StopRequest {
  const { promise, resolve } = Promise.withResolvers<void>();
  // The listeners of a signal do not keep a process alive.
  const alive = setInterval(() => {}, 60_000);
  const hadTerminal = hasTerminal();
  const forget = onStopSignal((signal) => {
    if (signal === 'SIGHUP' && onHangup !== undefined && hasTerminal() === hadTerminal) onHangup();
    else resolve();
  });
  const gone = (): void => resolve();
  process.stdout.on('error', gone);
  return {
    asked: promise,
    [Symbol.dispose]: () => {
      clearInterval(alive);
      forget();
      process.stdout.off('error', gone);
    },
  };
}

/** Whether the process belongs to a terminal that is still there: after a hangup it can no longer be opened. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
