// Which servers are asked for the names of others: those that were named, or those of the system, read again when its file changes.
import { ipBytes, type SocketAddress } from '@heddle/core';

/** Gives the resolvers of now; asked for every query that is forwarded. */
export type Resolvers = () => readonly SocketAddress[];

const DNS_PORT = 53;
/** As many as the C library uses (resolv.conf(5), MAXNS). */
const RESOLVERS_MAX = 3;

/** The `nameserver` lines of a resolv.conf(5), in order. What is no address is left out; a zone id is kept off, as link-local servers need one. */
export function parseResolvConf(text: string): SocketAddress[] {
  const found: SocketAddress[] = [];
  for (const line of text.split('\n')) {
    const [word, address = ''] = line.trim().split(/\s+/);
    if (word !== 'nameserver') continue;
    const [plain = ''] = address.split('%');
    if (ipBytes(plain) !== undefined) found.push({ address, port: DNS_PORT });
  }
  return found.slice(0, RESOLVERS_MAX);
}

/** Those of the system. @param text the file as it is now; the same string while it is unchanged. */
export function systemResolvers(text: () => string | undefined): Resolvers {
  let last: string | undefined;
  let resolvers: readonly SocketAddress[] = [];
  return () => {
    const now = text();
    if (now !== last) {
      last = now;
      resolvers = parseResolvConf(now ?? '');
    }
    return resolvers;
  };
}

/** Whether a query that is sent there would come back here. @param own where this server listens. */
export function isOwn(resolver: SocketAddress, own: readonly SocketAddress[]): boolean {
  return own.some(
    ({ address, port }) =>
      port === resolver.port && (address === resolver.address || (isWildcard(address) && isLoopback(resolver.address))),
  );
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}
