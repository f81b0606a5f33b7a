// HTTP/2 for the backend, by prior knowledge: header blocks are not read, since every request gets the same answer. Response headers are
// indexed from the second response on (RFC 7541 §6.1), as common servers do. Flow control is kept in both directions.
import net from 'node:net';

const PREFACE_BYTES = 24;
const FRAME_HEAD_BYTES = 9;
const DATA_BYTES_MAX = 16_384;
const FIRST_WINDOW = 65_535;
/** Received bytes are given back when this many have come. */
const GIVE_BACK_BYTES = 1 << 19;
const RECEIVE_WINDOW = 1 << 20;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 8];
const [END_STREAM, ACK, END_HEADERS] = [1, 1, 4];
const [HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE] = [1, 4];
const TABLE_BYTES = 4096;

interface Blocks {
  readonly head: Buffer;
  readonly trailers: Buffer | undefined;
}

/** What a response is made of: with names and values that enter the peer's table, from it, and without it. */
interface Answers {
  readonly first: Blocks;
  readonly indexed: Blocks;
  readonly literal: Blocks;
}

export function listenHttp2(port: number, body: Buffer, grpc: boolean): void {
  const answers = grpc ? grpcAnswers() : plainAnswers(body.length);
  const content = grpc ? grpcMessage(body) : body;
  net
    .createServer({ noDelay: true }, (socket) => new Connection(socket, answers, content))
    .listen({ port, host: '127.0.0.1', backlog: 4096 });
}

class Connection {
  private readonly socket: net.Socket;
  private readonly answers: Answers;
  private readonly content: Buffer;
  private rest: Buffer | undefined;
  private skipBytes = PREFACE_BYTES;
  private window = FIRST_WINDOW;
  private streamWindow = FIRST_WINDOW;
  private receivedBytes = 0;
  private tableBytes = TABLE_BYTES;
  private isFirst = true;
  /** Streams whose answer is not complete, with what was sent of the body and what the peer granted beyond the first window. */
  private readonly open = new Map<number, { sent: number; granted: number }>();
  private out: Buffer[] = [];

  constructor(socket: net.Socket, answers: Answers, content: Buffer) {
    this.socket = socket;
    this.answers = answers;
    this.content = content;
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
    settings.writeUInt32BE(RECEIVE_WINDOW, 2);
    socket.write(Buffer.concat([frame(SETTINGS, 0, 0, settings), windowUpdate(0, RECEIVE_WINDOW)]));
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => this.read(bytes));
  }

  private read(received: Buffer): void {
    const bytes = this.rest === undefined ? received : Buffer.concat([this.rest, received]);
    let at = Math.min(this.skipBytes, bytes.length);
    this.skipBytes -= at;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      this.frame(bytes[at + 3]!, bytes[at + 4]!, bytes.readUInt32BE(at + 5), bytes.subarray(at + FRAME_HEAD_BYTES, end));
      at = end;
    }
    this.rest = at === bytes.length ? undefined : bytes.subarray(at);
    this.flush();
  }

  private frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === HEADERS) {
      if ((flags & END_STREAM) !== 0) this.answer(stream);
    } else if (type === DATA) {
      this.giveBack(payload.length);
      if ((flags & END_STREAM) !== 0) this.answer(stream);
    } else if (type === WINDOW_UPDATE) this.grant(stream, payload.readUInt32BE(0));
    else if (type === SETTINGS && (flags & ACK) === 0) this.settings(payload);
    else if (type === PING && (flags & ACK) === 0) this.out.push(frame(PING, ACK, 0, Buffer.from(payload)));
    else if (type === RST_STREAM) this.open.delete(stream);
  }

  private settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      if (payload.readUInt16BE(at) === HEADER_TABLE_SIZE) this.tableBytes = value;
      if (payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE) this.streamWindow = value;
    }
    this.out.push(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    this.sendBodies();
  }

  private grant(stream: number, bytes: number): void {
    const state = this.open.get(stream);
    if (stream === 0) this.window += bytes;
    else if (state !== undefined) state.granted += bytes;
    if (this.open.size > 0) this.sendBodies();
  }

  private giveBack(bytes: number): void {
    this.receivedBytes += bytes;
    if (this.receivedBytes < GIVE_BACK_BYTES) return;
    this.out.push(windowUpdate(0, this.receivedBytes));
    this.receivedBytes = 0;
  }

  private answer(stream: number): void {
    const blocks = this.blocks();
    this.out.push(frame(HEADERS, END_HEADERS, stream, blocks.head));
    const state = { sent: 0, granted: 0 };
    if (this.send(stream, state, blocks.trailers)) return;
    this.open.set(stream, state);
  }

  /** Bodies in front of trailers are small and never wait for a window, so that the table is complete after the first response. */
  private blocks(): Blocks {
    if (this.tableBytes < TABLE_BYTES) return this.answers.literal;
    if (!this.isFirst) return this.answers.indexed;
    this.isFirst = false;
    return this.answers.first;
  }

  private sendBodies(): void {
    for (const [stream, state] of this.open) if (this.send(stream, state, this.answers.literal.trailers)) this.open.delete(stream);
  }

  /** True when all has been sent. */
  private send(stream: number, state: { sent: number; granted: number }, trailers: Buffer | undefined): boolean {
    const { content } = this;
    do {
      const granted = Math.min(this.window, this.streamWindow + state.granted - state.sent);
      const bytes = Math.min(granted, DATA_BYTES_MAX, content.length - state.sent);
      if (bytes <= 0) return false;
      const isLast = state.sent + bytes === content.length;
      const head = frameHead(DATA, isLast && trailers === undefined ? END_STREAM : 0, stream, bytes);
      this.out.push(head, content.subarray(state.sent, state.sent + bytes));
      this.window -= bytes;
      state.sent += bytes;
    } while (state.sent < content.length);
    if (trailers !== undefined) this.out.push(frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers));
    return true;
  }

  private flush(): void {
    if (this.out.length === 0) return;
    this.socket.write(Buffer.concat(this.out));
    this.out = [];
  }
}

