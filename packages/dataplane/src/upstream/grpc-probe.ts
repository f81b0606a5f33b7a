// One probe of an application that speaks gRPC: `grpc.health.v1.Health/Check` over HTTP/2 with prior knowledge, on a connection of its own. Only
// SERVING passes.
import { NOBODY } from '@heddle/runtime';
import type { Clock, Connection, ConnectionHandler, Network, NetworkError } from '@heddle/runtime';
import {
  decodeGrpcMessage,
  GRPC_STATUS,
  GrpcReader,
  grpcPrefix,
  grpcStatusName,
  Http2Client,
  Http2RequestHead,
  readGrpcStatus,
} from '@heddle/wire';
import type { Http2ClientHandler, Http2ProtocolError, Http2ResponseHead, Http2Stream, Http2Trailers } from '@heddle/wire';
import { reasonOf } from './probe-target.ts';
import type { ProbeTarget, RunningProbe } from './probe-target.ts';

/** A status is two bytes; a server may add fields that we do not know. */
const ANSWER_BYTES_MAX = 4_096;
/** HealthCheckResponse.ServingStatus. */
const SERVING = 1;
const SERVING_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

export class GrpcProbe implements RunningProbe, ConnectionHandler, Http2ClientHandler {
  private readonly target: ProbeTarget;
  private readonly clock: Pick<Clock, 'nowMs'>;
  private readonly connection: Connection;
  private readonly codec: Http2Client;
  private readonly message: Buffer[] = [];
  private readonly reader = new GrpcReader(
    {
      onMessage: () => {},
      onData: (bytes, start, end) => void this.message.push(Buffer.from(bytes.subarray(start, end))),
      onMessageEnd: () => {},
    },
    ANSWER_BYTES_MAX,
  );
  private onResult: ((failure: string | undefined) => void) | undefined;

  constructor(network: Network, clock: Pick<Clock, 'nowMs'>, target: ProbeTarget, onEnd: (failure: string | undefined) => void) {
    this.target = target;
    this.clock = clock;
    this.onResult = onEnd;
    this.codec = new Http2Client(this);
    this.connection = network.connect({ address: target.address, port: target.port, timeoutMs: target.timeoutMs }, NOBODY);
    this.connection.handler = this;
  }

  abandon(): void {
    this.onResult = undefined;
    this.connection.destroy();
  }

  // --- from the connection

  onConnected(): void {
    const { address, port, grpcService = '' } = this.target;
    const head = new Http2RequestHead();
    head.method = 'POST';
    head.scheme = 'http';
    head.authority = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
    head.path = '/grpc.health.v1.Health/Check';
    for (const [name, value] of [
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ['user-agent', 'heddle-health'],
    ] as const)
      head.add(name, value);
    const stream = this.codec.request(head, false);
    const message = encodeRequest(grpcService);
    const body = Buffer.concat([grpcPrefix(message.length), message]);
    if (stream !== undefined) this.codec.sendData(stream, body, 0, body.length, true);
    this.codec.writeTo(this.connection);
  }

  onBytes(bytes: Buffer): void {
    if (this.onResult === undefined) return;
    this.codec.push(bytes, this.clock.nowMs());
    if (this.onResult !== undefined) this.codec.writeTo(this.connection);
  }

  onDrained(): void {}

  onEnd(): void {
    this.end('the application closed the connection without an answer');
  }

  onClose(error: NetworkError | undefined): void {
    this.end(reasonOf(error, this.target));
  }

  // --- from the codec

  onHeaders(_stream: Http2Stream, head: Http2ResponseHead, endStream: boolean): void {
    if (head.status !== 200) this.end(`answered ${head.status}`);
    else if (endStream) this.ended(head);
  }

  onData(stream: Http2Stream, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    this.codec.consumed(stream, end - start);
    if (this.reader.push(bytes, start, end) !== undefined) this.end('answered with something that is not gRPC');
    else if (endStream) this.end('answered without a gRPC status');
  }

  onTrailers(_stream: Http2Stream, trailers: Http2Trailers): void {
    this.ended(trailers);
  }

  onReset(_stream: Http2Stream, errorCode: number): void {
    // Of an error of the whole connection `onError` tells more.
    if (this.codec.state !== 'closed') this.end(`the application reset the call (${errorCode})`);
  }

  onError(error: Http2ProtocolError): void {
    this.end(`answered with something that is not HTTP/2: ${error.message}`);
  }

  onInterim(): void {}

  onWindow(): void {}

  onRefused(): void {}

  onSettings(): void {}

  onGoaway(): void {}

  onPingAck(): void {}

  onLoadQuestion(): void {}

  onLoadAnswer(): void {}

  /** The call is over: trailers, or a head that is all there is. */
  private ended(fields: Http2Trailers | Http2ResponseHead): void {
    const status = readGrpcStatus(fields.get('grpc-status'));
    const { grpcService = '' } = this.target;
    if (status === GRPC_STATUS.OK) {
      const serving = decodeStatus(Buffer.concat(this.message));
      const whose = grpcService === '' ? 'the server' : grpcService;
      return this.end(serving === SERVING ? undefined : `${whose} says ${SERVING_NAMES[serving] ?? serving}`);
    }
    if (status === GRPC_STATUS.UNIMPLEMENTED) return this.end('the application does not offer grpc.health.v1.Health');
    if (status === GRPC_STATUS.NOT_FOUND) return this.end(`the application's health service does not know "${grpcService}"`);
    const message = decodeGrpcMessage(fields.get('grpc-message') ?? '');
    this.end(`answered ${grpcStatusName(status)}${message === '' ? '' : `: ${message}`}`);
  }

  private end(failure: string | undefined): void {
    const { onResult } = this;
    this.onResult = undefined;
    this.codec.end();
    this.connection.destroy();
    onResult?.(failure);
  }
}

/** HealthCheckRequest { string service = 1 }. */
function encodeRequest(service: string): Buffer {
  const name = Buffer.from(service, 'utf8');
  if (name.length === 0) return name;
  const length = name.length < 0x80 ? [name.length] : [(name.length & 0x7f) | 0x80, name.length >> 7];
  return Buffer.concat([Buffer.from([0x0a, ...length]), name]);
}

/** HealthCheckResponse { ServingStatus status = 1 }: the last varint of field 1; 0 where there is none. */
function decodeStatus(message: Buffer): number {
  let status = 0;
  for (let at = 0; at + 1 < message.length && message[at] === 0x08; at += 2) status = message[at + 1]!;
  return status;
}
