// SIGTERM and SIGINT without a lost request, and without code in the application: the first one is held back until the instance has left rotation
// and what was under way has ended, then it goes its way: to the application's own handlers, or the system's. A second one goes its way at once.
import type { Logger } from '@heddle/runtime';
import { nodeClock } from '@heddle/runtime/process';
import type { Undo } from '../undo.ts';

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
type Held = (typeof SIGNALS)[number];
/** One wish to end may come several times: to the group of processes, and passed on by whoever started this one. */
const SAME_WISH_MS = 1_000;

export interface Leaver {
  readonly logger: Logger;
  /** Resolves when the process may end. Never rejects. */
  leave(): Promise<void>;
  /** After that, where nobody else has something to do before the process ends. Never rejects. */
  stop(): Promise<void>;
}

type Emit = (this: NodeJS.Process, name: string | symbol, ...rest: unknown[]) => boolean;

/** What holds signals back now. */
let active: Termination | undefined;
let isWatching = false;

/**
 * To be called before the application's first line: Node keeps the `emit` that is there when somebody first listens for a signal, and calls that. Every
 * form of listening leads there. Nothing changes before `holdTermination`.
 */
export function watchSignals(): void {
  if (isWatching) return;
  isWatching = true;
  // It is called with the `this` of the caller.
  // oxlint-disable-next-line typescript/unbound-method
  const before = process.emit as unknown as Emit;
  const emit: Emit = function (name, ...rest) {
    if (active !== undefined && (name === 'SIGTERM' || name === 'SIGINT') && active.held(name)) return true;
    return Reflect.apply(before, this, [name, ...rest]) as boolean;
  };
  process.emit = emit as unknown as typeof process.emit;
}

/** Needs `watchSignals`. Again: the same. */
export function holdTermination(leaver: Leaver): Undo {
  active ??= new Termination(leaver);
  return active.undo;
}

class Termination {
  private readonly leaver: Leaver;
  private sinceMs: number | undefined;
  private isOver = false;

  constructor(leaver: Leaver) {
    this.leaver = leaver;
    // Without a listener the system would end the process.
    for (const name of SIGNALS) process.on(name, noted);
  }

  readonly undo = (): void => {
    if (active === this) active = undefined;
    this.isOver = true;
    for (const name of SIGNALS) process.removeListener(name, noted);
  };

  /** False: it goes its way. */
  held(name: Held): boolean {
    if (this.isOver) return false;
    const nowMs = nodeClock.nowMs();
    if (this.sinceMs === undefined) {
      this.sinceMs = nowMs;
      void this.leave(name);
    } else if (nowMs - this.sinceMs > SAME_WISH_MS) {
      this.pass(name);
    }
    return true;
  }

  private async leave(name: Held): Promise<void> {
    const { leaver } = this;
    leaver.logger.info({ signal: name }, 'the instance leaves rotation; then the application is told to end');
    await leaver.leave();
    const isHandled = process.listeners(name).some((listener) => listener !== noted);
    // The application's handlers may still make calls; where it has none, the process ends here.
    if (!isHandled) await leaver.stop();
    this.pass(name);
  }

  private pass(name: Held): void {
    if (this.isOver) return;
    this.undo();
    if (process.listenerCount(name) > 0) process.emit(name, name);
    else process.kill(process.pid, name);
  }
}

function noted(): void {}
