// Logs through pino: JSON lines for machines, one readable line for terminals. Formatting for terminals is done here, because
// pino's own pretty printer is another dependency and another thread.
import { writeSync } from 'node:fs';
import { pino } from 'pino';
import type { Logger as PinoLogger } from 'pino';
import type { LogFields, Logger } from '../ports/logger.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** `json`: one object a line. `pretty`: `12:03:04.123 INFO  message field=value`. Default: `pretty` on a terminal, else `json`. */
  readonly format?: 'json' | 'pretty';
  /** File descriptor (default 2, standard error) or anything with `write`. */
  readonly destination?: number | { write(line: string): void };
  /** Field `name` of every line. */
  readonly name?: string;
}

const LEVEL_NAMES: Readonly<Record<number, string>> = { 20: 'DEBUG', 30: 'INFO ', 40: 'WARN ', 50: 'ERROR' };
const COLOURS: Readonly<Record<number, string>> = { 20: '\u001b[2m', 30: '\u001b[32m', 40: '\u001b[33m', 50: '\u001b[31m' };
const RESET = '\u001b[0m';

export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = 'info', destination = 2, name } = options;
  const terminal =
    typeof destination === 'number' &&
    (destination === 1 || destination === 2) &&
    (destination === 1 ? process.stdout : process.stderr).isTTY === true;
  const pretty = options.format === undefined ? terminal : options.format === 'pretty';
  const write = typeof destination === 'number' ? (line: string) => writeAll(destination, line) : (line: string) => destination.write(line);
  const stream = { write: pretty ? (line: string) => write(prettyLine(line, terminal)) : write };
  return wrap(
    pino(
      {
        level,
        base: name === undefined ? {} : { name },
        timestamp: pino.stdTimeFunctions.isoTime,
        serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
      },
      stream,
    ),
  );
}

/** A log line that cannot be written (pipe closed, terminal full) must not take the process down with it. */
function writeAll(descriptor: number, line: string): void {
  try {
    writeSync(descriptor, line);
  } catch {
    // Nowhere left to say so.
  }
}

function wrap(logger: PinoLogger): Logger {
  return {
    writesDebug: logger.isLevelEnabled('debug'),
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields: LogFields) => wrap(logger.child(fields)),
  };
}

function prettyLine(json: string, colours: boolean): string {
  const { level, time, msg, name, ...fields } = JSON.parse(json) as { level: number; time: string; msg?: string; name?: string } & Record<
    string,
    unknown
  >;
  const label = LEVEL_NAMES[level] ?? String(level);
  const clock = time.slice(11, 23);
  const rest = Object.entries(fields)
    .map(([key, value]) => ` ${key}=${prettyValue(value)}`)
    .join('');
  const who = name === undefined ? '' : `${name}: `;
  if (!colours) return `${clock} ${label} ${who}${msg ?? ''}${rest}\n`;
  return `\u001b[2m${clock}${RESET} ${COLOURS[level] ?? ''}${label}${RESET} ${who}${msg ?? ''}\u001b[2m${rest}${RESET}\n`;
}

function prettyValue(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value && typeof value.message === 'string')
    return JSON.stringify(value.message);
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value);
}
