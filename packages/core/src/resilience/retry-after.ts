// What an answer says about when to come again: `retry-after` (RFC 9110 §10.2.3) and, of gRPC, `grpc-retry-pushback-ms` (gRFC A6).

const SECONDS = /^\d{1,10}$/;
/** RFC 9110 §5.6.7: the form that is sent today, and the two that must still be read. `Date.parse` alone would take much more. */
const HTTP_DATES = [
  /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/,
];

/**
 * Milliseconds to wait, at least 0; undefined when the value is neither seconds nor a date, as if it were not there.
 * @param wallMs milliseconds since the Unix epoch.
 */
export function parseRetryAfter(value: string, wallMs: number): number | undefined {
  if (SECONDS.test(value)) return Number(value) * 1_000;
  if (!HTTP_DATES.some((form) => form.test(value))) return undefined;
  const atMs = Date.parse(value.endsWith('GMT') ? value : `${value} GMT`);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - wallMs);
}

/** Milliseconds to wait; Infinity when it is negative or no number, which means: do not come again (gRFC A6). */
export function parseRetryPushback(value: string): number {
  return SECONDS.test(value) ? Number(value) : Infinity;
}

/** For an answer that asks to come again after so long: whole seconds, rounded up, at least 1. */
export function formatRetryAfter(waitMs: number): string {
  return String(Math.max(1, Math.ceil(waitMs / 1_000)));
}
