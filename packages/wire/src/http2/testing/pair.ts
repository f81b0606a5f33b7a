// For tests: a client and a server linked in memory. Bytes go over in pieces that the test chooses, so any interleaving can be made.

import { Http2Client } from '../client.ts';
import type { Http2Options } from '../core.ts';
import type { Http2ClientHandler, Http2ServerHandler } from '../handler.ts';
import { Http2Server } from '../server.ts';
import { CollectingSink } from './sink.ts';

export class ConnectionPair {
  readonly client: Http2Client;
  readonly server: Http2Server;
  nowMs = 0;
  /** Every second time what a side has to send is written piece by piece instead of being taken. */
  private turns = 0;
  private toServer = Buffer.alloc(0);
  private toClient = Buffer.alloc(0);

  constructor(client: Http2ClientHandler, server: Http2ServerHandler, clientOptions: Http2Options = {}, serverOptions: Http2Options = {}) {
    this.client = new Http2Client(client, clientOptions);
    this.server = new Http2Server(server, serverOptions);
  }

  /** Bytes under way. */
  get underWay(): number {
    return this.toServer.length + this.toClient.length + this.client.pendingBytes + this.server.pendingBytes;
  }

  /** Lets up to so many bytes arrive at one side. They are copies: what a side keeps of them is its own. */
  deliver(to: 'client' | 'server', bytesMax: number = Number.POSITIVE_INFINITY): void {
    if (to === 'server') {
      this.toServer = Buffer.concat([this.toServer, this.outgoing(this.client)]);
      const piece = Buffer.from(this.toServer.subarray(0, bytesMax));
      this.toServer = this.toServer.subarray(piece.length);
      if (piece.length > 0) this.server.push(piece, this.nowMs);
    } else {
      this.toClient = Buffer.concat([this.toClient, this.outgoing(this.server)]);
      const piece = Buffer.from(this.toClient.subarray(0, bytesMax));
      this.toClient = this.toClient.subarray(piece.length);
      if (piece.length > 0) this.client.push(piece, this.nowMs);
    }
  }

  private outgoing(from: Http2Client | Http2Server): Buffer {
    if (this.turns++ % 2 === 0) return from.take();
    const sink = new CollectingSink(this.turns % 4 === 0);
    from.writeTo(sink);
    return sink.bytes();
  }

  /** Until nothing is under way. */
  settle(): void {
    while (this.underWay > 0) {
      this.deliver('server');
      this.deliver('client');
    }
  }
}
