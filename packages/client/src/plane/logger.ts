// Lines of the data plane among those of the application: JSON on standard error, and few of them. An application that has a logger of its own
// gives it instead.
import type { LogFields, Logger } from '@heddle/runtime';
import { nodeClock } from '@heddle/runtime/process';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type ClientLogLevel = (typeof LOG_LEVELS)[number];

export function isLogLevel(text: string): text is ClientLogLevel {
  return (LOG_LEVELS as readonly string[]).includes(text);
}

export function stderrLogger(level: ClientLogLevel, fields: LogFields = {}): Logger {
  const from = LOG_LEVELS.indexOf(level);
  const at =
    (name: ClientLogLevel) =>
    (more: LogFields, message: string): void => {
      if (LOG_LEVELS.indexOf(name) < from) return;
      const time = new Date(nodeClock.wallMs()).toISOString();
      process.stderr.write(`${JSON.stringify({ level: name, time, name: 'heddle', ...fields, ...more, msg: message }, asText)}\n`);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    writesDebug: from === 0,
    child: (more) => stderrLogger(level, { ...fields, ...more }),
  };
}

function asText(_key: string, value: unknown): unknown {
  return value instanceof Error ? (value.stack ?? value.message) : value;
}
