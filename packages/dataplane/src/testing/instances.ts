// Several instances of one service whose answers a test decides, behind one data plane or two. Tests only.
import type http from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Client, Version } from './clients.ts';
import type { TestMesh } from './mesh.ts';
import { HOPS, startApplication, startWay, VERSIONS } from './paths.ts';
import type { PathOptions, Way } from './paths.ts';

type Answer = (request: http.IncomingMessage, response: http.ServerResponse, instance: Instance) => void;

export interface Instance {
  readonly name: string;
  readonly port: number;
  /** Requests that have come. */
  requests: number;
  /** Of these, requests that were broken off before their answer was complete. */
  aborted: number;
  /** Connections that were made, also those that are closed. */
  connections: number;
}

export interface Fleet {
  readonly way: Way;
  readonly client: Client;
  readonly instances: readonly Instance[];
  /** Of all instances. */
  readonly requests: () => number;
  /** Of the data plane of the client. */
  readonly metrics: () => string;
}

export interface FleetOptions extends PathOptions {
  readonly hops: (typeof HOPS)[number];
  readonly version: Version;
  readonly count: number;
}

/** Clients and instances speak the same version; each request is answered by `answer`. */
export async function startFleet(mesh: TestMesh, { hops, version, count, ...options }: FleetOptions, answer: Answer): Promise<Fleet> {
  const instances: Instance[] = [];
  for (let number = 1; number <= count; number++) {
    const application = await startApplication(mesh, version, (request, response) => {
      instance.requests += 1;
      response.on('close', () => void (response.writableEnded || (instance.aborted += 1)));
      answer(request, response, instance);
    });
    application.server.on('connection', () => (instance.connections += 1));
    const { port } = application;
    const instance: Instance = { name: `orders-${number}`, port, requests: 0, aborted: 0, connections: 0 };
    instances.push(instance);
  }
  const ports = instances.map(({ port }) => port);
  const way = await startWay(mesh, hops, version, ports, options);
  return {
    way,
    client: way.client(version),
    instances,
    requests: () => instances.reduce((sum, { requests }) => sum + requests, 0),
    metrics: () => way.planes[0]!.metrics.expose(),
  };
}

/** All ways: one data plane or two, with each version of HTTP. */
export const WAYS = HOPS.flatMap((hops) => VERSIONS.map((version) => ({ hops, version, name: `${hops}, ${version}` })));

export const GRPC_HEADERS = { 'content-type': 'application/grpc', te: 'trailers' } as const;

/** A gRPC error of the application before any message: trailers alone, in the head of the response. */
export function failGrpc(response: http.ServerResponse, status: number, more: Record<string, string> = {}): void {
  const { stream } = response as unknown as Http2ServerResponse;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(status), ...more }, { endStream: true });
}

/** One message, then the status. */
export function answerGrpc(response: http.ServerResponse, text: string, status = 0): void {
  response.writeHead(200, { 'content-type': 'application/grpc' });
  response.addTrailers({ 'grpc-status': String(status) });
  const message = Buffer.from(text);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  response.end(frame);
}
