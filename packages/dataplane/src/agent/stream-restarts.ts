// How often and why the streams to the control plane were made anew.
import { CONFIGURATION_METRICS } from '@heddle/core';
import type { Counter, Metrics } from '@heddle/runtime';

/**
 * `broken`: the connection or the control plane ended it; `stalled`: nothing came any more, not even an answer; `unreachable`: it never came
 * about; `identity`: for a renewed certificate; `distrust`: to compare everything that is held.
 */
export type RestartReason = 'broken' | 'stalled' | 'unreachable' | 'identity' | 'distrust';

export class StreamRestarts {
  readonly #counter: (reason: RestartReason) => Counter;

  constructor(metrics: Metrics, stream: 'configuration' | 'registration') {
    this.#counter = (reason) => metrics.counter(CONFIGURATION_METRICS.restarts, { stream, reason });
  }

  count(reason: RestartReason): void {
    this.#counter(reason).add(1);
  }
}
