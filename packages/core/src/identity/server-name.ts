// Names that a TLS client asks for (SNI) and that certificates are for.
import { ipBytes } from './ip.ts';

const LABELS = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** RFC 6066 §3: a DNS name without a dot at the end, no address. In lower case, as names are compared; `*` is none. */
export function isServerName(text: string): boolean {
  return text.length <= 253 && LABELS.test(text) && ipBytes(text) === undefined;
}