function frameHead(type: number, flags: number, stream: number, bytes: number): Buffer {
  const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
  head.writeUIntBE(bytes, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return head;
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  return Buffer.concat([frameHead(type, flags, stream, payload.length), payload]);
}

function windowUpdate(stream: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(WINDOW_UPDATE, 0, stream, payload);
}

/** RFC 7541 appendix A. */
const STATIC = { status200: 8, contentLength: 28, contentType: 31 };
/** The peer wants a smaller table, and gets none (RFC 7541 §4.2). */
const NO_TABLE = 0x20;
/** The newest entry of the dynamic table; the one before it is 63. */
const NEWEST = 62;
const INDEXED = 0x80;

function plainAnswers(bytes: number): Answers {
  const fields = (how: Literal) => [...how(STATIC.contentType, 'text/plain'), ...how(STATIC.contentLength, String(bytes))];
  const block = (...head: number[]): Blocks => ({ head: Buffer.from(head), trailers: undefined });
  const status = INDEXED | STATIC.status200;
  return {
    first: block(status, ...fields(added)),
    indexed: block(status, INDEXED | (NEWEST + 1), INDEXED | NEWEST),
    literal: block(NO_TABLE, status, ...fields(passing)),
  };
}

function grpcAnswers(): Answers {
  const blocks = (head: number[], trailers: number[]): Blocks => ({ head: Buffer.from(head), trailers: Buffer.from(trailers) });
  const status = INDEXED | STATIC.status200;
  const type = (how: Literal) => how(STATIC.contentType, 'application/grpc');
  const end = (how: Literal) => how('grpc-status', '0');
  return {
    first: blocks([status, ...type(added)], end(added)),
    indexed: blocks([status, INDEXED | (NEWEST + 1)], [INDEXED | NEWEST]),
    literal: blocks([NO_TABLE, status, ...type(passing)], end(passing)),
  };
}

function grpcMessage(body: Buffer): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

/** A literal field: name as an index of the static table or as text. Texts are short, so that their length is one byte. */
type Literal = (name: number | string, value: string) => number[];

const added: Literal = (name, value) => [...(typeof name === 'number' ? [0x40 | name] : [0x40, ...text(name)]), ...text(value)];
const passing: Literal = (name, value) => [...(typeof name === 'number' ? [0x0f, name - 15] : [0x00, ...text(name)]), ...text(value)];

function text(value: string): number[] {
  return [value.length, ...Buffer.from(value, 'latin1')];
}
