// Upgrades between the versions: HTTP/1.1 asks with `Upgrade` and is answered with 101, HTTP/2 asks with an extended CONNECT and is answered
// with 2xx (RFC 8441). WebSocket proves with a key that the 101 was meant (RFC 6455 §4); in HTTP/2 there is none (RFC 8441 §5), but Envoy
// passes it on, and its client waits for the answer.
import { createHash } from 'node:crypto';
import type { Random } from '@heddle/runtime';
import { type HeaderField, http2Field } from '@heddle/wire';
import type { RequestHead, ResponseHead } from '@heddle/wire';
import type { AnyRequestHead } from './messages.ts';

const KEY = 'sec-websocket-key';
const ACCEPT = 'sec-websocket-accept';
/** RFC 6455 §1.3. */
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY_BYTES = 16;

/** What only the HTTP/1.1 side of an upgrade has, besides what belongs to one connection anyway. */
export const HTTP1_SWITCH_HEADERS = [KEY, ACCEPT] as const;

export function isWebSocket(protocol: string): boolean {
  return protocol.toLowerCase() === 'websocket';
}

/**
 * Of an `Upgrade` the protocol that the client likes best (RFC 9110 §7.8): an extended CONNECT can ask for one only. Empty when it begins with
 * something that is none.
 */
export function firstProtocol(upgrade: string): string {
  return /^[!#$%&'*+.^`|~\w-]+(?:\/[!#$%&'*+.^`|~\w-]+)?(?=\s*(?:,|$))/.exec(upgrade)?.[0] ?? '';
}

/** Lines for a request that came by extended CONNECT: the upgrade itself and the key of a WebSocket. */
export function askingLines(protocol: string, key: string): string {
  const ask = `connection: upgrade\r\nupgrade: ${protocol}\r\n`;
  return isWebSocket(protocol) ? `${ask}${KEY}: ${key}\r\n` : ask;
}

/** Lines of the 101 for a request that was sent on by extended CONNECT. */
export function switchingLines(head: RequestHead): string {
  const protocol = firstProtocol(head.upgrade);
  const agree = `connection: upgrade\r\nupgrade: ${protocol}\r\n`;
  const key = head.get(KEY);
  return key === undefined || !isWebSocket(protocol) ? agree : `${agree}${ACCEPT}: ${acceptOf(key)}\r\n`;
}

/** The key that a WebSocket over HTTP/2 came with, or one of our own. */
export function keyOf(head: AnyRequestHead, random: Random): string {
  return head.get(KEY) ?? createKey(random);
}

/** What is added to the answer over HTTP/2; only where a key was sent. */
export function acceptFields(head: AnyRequestHead): readonly HeaderField[] | undefined {
  const key = head.get(KEY);
  return key === undefined ? undefined : [http2Field(ACCEPT, acceptOf(key))];
}

function createKey(random: Random): string {
  return Buffer.from(random.bytes(KEY_BYTES)).toString('base64');
}

/** Whether a 101 is the answer to this key. */
export function accepts(head: ResponseHead, key: string): boolean {
  return head.get(ACCEPT) === acceptOf(key);
}

function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key.trim() + ACCEPT_SUFFIX)
    .digest('base64');
}
