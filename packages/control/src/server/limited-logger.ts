// A logger for what callers can cause as often as they like: of warnings that say the same, only so many in a while.
import type { Clock, Logger } from '@heddle/runtime';

const WINDOW_MS = 10_000;
const LINES_MAX = 10;
/** Kinds of warnings: there are some hundred, of each method a few. */
const KINDS_MAX = 1_000;

interface Counted {
  sinceMs: number;
  lines: number;
  suppressed: number;
}

/** Warnings with one text about one method, or one operation of the REST API, count together; the first one of the next ten seconds says how many were left out. */
export function limitedLogger(logger: Logger, clock: Clock): Logger {
  const counted = new Map<string, Counted>();
  return {
    ...bound(logger),
    warn: (fields, message) => {
      const key = `${String(fields['operation'] ?? fields['method'] ?? '')} ${message}`;
      const nowMs = clock.nowMs();
      const known = counted.get(key);
      const left = known?.suppressed ?? 0;
      if (known === undefined && counted.size >= KINDS_MAX) counted.clear();
      if (known === undefined || nowMs - known.sinceMs >= WINDOW_MS) {
        counted.set(key, { sinceMs: nowMs, lines: 1, suppressed: 0 });
        logger.warn(left === 0 ? fields : { ...fields, suppressed: left }, message);
      } else if (known.lines < LINES_MAX) {
        known.lines += 1;
        logger.warn(fields, message);
      } else known.suppressed += 1;
    },
  };
}

function bound(logger: Logger): Logger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => logger.child(fields),
  };
}
