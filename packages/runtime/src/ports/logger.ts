// Structured logs. Fields come first, the sentence last: log.info({ instance }, 'instance is healthy').

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** Lines of level `debug` are written: worth putting together. Absent: they are not. */
  readonly writesDebug?: boolean;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}
