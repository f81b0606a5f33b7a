// What is never told of a live request, whoever asks: queries, parameters in paths, and headers that carry proofs of who somebody is. A name
// decides first; a value that looks like such a proof is kept back whatever its header is called.
import { TAP_LIMITS } from './order.ts';

export const REDACTED = '(redacted)';

const SECRET_NAMES = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  'proxy-authenticate',
  'x-forwarded-client-cert',
  'x-heddle-claims',
  'x-amz-security-token',
  'dpop',
]);
const SECRET_PARTS =
  /auth|token|secret|passw|passphrase|api-?_?key|access-?_?key|private|credential|session|signature|csrf|xsrf|jwt|cookie|otp|pin\b/;
/** Schemes of RFC 9110 §11, tokens of RFC 7519 and of well-known makers, and private keys. */
const SECRET_VALUES =
  /\b(?:basic|bearer|digest|negotiate|hawk)\s+\S|eyJ[\w-]{8,}\.|-----BEGIN|\b(?:gh[pousr]_|github_pat_|sk_live_|sk-|xox[abprs]-|glpat-|AKIA|ASIA|AIza)[\w-]{8,}/i;
/** RFC 3986 §3.2.1: a user name and a password. */
const USER_INFO = /\/\/[^/@\s]*@/g;

/** Lower case. */
export function isSecretHeader(name: string): boolean {
  return SECRET_NAMES.has(name) || SECRET_PARTS.test(name);
}

/** A header as it may be told: without queries and passwords of addresses, not longer than anybody reads. @param name in lower case. */
export function redactedHeader(name: string, value: string): string {
  if (isSecretHeader(name)) return REDACTED;
  const shown = value.slice(0, TAP_LIMITS.valueLength);
  if (SECRET_VALUES.test(shown)) return REDACTED;
  const plain = shown.replace(USER_INFO, `//${REDACTED}@`);
  const query = /^(?:[a-z][a-z0-9+.-]*:\/)?\//i.test(plain) ? plain.search(/[?#]/) : -1;
  const told = query === -1 ? plain : `${plain.slice(0, query)}?${REDACTED}`;
  return value.length > shown.length ? `${told}…` : told;
}

/** Parameters of segments (RFC 3986 §3.3), such as `;jsessionid=…`, and what looks like a token. @param path without its query. */
export function redactedPath(path: string): string {
  const shown = path.length > TAP_LIMITS.pathLength ? `${path.slice(0, TAP_LIMITS.pathLength)}…` : path;
  const plain = shown.includes(';') ? shown.replaceAll(/;[^/]*/g, ';…') : shown;
  return SECRET_VALUES.test(plain)
    ? plain
        .split('/')
        .map((part) => (SECRET_VALUES.test(part) ? REDACTED : part))
        .join('/')
    : plain;
}
