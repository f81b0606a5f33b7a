// grpc-js with its xDS plugin in the mesh without a proxy: makes the calls that standard input asks for, one JSON object a line, and answers each
// with a line. It finds the mesh by GRPC_XDS_BOOTSTRAP. The twins are go/client.go and python/xds_client.py. grpc-xds-client.ts TARGET
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { register, XdsChannelCredentials } from '@grpc/grpc-js-xds';
import type { Asked, Kinds, OneCall, ManyCalls } from './grpc-xds.ts';

const CALLERS = 4;
const PAUSE_MS = 2;
const TIMEOUT_MS = 10_000;
const PATH = '/interop.Echo';
const asIs = (bytes: Buffer): Buffer => bytes;

register();
const clients = new Map<string, Client>();

function clientOf({ target = process.argv[2] ?? '' }: Asked): Client {
  const client = clients.get(target) ?? new Client(target, new XdsChannelCredentials(credentials.createInsecure()));
  clients.set(target, client);
  return client;
}

function call(asked: Asked): Promise<OneCall> {
  const { metadata = {}, timeoutMs = TIMEOUT_MS } = asked;
  const fields = new Metadata();
  for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
  return new Promise((resolve) => {
    let initial = new Metadata();
    const first = (name: string): string => String(initial.get(name)[0] ?? '');
    const done = (error: ServiceError | null): void =>
      resolve({
        code: status[error?.code ?? status.OK] ?? '',
        details: error?.details ?? '',
        server: error === null ? first('x-server') : '',
        peer: error === null ? first('x-peer') : '',
      });
    const options = { deadline: Date.now() + timeoutMs };
    clientOf(asked)
      .makeUnaryRequest(`${PATH}/Unary`, asIs, asIs, Buffer.from('hello'), fields, options, done)
      .on('metadata', (received: Metadata) => void (initial = received));
  });
}

class Tally implements ManyCalls {
  servers: Record<string, number> = {};
  readonly failures: string[] = [];

  add({ code, details, server }: OneCall): void {
    if (code === 'OK') this.servers[server] = (this.servers[server] ?? 0) + 1;
    else this.failures.push(`${code}: ${details}`);
  }
}

async function calls(asked: Asked): Promise<ManyCalls> {
  const tally = new Tally();
  for (let made = 0; made < (asked.count ?? 0); made++) tally.add(await call(asked));
  return tally;
}

class Steady {
  readonly tally = new Tally();
  readonly #over = new AbortController();
  readonly #callers: Promise<void>[];

  constructor(asked: Asked) {
    this.#callers = Array.from({ length: CALLERS }, () => this.#run(asked));
  }

  async #run(asked: Asked): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.tally.add(await call(asked));
      await delay(PAUSE_MS);
    }
  }

  seen(): Readonly<Record<string, number>> {
    const { servers } = this.tally;
    this.tally.servers = {};
    return servers;
  }

  async stop(): Promise<ManyCalls> {
    this.#over.abort();
    await Promise.all(this.#callers);
    return this.tally;
  }
}

async function received(stream: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>): Promise<string[]> {
  const messages: string[] = [];
  for await (const message of stream) messages.push(String(message));
  return messages;
}

async function kinds(client: Client): Promise<Kinds> {
  const options = { deadline: Date.now() + TIMEOUT_MS };
  const none = new Metadata();
  try {
    const unary = await new Promise<string>((resolve, reject) => {
      client.makeUnaryRequest(`${PATH}/Unary`, asIs, asIs, Buffer.from('hello'), none, options, (error, value) =>
        error === null ? resolve(String(value)) : reject(error),
      );
    });
    const collected = await new Promise<string>((resolve, reject) => {
      const stream = client.makeClientStreamRequest(`${PATH}/Collect`, asIs, asIs, none, options, (error, value) =>
        error === null ? resolve(String(value)) : reject(error),
      );
      for (const message of ['a', 'b', 'c']) stream.write(Buffer.from(message));
      stream.end();
    });
    const count = await received(client.makeServerStreamRequest(`${PATH}/Count`, asIs, asIs, Buffer.from('5'), none, options));
    return { unary, collect: [collected], count, chat: await conversation(client, 'one', 'two', 'three') };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

/** Each message is sent when the answer to the one before is there. */
async function conversation(client: Client, ...messages: readonly string[]): Promise<string[]> {
  const stream = client.makeBidiStreamRequest(`${PATH}/Chat`, asIs, asIs, new Metadata(), { deadline: Date.now() + TIMEOUT_MS });
  const answers: string[] = [];
  for (const message of messages) {
    const answered = once(stream, 'data');
    stream.write(Buffer.from(message));
    answers.push(String((await answered)[0]));
  }
  stream.end();
  return answers;
}

let steady: Steady | undefined;

async function answer(asked: Asked): Promise<unknown> {
  switch (asked.do) {
    case 'call':
      return call(asked);
    case 'calls':
      return calls(asked);
    case 'kinds':
      return kinds(clientOf(asked));
    case 'start':
      steady = new Steady(asked);
      return {};
    case 'seen':
      return steady?.seen();
    case 'stop':
      return steady?.stop();
  }
}

for await (const line of createInterface(process.stdin))
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line) as Asked))}\n`);
