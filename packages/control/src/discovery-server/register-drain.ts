// A registration that reports its instance as draining: it hears on its own stream, unasked, who may still choose the instance.
import { discovery } from '@heddle/api';
import type { Clock, Timer } from '@heddle/runtime';
import type { DrainDesk, RunningDrain } from '../drain/desk.ts';
import { drainTimeoutMs, drainToMessage } from '../drain/message.ts';
import type { InstanceRef } from '../registry/keys.ts';

/** Steps closer together than this are told as one; the outcome is told at once. */
const STEPS_PAUSE_MS = 20;

export interface RegisterDrainOptions {
  readonly drains: DrainDesk;
  readonly clock: Clock;
  /** There is something new in `progress`. */
  readonly onStep: () => void;
}

export class RegisterDrain {
  readonly #options: RegisterDrainOptions;
  #drain: RunningDrain | undefined;
  #pause: Timer | undefined;

  constructor(options: RegisterDrainOptions) {
    this.#options = options;
  }

  /** Undefined: the instance is not reported as draining. */
  get progress(): discovery.DrainProgressMessage | undefined {
    return this.#drain === undefined ? undefined : drainToMessage(this.#drain.progress());
  }

  /** After the registry has taken in a message of the stream. Throws CallError, RegistryError LIMIT. */
  took({ health, drainTimeoutMs: askedMs }: discovery.RegisterRequest, ref: InstanceRef): void {
    const reported = discovery.healthFromMessage(health);
    if (reported === undefined) return;
    if (reported !== 'draining') return this.close();
    if (this.#drain !== undefined) return;
    const drain = this.#options.drains.begin(ref, drainTimeoutMs(askedMs, 'drain_timeout_ms'), () => this.#step());
    this.#drain = drain;
    // The first is in the answer.
    this.#pause?.cancel();
    this.#pause = undefined;
    if (drain.progress().outcome !== 'waiting') return;
    void drain.done.then(() => {
      if (this.#drain !== drain) return;
      this.#pause?.cancel();
      this.#options.onStep();
    });
  }

  close(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#drain?.close();
    this.#drain = undefined;
  }

  #step(): void {
    const { clock, onStep } = this.#options;
    this.#pause ??= clock.after(STEPS_PAUSE_MS, () => {
      this.#pause = undefined;
      onStep();
    });
  }
}
