// Who listens on a port of this machine, as Linux tells in /proc/net/tcp; elsewhere nothing is known.
import { readFileSync } from 'node:fs';
import net from 'node:net';

/** Bytes of an address are printed as 32-bit words in the order of the machine (proc_pid_net(5)). */
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
const LISTEN = '0A';

/** Whether any socket but those with these inode numbers listens on that very address and port. */
export function isListenedOnByOthers(
  { address, port }: { readonly address: string; readonly port: number },
  own: ReadonlySet<number>,
): boolean {
  const isIpv6 = net.isIPv6(address);
  const place = `${hexAddress(address)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  let text: string;
  try {
    text = readFileSync(isIpv6 ? '/proc/net/tcp6' : '/proc/net/tcp', 'latin1');
  } catch {
    return false;
  }
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === place && fields[3] === LISTEN && !own.has(Number(fields[9]))) return true;
  }
  return false;
}

function hexAddress(address: string): string {
  const bytes = net.isIPv6(address) ? ipv6Bytes(address) : Uint8Array.from(address.split('.'), Number);
  let text = '';
  for (let word = 0; word < bytes.length; word += 4)
    for (let index = 0; index < 4; index++)
      text += (bytes[word + (IS_LITTLE_ENDIAN ? 3 - index : index)] ?? 0).toString(16).toUpperCase().padStart(2, '0');
  return text;
}

function ipv6Bytes(address: string): Uint8Array {
  // The parser of URLs knows all spellings and gives back the short one of RFC 5952, which `::` makes at most one hole in.
  const short = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const [head = '', tail] = short.split('::');
  const words = (text: string): number[] => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)));
  const before = words(head);
  const behind = tail === undefined ? [] : words(tail);
  const all = [...before, ...new Array<number>(8 - before.length - behind.length).fill(0), ...behind];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}
