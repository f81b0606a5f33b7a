// Identities that are refused although their certificates are valid, and the connections that there are with every identity, in both
// directions: who comes to stand here loses them at once, whatever they carry.
import type { Connection, PeerGuard } from '@heddle/runtime';

/** How many connections an identity has lost. */
export interface LostConnections {
  readonly peerId: string;
  readonly count: number;
}

export class DeniedPeers implements PeerGuard {
  private denied: ReadonlySet<string> = new Set();
  private readonly open = new Map<string, Set<Connection>>();

  isDenied(peerId: string): boolean {
    return this.denied.has(peerId);
  }

  opened(connection: Connection): void {
    const known = this.open.get(connection.peerId);
    if (known === undefined) this.open.set(connection.peerId, new Set([connection]));
    else known.add(connection);
  }

  closed(connection: Connection): void {
    const known = this.open.get(connection.peerId);
    if (known?.delete(connection) === true && known.size === 0) this.open.delete(connection.peerId);
  }

  /** The whole list. Of those that are new on it: who they are, also without a connection. */
  replace(denied: readonly string[]): LostConnections[] {
    const before = this.denied;
    this.denied = new Set(denied);
    const added = [...this.denied].filter((peerId) => !before.has(peerId));
    return added.map((peerId) => {
      const connections = [...(this.open.get(peerId) ?? [])];
      for (const connection of connections) connection.reset();
      return { peerId, count: connections.length };
    });
  }
}
