// What is written in one turn of the event loop is gathered and goes out in one system call: a head and its small body, or a response and
// the head of the next request's answer. Every entry from outside (bytes, timer, close) ends with `turn.end()`.
import type { Connection, Network } from '@heddle/runtime';
import { Output } from '@heddle/wire';

/** Something that collects output of many requests, and writes it once everything that has arrived was handled. */
export interface LateWriter {
  flush(): void;
}

/** The shared state of all gathers of a data plane: one of them is open at a time. */
export class Turn {
  readonly output = new Output();
  private readonly network: Pick<Network, 'afterEvents'>;
  private open: Gather | undefined;
  private late: LateWriter[] = [];
  private flushed: LateWriter[] = [];
  private readonly flushLate = (): void => {
    const writers = this.late;
    this.late = this.flushed;
    this.flushed = writers;
    for (let at = 0; at < writers.length; at++) writers[at]!.flush();
    writers.length = 0;
    this.end();
  };

  constructor(network: Pick<Network, 'afterEvents'>) {
    this.network = network;
  }

  /** Each writer once until it was flushed. */
  writeLate(writer: LateWriter): void {
    if (this.late.push(writer) === 1) this.network.afterEvents(this.flushLate);
  }

  begin(gather: Gather): void {
    if (this.open === gather) return;
    this.end();
    this.open = gather;
  }

  end(): void {
    const gather = this.open;
    if (gather === undefined) return;
    this.open = undefined;
    gather.write(this.output);
  }

  /** Passes received bytes on at once. False: the connection takes no more until it has drained. */
  pass(connection: Connection, bytes: Buffer): boolean {
    if (connection.copiesWrites) return connection.write(bytes);
    this.end();
    this.output.bytes(bytes);
    return this.output.writeTo(connection);
  }

  /** Ends the turn if the open gather is this one. */
  endOf(gather: Gather): void {
    if (this.open === gather) this.end();
  }
}

export interface GatherOwner {
  /** The peer does not read as fast as we write: stop the source until `onDrained`. */
  onBlocked(): void;
}

/** The writing side of one connection. */
export class Gather {
  /** From a write that filled the buffer until the connection has drained. */
  blocked = false;
  private readonly turn: Turn;
  private readonly connection: Connection;
  private readonly owner: GatherOwner;
  private closed = false;

  constructor(turn: Turn, connection: Connection, owner: GatherOwner) {
    this.turn = turn;
    this.connection = connection;
    this.owner = owner;
  }

  /** latin1 text, as the codec renders it. */
  text(text: string): void {
    this.turn.begin(this);
    this.turn.output.latin1(text);
  }

  bytes(bytes: Buffer, start: number, end: number): void {
    const { turn } = this;
    turn.begin(this);
    turn.output.bytes(bytes, start, end);
  }

  /** Ends our direction after everything that was written. */
  end(): void {
    this.turn.endOf(this);
    if (this.closed) return;
    this.closed = true;
    this.connection.end();
  }

  /** Nothing goes out any more. */
  close(): void {
    this.closed = true;
  }

  /** @internal */
  write(output: Output): void {
    if (this.closed) output.take();
    else if (!output.writeTo(this.connection) && !this.blocked) {
      this.blocked = true;
      this.owner.onBlocked();
    }
  }
}
