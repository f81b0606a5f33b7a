// Two callers of one mesh that must not be told apart: an Envoy and a data plane of Heddle, each beside an instance of `client`. Both get their
// routes from the same control plane and call the same instances, so that what differs in what applications see, or in the answer, is
// theirs.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import type { RunningProxy } from '@heddle/proxy';
import { type Cleanup, host, LOOPBACK, machine, through, untilReady } from '../../support/planes.ts';
import { waitFor } from '../../support/wait.ts';
import { ControlProcess, type Envoy, startEnvoy } from './envoy.ts';

export const SIDES = ['heddle', 'envoy'] as const;
export type Side = (typeof SIDES)[number];
export type Fields = readonly (readonly [name: string, value: string])[];

/** The applications read it: it names a request, also among its tries, and the side that has sent it. */
export const CASE_HEADER = 'x-case';
/** Nobody waits for anything when the test is over. */
const AT_ONCE = { drainMs: 1, drainTellMs: 1 } as const;
const ANSWER_TIMEOUT_MS = 15_000;

export interface Asked {
  readonly method?: string;
  /** As it is to stand in the request line. */
  readonly path: string;
  /** As they are to be sent, in this order and spelling. `host`: default, the name of the service. */
  readonly headers?: Fields;
  readonly body?: string;
  /** By the HTTP proxy for all services: the request line has the whole URL. */
  readonly proxied?: true;
}

/** What an application has got. */
export interface Got {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  /** In lower case and in order, those of one name as they came. */
  readonly headers: Fields;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Fields;
  /** Of what the data plane said by itself, or an application that did not say what it got. */
  readonly text: string;
  readonly got: Got | undefined;
}

export interface Both<T> {
  readonly heddle: T;
  readonly envoy: T;
}

export interface ParitySettings {
  readonly mesh: string;
  /** Instances by id, with what the registry is told about them. They are hosted by a data plane of Heddle. */
  readonly instances: Readonly<Record<string, { readonly port: number; readonly version?: string }>>;
  /** Of services with one Envoy as their data plane: port of the application, by service. */
  readonly behindEnvoy?: Readonly<Record<string, number>>;
  readonly uses: readonly string[];
}

export class Parity {
  readonly plane: ControlProcess;
  readonly #near: RunningProxy;
  readonly #envoy: Envoy;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #credential: string;
  readonly #agent = new Agent({ keepAlive: true });
  #cases = 0;

  private constructor(plane: ControlProcess, near: RunningProxy, envoy: Envoy, ports: ReadonlyMap<string, number>, credential: string) {
    this.plane = plane;
    this.#near = near;
    this.#envoy = envoy;
    this.#ports = ports;
    this.#credential = credential;
  }

