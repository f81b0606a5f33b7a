// TLS handshakes that came to nothing: all of them counted by reason, and told in the log, where those of one reason that come soon after
// one another are told by their number. Nobody can fill the log by knocking.
import type { Clock } from './ports/clock.ts';
import type { LogFields, Logger } from './ports/logger.ts';
import type { Counter } from './ports/metrics.ts';
import type { TlsRefusal } from './ports/network.ts';

/** Long enough that a log stays readable in an attack, short enough to see that it goes on. */
const QUIET_MS = 10_000;

interface Cause {
  readonly counter: Counter | undefined;
  quietUntilMs: number;
  untold: number;
}

export interface TlsRefusalsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the log says. */
  readonly message: string;
  /** In each line. */
  readonly fields: LogFields;
  /** Absent: nothing is counted. Asked once for each reason. */
  readonly counterOf?: (reason: TlsRefusal) => Counter;
}

export class TlsRefusals {
  private readonly options: TlsRefusalsOptions;
  private readonly causes = new Map<TlsRefusal, Cause>();
  total = 0;

  constructor(options: TlsRefusalsOptions) {
    this.options = options;
  }

  /** @param peer who it was, for people */
  add(reason: TlsRefusal, peer: LogFields, detail: string): void {
    const { clock, logger, message, fields } = this.options;
    const cause = this.cause(reason);
    cause.counter?.add(1);
    this.total += 1;
    const nowMs = clock.nowMs();
    if (nowMs < cause.quietUntilMs) {
      cause.untold += 1;
      return;
    }
    const line = { ...fields, ...peer, reason, detail, ...(cause.untold > 0 && { moreSinceLast: cause.untold }) };
    cause.quietUntilMs = nowMs + QUIET_MS;
    cause.untold = 0;
    // Whoever only looks whether the port is open hangs up, too.
    if (reason === 'closed') logger.debug(line, message);
    else logger.warn(line, message);
  }

  private cause(reason: TlsRefusal): Cause {
    let cause = this.causes.get(reason);
    if (cause === undefined) {
      cause = { counter: this.options.counterOf?.(reason), quietUntilMs: 0, untold: 0 };
      this.causes.set(reason, cause);
    }
    return cause;
  }
}
