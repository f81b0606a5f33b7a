// Clients that do what they should, at a fixed rate, through the proxy to instances that do, too. Whatever else happens there: each of their
// requests must be answered, with its own answer.
import { Agent, request as httpRequest } from 'node:http';
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2';
import { Agent as SecureAgent, request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { SERVER_NAME } from './corpus.ts';
import { Dice } from './dice.ts';
import { ID_HEADER } from './honest-servers.ts';

export interface Door {
  readonly name: string;
  readonly port: number;
  readonly how: 'http1' | 'http2' | 'tcp';
  /** Roots of the proxy's or the instance's certificate; undefined: without TLS. */
  readonly ca?: string;
}

export interface Failure {
  readonly door: string;
  readonly atMs: number;
  readonly reason: string;
}

/** Far above what a loaded machine needs. */
const ANSWER_TIMEOUT_MS = 15_000;
const BODY_BYTES_MAX = 100_000;

interface Asked {
  readonly id: string;
  /** Empty: GET. */
  readonly body: Buffer;
}

/** Throws Error when the answer is not what it must be. */
type Ask = (asked: Asked) => Promise<void>;

export class HonestClient {
  readonly failures: Failure[] = [];
  answered = 0;
  private readonly door: Door;
  private readonly dice: Dice;
  private readonly ask: Ask;
  private readonly closeConnections: () => void;
  private readonly underWay = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;
  private sent = 0;

  constructor(door: Door, seed: number, index: number) {
    this.door = door;
    this.dice = new Dice(seed, 201, index);
    [this.ask, this.closeConnections] = door.how === 'http1' ? overHttp1(door) : door.how === 'http2' ? overHttp2(door) : overTcp(door);
  }

  start(perSecond: number, startMs: number): void {
    this.timer = setInterval(() => this.send(startMs), 1_000 / perSecond);
  }

  /** Resolves when every request has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(this.underWay);
    this.closeConnections();
  }

  private send(startMs: number): void {
    const { dice, door } = this;
    const id = `${door.name}-${this.sent++}`;
    const body = dice.chance(0.5) ? Buffer.alloc(0) : dice.bytes(1 + dice.size(BODY_BYTES_MAX));
    const one: Promise<void> = within(this.ask({ id, body }))
      .then(
        () => void (this.answered += 1),
        (error: unknown) =>
          void this.failures.push({ door: door.name, atMs: performance.now() - startMs, reason: `${id}: ${(error as Error).message}` }),
      )
      .finally(() => this.underWay.delete(one));
    this.underWay.add(one);
  }
}

async function within(answer: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)), ANSWER_TIMEOUT_MS);
  });
  try {
    await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

function check(asked: Asked, status: unknown, id: unknown, body: Buffer): void {
  if (status !== 200) throw new Error(`status ${String(status)}: ${body.toString('utf8', 0, 300)}`);
  if (id !== asked.id) throw new Error(`the answer is that of ${String(id)}`);
  if (!body.equals(asked.body)) throw new Error(`${body.length} bytes came back for ${asked.body.length}, or others`);
}

function overHttp1({ port, ca }: Door): [Ask, () => void] {
  const agent = ca === undefined ? new Agent({ keepAlive: true }) : new SecureAgent({ keepAlive: true, ca, servername: SERVER_NAME });
  const ask: Ask = (asked) =>
    new Promise((resolve, reject) => {
      const options = {
        port,
        host: '127.0.0.1',
        agent,
        path: '/echo',
        method: asked.body.length === 0 ? 'GET' : 'POST',
        headers: { host: SERVER_NAME, [ID_HEADER]: asked.id },
      };
      const request = (ca === undefined ? httpRequest : httpsRequest)(options, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => {
          try {
            check(asked, response.statusCode, response.headers[ID_HEADER], Buffer.concat(chunks));
            resolve();
          } catch (error) {
            reject(error as Error);
          }
        });
      });
      request.on('error', reject);
      request.end(asked.body);
    });
  return [ask, () => agent.destroy()];
}

function overHttp2({ port, ca }: Door): [Ask, () => void] {
  let session: ClientHttp2Session | undefined;
  const open = (): ClientHttp2Session => {
    const options = ca === undefined ? {} : { ca, servername: SERVER_NAME };
    const opened = connectHttp2(`${ca === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, options);
    opened.on('error', () => {});
    return opened;
  };
  const ask: Ask = (asked) =>
    new Promise((resolve, reject) => {
      if (session === undefined || session.closed || session.destroyed) session = open();
      const stream = session.request(
        {
          ':method': asked.body.length === 0 ? 'GET' : 'POST',
          ':authority': SERVER_NAME,
          ':path': '/echo',
          [ID_HEADER]: asked.id,
        },
        { endStream: asked.body.length === 0 },
      );
      const chunks: Buffer[] = [];
      let [status, id]: unknown[] = [];
      stream.on('response', (headers) => ([status, id] = [headers[':status'], headers[ID_HEADER]]));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      stream.on('close', () => {
        try {
          check(asked, status, id, Buffer.concat(chunks));
          resolve();
        } catch (error) {
          reject(error as Error);
        }
      });
      if (asked.body.length > 0) stream.end(asked.body);
    });
  return [ask, () => session?.destroy()];
}

/** A connection for each: what is sent comes back, and so does the end. */
function overTcp({ port, ca }: Door): [Ask, () => void] {
  const ask: Ask = (asked) =>
    new Promise((resolve, reject) => {
      const options = { port, host: '127.0.0.1', allowHalfOpen: true };
      const socket: Socket = ca === undefined ? connect(options) : connectTls({ ...options, ca, servername: SERVER_NAME });
      const sent = Buffer.concat([Buffer.from(asked.id), asked.body]);
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      socket.on('end', () => {
        socket.destroy();
        if (Buffer.concat(chunks).equals(sent)) resolve();
        else reject(new Error(`other bytes came back: ${Buffer.concat(chunks).length} for ${sent.length}`));
      });
      socket.on('close', () => reject(new Error('closed without an end')));
      socket.end(sent);
    });
  return [ask, () => {}];
}
