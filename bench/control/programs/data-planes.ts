// Many data planes without a data path, each with its own identity, its own connection (mutual TLS, HTTP/2) and its own delta ADS stream. Each
// follows all listeners and clusters, and routes and endpoints of what it calls; acknowledges everything at once; and notes when it had what.
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import { CONTROL_SERVER_NAME, TYPE_URLS } from '@heddle/api';
import { calledServices, nodeName, serviceName, type Size } from '../size.ts';
import { type Access, type Certificate, inParallel, join } from './access.ts';
import { decodeResponse, encodeRequest } from './ads-messages.ts';

export interface DataPlanesSpec {
  readonly access: Access;
  readonly size: Size;
  /** Of all data planes, the part that is this program's. */
  readonly from: number;
  readonly to: number;
}

/** One data plane has acknowledged the endpoints of a service: `[data plane, service, revision, milliseconds of the monotonic clock]`. */
export type Applied = readonly [dataPlane: number, service: number, revision: number, ms: number];

const outbound = (service: number): string => `outbound/default/${serviceName(service)}`;

class DataPlane {
  readonly #index: number;
  readonly #socket: Socket;
  readonly #stream: http2.ClientHttp2Stream;
  readonly #onApplied: (applied: Applied) => void;
  readonly #waitsFor = new Set<string>();
  #isReady: () => void = () => {};
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(access: Access, index: number, certificate: Certificate, onApplied: (applied: Applied) => void) {
    this.#index = index;
    this.#onApplied = onApplied;
    const { address, port, rootsPem } = access;
    this.#socket = tls.connect({
      host: address,
      port,
      ca: rootsPem,
      cert: certificate.certificatePem,
      key: certificate.keyPem,
      servername: CONTROL_SERVER_NAME,
      ALPNProtocols: ['h2'],
    });
    const session = http2.connect(`https://${CONTROL_SERVER_NAME}`, { createConnection: () => this.#socket });
    session.on('error', fail);
    this.#stream = session.request({
      ':method': 'POST',
      ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#stream.on('data', (bytes: Buffer) => this.#receive(bytes));
    this.#stream.on('error', fail);
    let reason = 'the connection was lost';
    this.#stream.on(
      'trailers',
      ({ 'grpc-status': status, 'grpc-message': message }) => (reason = `status ${String(status)}, ${String(message)}`),
    );
    session.on('goaway', (code) => (reason = `GOAWAY ${code}`));
    this.#stream.on('close', () => fail(new Error(`the stream of data plane ${index} ended: ${reason}, code ${this.#stream.rstCode}`)));
  }

  get wireBytes(): number {
    return this.#socket.bytesRead + this.#socket.bytesWritten;
  }

  /** Resolves when it has everything. */
  start(called: readonly number[]): Promise<void> {
    const own = `default/${serviceName(this.#index)}/${serviceName(this.#index)}-0`;
    const names = called.map(outbound);
    const ask = (kind: keyof typeof TYPE_URLS, subscribe: readonly string[], node?: string): void => {
      this.#stream.write(encodeRequest({ typeUrl: TYPE_URLS[kind], subscribe, ...(node === undefined ? {} : { node }) }));
      for (const name of subscribe.length === 0 ? [''] : subscribe) this.#waitsFor.add(`${TYPE_URLS[kind]} ${name}`);
    };
    ask('secret', ['trust-bundle'], nodeName(this.#index, 0));
    ask('cluster', []);
    ask('endpoints', names);
    ask('listener', []);
    ask('route', [`inbound/${own}`, ...names]);
    return this.#ready();
  }

  subscribe(service: number): Promise<void> {
    this.#waitsFor.add(`${TYPE_URLS.endpoints} ${outbound(service)}`);
    this.#stream.write(encodeRequest({ typeUrl: TYPE_URLS.endpoints, subscribe: [outbound(service)] }));
    return this.#ready();
  }

  #ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#isReady = resolve;
    });
  }

  #receive(bytes: Buffer): void {
    this.#rest.push(bytes);
    this.#restBytes += bytes.length;
    while (this.#restBytes >= 5) {
      const all = this.#rest.length === 1 ? this.#rest[0]! : Buffer.concat(this.#rest);
      this.#rest = [all];
      const end = 5 + all.readUInt32BE(1);
      if (all.length < end) return;
      this.#rest = [all.subarray(end)];
      this.#restBytes = all.length - end;
      this.#apply(all.subarray(5, end));
    }
  }

  #apply(message: Buffer): void {
    const { version, typeUrl, nonce, names } = decodeResponse(message);
    this.#stream.write(encodeRequest({ typeUrl, nonce }));
    if (typeUrl === TYPE_URLS.endpoints) {
      const ms = Number(process.hrtime.bigint()) / 1e6;
      for (const name of names) this.#onApplied([this.#index, Number(name.slice(name.lastIndexOf('-') + 1)), Number(version), ms]);
    }
    if (this.#waitsFor.size === 0) return;
    for (const name of ['', ...names]) this.#waitsFor.delete(`${typeUrl} ${name}`);
    if (this.#waitsFor.size === 0) this.#isReady();
  }
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

const { access, size, from, to } = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as DataPlanesSpec;
let applied: Applied[] = [];
const indices = Array.from({ length: to - from }, (_, index) => from + index);
const certificates = await join(access, indices.map(serviceName));
const planes = await inParallel(indices, 16, async (index, position) => {
  const plane = new DataPlane(access, index, certificates[position]!, (one) => applied.push(one));
  await plane.start(calledServices(index, size));
  return plane;
});
console.log(JSON.stringify({ ready: planes.length }));
for await (const line of createInterface({ input: process.stdin })) {
  const { subscribe, take } = JSON.parse(line) as { subscribe?: number; take?: true };
  if (subscribe !== undefined) await inParallel(planes, 64, (plane) => plane.subscribe(subscribe));
  const wireBytes = planes.reduce((sum, plane) => sum + plane.wireBytes, 0);
  console.log(JSON.stringify({ wireBytes, applied: take === true ? applied : [] }));
  if (take === true) applied = [];
}