  /** Resolves when both sides are answered by every service of `uses`. */
  static async start(cleanup: Cleanup, program: string, settings: ParitySettings): Promise<Parity> {
    const { mesh, instances, uses, behindEnvoy = {} } = settings;
    const plane = await ControlProcess.start(cleanup, mesh);
    const anyPort = Object.values(instances)[0]?.port ?? 0;
    const beside = { service: 'client', instance: 'client-1', applicationPort: anyPort, uses, outboundProxy: true };
    const [envoy, near, far] = await Promise.all([
      startEnvoy(cleanup, program, plane, beside),
      machine(cleanup, plane.ref, { node: 'near', ...AT_ONCE }),
      machine(cleanup, plane.ref, { node: 'far', ...AT_ONCE }),
      ...Object.entries(behindEnvoy).map(([service, applicationPort]) =>
        startEnvoy(cleanup, program, plane, { service, instance: `${service}-1`, applicationPort }),
      ),
    ] as const);
    const [client] = await Promise.all([
      host(near, plane.ref, 'client-2', anyPort, { uses }),
      ...Object.entries(instances).map(([id, { port, ...about }]) => host(far, plane.ref, id, port, about)),
    ]);
    const ports = new Map(client.outbounds.map(({ service, listen }) => [service.name, listen.port]));
    await untilReady(near, far);
    const parity = new Parity(plane, near, envoy, ports, client.proxyCredential);
    cleanup.add(() => parity.#agent.destroy());
    return parity;
  }

  port(side: Side, service: string): number {
    return side === 'envoy' ? this.#envoy.port(service) : (this.#ports.get(service) ?? 0);
  }

  /** What Envoy has refused. */
  async refusals(): Promise<readonly string[]> {
    return (await this.#envoy.config()).errors;
  }

  /** Waits until a request is answered by one of these instances, on both sides, and by each of them. */
  async until(service: string, asked: Asked, ids: readonly string[]): Promise<void> {
    for (const side of SIDES) {
      await waitFor(`${ids.join()} through ${side}`, async () => {
        const seen = new Set<string>();
        for (let call = 0; call < 8 * ids.length; call += 1) {
          const { got, status } = await this.ask(side, service, asked);
          seen.add(got?.name ?? String(status));
          if (seen.size === ids.length || got === undefined) break;
        }
        assert.deepEqual([...seen].sort(), [...ids].sort());
        return true;
      });
    }
  }

  /** A name for a request; the applications count by it. */
  name(side: Side): string {
    this.#cases += 1;
    return `${this.#cases} ${side}`;
  }

  async ask(side: Side, service: string, asked: Asked, name = this.name(side)): Promise<Answer> {
    const { method = 'GET', path, headers = [], body, proxied } = asked;
    const names = new Set(headers.map(([field]) => field.toLowerCase()));
    const authority = `${service}.mesh.internal`;
    const own: [string, string][] = [[CASE_HEADER, name]];
    if (!names.has('host')) own.push(['host', authority]);
    if (proxied === true) own.push(['proxy-authorization', `Basic ${Buffer.from(`${this.#credential}:`).toString('base64')}`]);
    if (body !== undefined) own.push(['content-length', String(Buffer.byteLength(body))]);
    const target = through(this.#near);
    const port = proxied !== true ? this.port(side, service) : side === 'envoy' ? this.#envoy.outbound : target.port;
    const all = [...own, ...headers].flat();
    return send({ port, method, path, headers: all, body, agent: this.#agent });
  }

  async both(service: string, asked: Asked): Promise<Both<Answer>> {
    const [heddle, envoy] = await Promise.all([this.ask('heddle', service, asked), this.ask('envoy', service, asked)]);
    return { heddle, envoy };
  }
}

interface Sent {
  readonly port: number;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: string | undefined;
  readonly agent: Agent;
}

/** Status 0: the connection broke before the end of the answer; the text says how. */
function send({ body, ...options }: Sent): Promise<Answer> {
  return new Promise((resolve) => {
    const broken = (error: Error): void => resolve({ status: 0, headers: [], text: error.message, got: undefined });
    const asking = request({ host: LOOPBACK, ...options, timeout: ANSWER_TIMEOUT_MS, setHost: false } as object, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk));
      response.on('error', broken);
      response.on('end', () => {
        const isEcho = text.startsWith('{"name":');
        resolve({
          status: response.statusCode ?? 0,
          headers: pairs(response.rawHeaders),
          text: isEcho ? '' : text,
          got: isEcho ? (JSON.parse(text) as Got) : undefined,
        });
      });
    });
    asking.on('timeout', () => asking.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS} ms`)));
    asking.on('error', broken).end(body);
  });
}

/** Of Node's flat list. */
export function pairs(raw: readonly string[]): [name: string, value: string][] {
  const all: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) all.push([String(raw[at]).toLowerCase(), String(raw[at + 1])]);
  return all;
}

/** All values of a header, in order. */
export function valuesOf(headers: Fields, name: string): string[] {
  return headers.filter(([field]) => field === name).map(([, value]) => value);
}

export interface GrpcAnswer {
  /** Without: the call broke. */
  readonly grpcStatus: number | undefined;
  readonly httpStatus: number;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One call of gRPC over HTTP/2 with prior knowledge, on a connection of its own. */
export function grpcCall(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const session: ClientHttp2Session = connect(`http://${LOOPBACK}:${port}`);
    session.on('error', reject);
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      ':authority': 'calls.mesh.internal',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let [initial, trailing]: IncomingHttpHeaders[] = [{}, {}];
    let body = '';
    stream.on('response', (got) => void (initial = got));
    stream.on('trailers', (got) => void (trailing = got));
    stream.on('error', () => {});
    stream.setEncoding('latin1').on('data', (chunk: string) => void (body += chunk));
    stream.on('close', () => {
      const all = { ...initial, ...trailing };
      const grpcStatus = all['grpc-status'];
      session.close();
      resolve({
        grpcStatus: grpcStatus === undefined ? undefined : Number(grpcStatus),
        httpStatus: Number(all[constants.HTTP2_HEADER_STATUS] ?? 0),
        message: String(all['grpc-message'] ?? ''),
        headers: all,
        body,
      });
    });
    stream.end(Buffer.from([0, 0, 0, 0, 0]));
  });
}

/** Of a message's framing and of one of its hops; or different from request to request. */
export const BY_NATURE = ['connection', 'content-length', 'date', 'transfer-encoding', 'x-request-id', CASE_HEADER];
/** Each data plane says in its own words what went wrong; the code is the same. */
const OWN_WORDS = ['content-type', 'retry-after', 'grpc-retry-pushback-ms'];

/** All of an answer that must not depend on the side. Which of several instances answered is left out. */
export function comparable({ status, headers, text, got }: Answer): object {
  const isRefusal = valuesOf(headers, 'x-heddle-error').length > 0;
  if (status === 0) return { status };
  return {
    status,
    headers: joined(headers, isRefusal ? [...BY_NATURE, ...OWN_WORDS] : BY_NATURE),
    text: isRefusal ? '' : text,
    ...(got !== undefined && { got: { ...got, name: '', headers: joined(got.headers, BY_NATURE) } }),
  };
}

/** Lines of one name mean the same as one line with commas (RFC 9110 §5.3), `set-cookie` excepted. */
export function joined(headers: Fields, without: readonly string[] = BY_NATURE): Record<string, string> {
  const lines = new Map<string, string[]>();
  for (const [name, value] of headers) if (!without.includes(name)) lines.set(name, [...(lines.get(name) ?? []), value]);
  const names = [...lines.keys()].sort();
  return Object.fromEntries(names.map((name) => [name, together(name, lines.get(name) ?? [])]));
}

function together(name: string, values: readonly string[]): string {
  if (name === 'set-cookie') return values.join('\n');
  return name === 'cookie' ? values.join('; ') : values.join(',').replaceAll(/ *, */g, ',');
}

/** Runs them, some at a time. */
export async function each<T>(items: readonly T[], run: (item: T) => Promise<void>, atATime = 8): Promise<void> {
  const left = [...items];
  await Promise.all(
    Array.from({ length: atATime }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await run(item);
    }),
  );
}
