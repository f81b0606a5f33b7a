import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { after, before, describe, it } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { type CallerMesh, TwoPlanes } from '../testing/two-planes.ts';
import { type GrpcJs, joinGrpc } from './index.ts';

// The cases of gRPC's public interop test descriptions, client and server of grpc-js, by the mesh. The server is called without a socket.

interface Payload {
  readonly body: Buffer;
}
interface Status {
  readonly code: number;
  readonly message: string;
}
interface Simple {
  readonly responseSize?: number;
  readonly payload?: Payload;
  readonly responseStatus?: Status | null;
}
interface Output {
  readonly responseParameters?: readonly { readonly size: number; readonly intervalUs?: number }[];
  readonly payload?: Payload;
  readonly responseStatus?: Status | null;
}
type Loaded = Record<'TestService' | 'UnimplementedService', grpc.ServiceClientConstructor>;
/** Methods are made at run time. */
type Dynamic = grpc.Client & Record<string, (...args: readonly unknown[]) => never>;

const INITIAL = 'x-grpc-test-echo-initial';
const TRAILING = 'x-grpc-test-echo-trailing-bin';
const proto = fileURLToPath(new URL('../testing/interop.proto', import.meta.url));
const loaded = grpc.loadPackageDefinition(loadSync(proto, { defaults: true })) as unknown as { grpc: { testing: Loaded } };
const { TestService, UnimplementedService } = loaded.grpc.testing;

const zeros = (size: number): Payload => ({ body: Buffer.alloc(size) });

type Streaming = grpc.ServerDuplexStream<Output, { payload: Payload }>;

const echo = (call: grpc.ServerUnaryCall<unknown, unknown> | Streaming): grpc.Metadata => {
  const initial = call.metadata.get(INITIAL);
  if (initial.length > 0) {
    const head = new grpc.Metadata();
    head.set(INITIAL, initial[0]!);
    call.sendMetadata(head);
  }
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(TRAILING)) trailers.set(TRAILING, value);
  return trailers;
};

const answerEach = (call: Streaming, { responseParameters = [] }: Output): void => {
  for (const { size } of responseParameters) call.write({ payload: zeros(size) });
};

const implementation = {
  EmptyCall: (_call: unknown, done: (error: null, answer: object) => void) => done(null, {}),
  UnaryCall(call: grpc.ServerUnaryCall<Simple, unknown>, done: grpc.sendUnaryData<unknown>) {
    const trailers = echo(call);
    const { responseStatus, responseSize = 0 } = call.request;
    if (responseStatus !== undefined && responseStatus !== null && responseStatus.code !== 0)
      done({ code: responseStatus.code, details: responseStatus.message, metadata: trailers });
    else done(null, { payload: zeros(responseSize) }, trailers);
  },
  StreamingOutputCall(call: Streaming & { request: Output }) {
    echo(call);
    answerEach(call, call.request);
    call.end();
  },
  StreamingInputCall(call: grpc.ServerReadableStream<{ payload: Payload }, unknown>, done: grpc.sendUnaryData<unknown>) {
    let aggregatedPayloadSize = 0;
    call.on('data', ({ payload }: { payload: Payload }) => (aggregatedPayloadSize += payload.body.length));
    call.on('end', () => done(null, { aggregatedPayloadSize }));
  },
  FullDuplexCall(call: Streaming) {
    const trailers = echo(call);
    call.on('data', (request: Output) => {
      const { responseStatus } = request;
      if (responseStatus !== undefined && responseStatus !== null && responseStatus.code !== 0)
        call.emit('error', { code: responseStatus.code, details: responseStatus.message, metadata: trailers });
      else answerEach(call, request);
    });
    call.on('end', () => call.end(trailers));
  },
};

/** The server that grpc-js makes inside, as `joinServers` finds it. */
async function listening(server: grpc.Server): Promise<{ port: number; inside: Server }> {
  const { createServer } = http2;
  const made: Server[] = [];
  http2.createServer = ((...args: Parameters<typeof createServer>) => {
    const one = createServer(...args);
    made.push(one);
    return one;
  }) as typeof createServer;
  try {
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return { port, inside: made[0]! };
  } finally {
    http2.createServer = createServer;
  }
}

