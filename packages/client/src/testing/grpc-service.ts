// A gRPC service that does what a call asks for, on a real grpc-js server with a port of its own. Tests only.
import * as grpc from '@grpc/grpc-js';

export type Pair = readonly [name: string, value: string | Buffer];

/** What a request asks for; what is left out does not happen. */
export interface Wish {
  /** Comes back in every answer. */
  readonly text?: string;
  /** So many characters in every answer. */
  readonly size?: number;
  /** Answers to a server stream. Default 1. */
  readonly count?: number;
  readonly head?: readonly Pair[];
  readonly trailers?: readonly Pair[];
  /** Status other than OK, after the answers. */
  readonly code?: number;
  readonly details?: string;
  /** Never ends; a stream of requests is not read beyond it. */
  readonly hang?: boolean;
  /** Metadata of the request with this prefix come back in the answer. */
  readonly tell?: string;
  /** Answers are not compressed. */
  readonly plain?: boolean;
}

export interface Answer {
  readonly text?: string;
  readonly filler?: string;
  readonly saw?: Readonly<Record<string, readonly string[]>>;
}

const asJson = (value: unknown): Buffer =>
  Buffer.from(
    JSON.stringify(value, (_key, part: unknown) => part),
    'utf8',
  );
const fromJson = (bytes: Buffer): unknown => JSON.parse(bytes.toString('utf8')) as unknown;
const coders = {
  requestSerialize: asJson,
  requestDeserialize: fromJson,
  responseSerialize: asJson,
  responseDeserialize: fromJson,
};

export const WISHES = {
  unary: { path: '/test.Wishes/unary', requestStream: false, responseStream: false, ...coders },
  serverStream: { path: '/test.Wishes/serverStream', requestStream: false, responseStream: true, ...coders },
  clientStream: { path: '/test.Wishes/clientStream', requestStream: true, responseStream: false, ...coders },
  bidi: { path: '/test.Wishes/bidi', requestStream: true, responseStream: true, ...coders },
  absent: { path: '/test.Wishes/absent', requestStream: false, responseStream: false, ...coders },
} as const;

export interface WishesClient extends grpc.Client {
  unary(wish: Wish, metadata: grpc.Metadata, options: grpc.CallOptions, done: grpc.requestCallback<Answer>): grpc.ClientUnaryCall;
  absent(wish: Wish, metadata: grpc.Metadata, options: grpc.CallOptions, done: grpc.requestCallback<Answer>): grpc.ClientUnaryCall;
  serverStream(wish: Wish, metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientReadableStream<Answer>;
  clientStream(metadata: grpc.Metadata, options: grpc.CallOptions, done: grpc.requestCallback<Answer>): grpc.ClientWritableStream<Wish>;
  bidi(metadata: grpc.Metadata, options: grpc.CallOptions): grpc.ClientDuplexStream<Wish, Answer>;
}

export const Wishes = grpc.makeGenericClientConstructor(WISHES, 'Wishes') as unknown as new (
  target: string,
  credentials: grpc.ChannelCredentials,
  options?: object,
) => WishesClient;

export function metadataOf(pairs: readonly Pair[] = []): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of pairs) metadata.add(name, value);
  return metadata;
}

export interface WishesServer {
  readonly server: grpc.Server;
  readonly port: number;
  /** Calls whose caller has gone. */
  cancelled: number;
  /** Calls that have arrived. */
  arrived: number;
  /** What streams of requests have brought. */
  received: number;
}

type Streaming = grpc.ServerWritableStream<Wish, Answer> | grpc.ServerDuplexStream<Wish, Answer>;
type Any = grpc.ServerUnaryCall<Wish, Answer> | grpc.ServerReadableStream<Wish, Answer> | Streaming;

export async function startWishes(options: grpc.ServerOptions = {}): Promise<WishesServer> {
  const server = new grpc.Server(options);
  const stats = { server, port: 0, cancelled: 0, arrived: 0, received: 0 };
  const begin = (call: Any, wish: Wish): void => {
    if (wish.head !== undefined) call.sendMetadata(metadataOf(wish.head));
  };
  const arrive = (call: Any): void => {
    stats.arrived += 1;
    (call as NodeJS.EventEmitter).on('cancelled', () => (stats.cancelled += 1));
  };
  const one = (call: Any, wish: Wish, done: grpc.sendUnaryData<Answer>): void => {
    begin(call, wish);
    if (wish.hang === true) return;
    const { code = 0, details = '' } = wish;
    const trailers = metadataOf(wish.trailers);
    if (code === 0) done(null, answerTo(call, wish), trailers, wish.plain === true ? 2 : 0);
    else done({ code, details, metadata: trailers });
  };
  const end = (call: Streaming, wish: Wish): void => {
    const { code = 0, details = '' } = wish;
    if (wish.hang === true) return;
    if (code === 0) call.end(metadataOf(wish.trailers));
    else call.emit('error', { code, details, metadata: metadataOf(wish.trailers) });
  };
  server.addService(WISHES as unknown as grpc.ServiceDefinition, {
    unary(call: grpc.ServerUnaryCall<Wish, Answer>, done: grpc.sendUnaryData<Answer>) {
      arrive(call);
      one(call, call.request, done);
    },
    async serverStream(call: grpc.ServerWritableStream<Wish, Answer>) {
      arrive(call);
      const wish = call.request;
      begin(call, wish);
      for (let sent = 0; sent < (wish.count ?? 1) && !call.cancelled; sent++)
        if (!call.write({ ...answerTo(call, wish), text: `${wish.text ?? ''}${sent}` }))
          await new Promise<void>((resolve) => {
            call.once('drain', resolve);
            call.once('cancelled', resolve);
          });
      end(call, wish);
    },
    clientStream(call: grpc.ServerReadableStream<Wish, Answer>, done: grpc.sendUnaryData<Answer>) {
      arrive(call);
      let last: Wish = {};
      let texts = '';
      call.on('data', (wish: Wish) => {
        stats.received += 1;
        last = wish;
        texts += wish.text ?? '';
        if (wish.hang === true) call.pause();
      });
      call.on('end', () => one(call, { ...last, text: texts }, done));
    },
    bidi(call: grpc.ServerDuplexStream<Wish, Answer>) {
      arrive(call);
      let last: Wish = {};
      call.on('data', (wish: Wish) => {
        stats.received += 1;
        if (stats.received === 1 || last === undefined) begin(call, wish);
        last = wish;
        for (let sent = 0; sent < (wish.count ?? 1); sent++) call.write(answerTo(call, wish));
        if (wish.code !== undefined) end(call, wish);
      });
      call.on('end', () => end(call, last));
    },
  });
  stats.port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  return stats;
}

function answerTo(call: Any, { text, size, tell }: Wish): Answer {
  return {
    ...(text !== undefined && { text }),
    ...(size !== undefined && { filler: 'f'.repeat(size) }),
    ...(tell !== undefined && { saw: told(call.metadata, tell) }),
  };
}

function told(metadata: grpc.Metadata, prefix: string): Record<string, string[]> {
  const saw: Record<string, string[]> = {};
  for (const [name, values] of Object.entries(metadata.toJSON()))
    if (name.startsWith(prefix))
      saw[name] = values.map((value) => (typeof value === 'string' ? value : `base64 ${value.toString('base64')}`));
  return saw;
}