describe('the interop tests of gRPC, by the mesh', () => {
  const planes = new TwoPlanes();
  const server = new grpc.Server();
  let mesh: CallerMesh;
  let client: Dynamic;
  let undo: () => void;
  let sockets = 0;
  before(async () => {
    server.addService(TestService.service, implementation as unknown as grpc.UntypedServiceImplementation);
    const { port, inside } = await listening(server);
    planes.servers.add(port, inside);
    inside.on('connection', (socket: object) => (sockets += 'connection' in socket ? 0 : 1));
    mesh = await planes.callerOf(port);
    undo = joinGrpc(mesh, grpc as unknown as GrpcJs);
    client = new TestService('orders.mesh.internal:8080', grpc.credentials.createInsecure()) as unknown as Dynamic;
  });
  after(async () => {
    client.close();
    undo();
    server.forceShutdown();
    await planes.close();
    assert.equal(mesh.held, 0);
    assert.equal(sockets, 0);
  });

  const unary = <T>(method: string, request: object, metadata = new grpc.Metadata(), by = client): Promise<T> =>
    new Promise((resolve, reject) => {
      by[method]!(request, metadata, (error: grpc.ServiceError | null, answer: T) => (error === null ? resolve(answer) : reject(error)));
    });

  /** Sends each request once the answer to the one before is there. */
  const pingPong = (
    requests: readonly Output[],
    each: (stream: grpc.ClientDuplexStream<Output, { payload: Payload }>, turn: number) => void,
  ) =>
    new Promise<{ sizes: number[]; status: grpc.StatusObject; error: grpc.ServiceError | undefined }>((resolve) => {
      const stream = client['FullDuplexCall']!() as grpc.ClientDuplexStream<Output, { payload: Payload }>;
      const sizes: number[] = [];
      let error: grpc.ServiceError | undefined;
      const next = (): void => {
        const request = requests[sizes.length];
        if (request === undefined) stream.end();
        else stream.write(request);
      };
      stream.on('data', ({ payload }: { payload: Payload }) => {
        sizes.push(payload.body.length);
        each(stream, sizes.length);
        next();
      });
      stream.on('error', (failed: grpc.ServiceError) => (error = failed));
      stream.on('status', (status: grpc.StatusObject) => setImmediate(() => resolve({ sizes, status, error })));
      next();
    });

  const SIZES = [31_415, 9, 2_653, 58_979];
  const REQUEST_SIZES = [27_182, 8, 1_828, 45_904];

  it('empty_unary', async () => assert.deepEqual(await unary('EmptyCall', {}), {}));

  it('large_unary', async () => {
    const { payload } = await unary<{ payload: Payload }>('UnaryCall', { responseSize: 314_159, payload: zeros(271_828) });
    assert.equal(payload.body.length, 314_159);
  });

  for (const [name, algorithm] of [
    ['client_compressed_unary', grpc.compressionAlgorithms.gzip],
    ['client_compressed_unary, by deflate', grpc.compressionAlgorithms.deflate],
  ] as const)
    it(name, async () => {
      const by = new TestService('orders.mesh.internal', grpc.credentials.createInsecure(), {
        'grpc.default_compression_algorithm': algorithm,
      }) as unknown as Dynamic;
      const request = { responseSize: 314_159, payload: zeros(271_828) };
      assert.equal((await unary<{ payload: Payload }>('UnaryCall', request, undefined, by)).payload.body.length, 314_159);
      by.close();
    });

  it('client_streaming', async () => {
    const answer = await new Promise<{ aggregatedPayloadSize: number }>((resolve, reject) => {
      const stream = client['StreamingInputCall']!((error: Error | null, value: { aggregatedPayloadSize: number }) =>
        error === null ? resolve(value) : reject(error),
      ) as grpc.ClientWritableStream<object>;
      for (const size of REQUEST_SIZES) stream.write({ payload: zeros(size) });
      stream.end();
    });
    assert.equal(answer.aggregatedPayloadSize, 74_922);
  });

  it('server_streaming', async () => {
    const sizes: number[] = [];
    const stream = client['StreamingOutputCall']!({
      responseParameters: SIZES.map((size) => ({ size })),
    }) as grpc.ClientReadableStream<{ payload: Payload }>;
    for await (const { payload } of stream as AsyncIterable<{ payload: Payload }>) sizes.push(payload.body.length);
    assert.deepEqual(sizes, SIZES);
  });

  it('ping_pong', async () => {
    const requests = SIZES.map((size, at) => ({ responseParameters: [{ size }], payload: zeros(REQUEST_SIZES[at]!) }));
    const { sizes, status } = await pingPong(requests, () => {});
    assert.deepEqual(sizes, SIZES);
    assert.equal(status.code, 0);
  });

  it('empty_stream', async () => {
    const { sizes, status } = await pingPong([], () => {});
    assert.deepEqual(sizes, []);
    assert.equal(status.code, 0);
  });

  it('cancel_after_begin', async () => {
    const error = await new Promise<grpc.ServiceError | null>((resolve) => {
      const stream = client['StreamingInputCall']!(resolve) as grpc.ClientWritableStream<object>;
      stream.cancel();
    });
    assert.equal(error?.code, 1);
  });

  it('cancel_after_first_response', async () => {
    const { sizes, status } = await pingPong([{ responseParameters: [{ size: 31_415 }], payload: zeros(27_182) }], (stream) =>
      stream.cancel(),
    );
    assert.deepEqual(sizes, [31_415]);
    assert.equal(status.code, 1);
  });

  it('timeout_on_sleeping_server', async () => {
    const stream = client['FullDuplexCall']!({ deadline: Date.now() + 1 }) as grpc.ClientDuplexStream<Output, object>;
    stream.on('data', () => {});
    stream.write({ payload: zeros(27_182) });
    const error = await new Promise<grpc.ServiceError>((resolve) => stream.on('error', resolve));
    assert.equal(error.code, 4);
  });

  it('custom_metadata', async () => {
    const metadata = new grpc.Metadata();
    metadata.set(INITIAL, 'test_initial_metadata_value');
    metadata.set(TRAILING, Buffer.from('ababab', 'hex'));
    const check = (call: NodeJS.EventEmitter): Promise<void> =>
      new Promise((resolve) => {
        let head: grpc.Metadata | undefined;
        call.on('metadata', (given: grpc.Metadata) => (head = given));
        call.on('status', (status: grpc.StatusObject) => {
          assert.deepEqual(head?.get(INITIAL), ['test_initial_metadata_value']);
          assert.deepEqual(status.metadata.get(TRAILING), [Buffer.from('ababab', 'hex')]);
          resolve();
        });
      });
    await check(client['UnaryCall']!({ responseSize: 314_159, payload: zeros(271_828) }, metadata, () => {}));
    const stream = client['FullDuplexCall']!(metadata) as grpc.ClientDuplexStream<Output, object>;
    const done = check(stream);
    stream.on('data', () => stream.end());
    stream.write({ responseParameters: [{ size: 314_159 }], payload: zeros(271_828) });
    await done;
  });

  it('status_code_and_message', async () => {
    const responseStatus = { code: 2, message: 'test status message' };
    await assert.rejects(unary('UnaryCall', { responseStatus }), { code: 2, details: 'test status message' });
    const { error } = await pingPong([{ responseStatus }], () => {});
    assert.equal(error?.code, 2);
    assert.equal(error.details, 'test status message');
  });

  it('special_status_message', async () => {
    const message = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';
    await assert.rejects(unary('UnaryCall', { responseStatus: { code: 2, message } }), { code: 2, details: message });
  });

  it('unimplemented_method', async () => {
    await assert.rejects(unary('UnimplementedCall', {}), { code: 12 });
  });

  it('unimplemented_service', async () => {
    const other = new UnimplementedService('orders.mesh.internal', grpc.credentials.createInsecure()) as unknown as Dynamic;
    await assert.rejects(unary('UnimplementedCall', {}, undefined, other), { code: 12 });
    other.close();
  });

  // Last: the server is gone after it.
  it('a server that shuts down lets calls under way end, and takes no new ones', async () => {
    const stream = client['FullDuplexCall']!() as grpc.ClientDuplexStream<Output, { payload: Payload }>;
    const data = (): Promise<unknown> => new Promise((resolve) => stream.once('data', resolve));
    const first = data();
    stream.write({ responseParameters: [{ size: 1 }] });
    await first;
    const down = new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error === undefined ? resolve() : reject(error))));
    const second = data();
    stream.write({ responseParameters: [{ size: 2 }] });
    await second;
    const status = new Promise<grpc.StatusObject>((resolve) => stream.on('status', resolve));
    stream.end();
    stream.resume();
    assert.equal((await status).code, 0);
    await down;
  });
});
