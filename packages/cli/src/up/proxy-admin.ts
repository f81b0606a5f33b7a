// The admin API of a proxy, from the supervisor's side: is it there, and which workloads shall it host.
import { request } from 'node:http';
import type { Locality, NamedPorts, OutboundPort, ServiceRef, SocketAddress } from '@heddle/core';

export interface WorkloadRequest {
  /** Absent when the proxy may still hold a certificate and no token can be had. */
  readonly joinToken?: string;
  readonly application: SocketAddress;
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
  readonly version: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly ports: NamedPorts;
  readonly locality?: Locality;
  readonly weight: number;
  /** Why its process is not there, in at most 300 characters; absent: it is, or is about to be. */
  readonly down?: string;
}

export interface WorkloadBinding {
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
  /** User part of HTTP_PROXY. */
  readonly proxyCredential: string;
}

/** A workload as the proxy sees it; more is told than is needed here. */
export interface HostedStatus {
  /** `<namespace>/<service>/<instance>` */
  readonly workload: string;
  /** `none` before it has joined. */
  readonly certificate: string;
  readonly registered: boolean;
  /** Why the last try to get a certificate failed: `refused`, `wrong-pin`, `unreachable` and others. */
  readonly joinError?: string;
  /** What keeps it from serving, as the rest of a sentence that begins with its name; empty when nothing does. */
  readonly problem: string;
}

/** How far an instance that leaves rotation is; more is told than is needed here. */
export interface LeaveStatus {
  /** `telling`: data planes are waited for. `finishing`: requests under way are. `left`: it may stop. */
  readonly phase: 'telling' | 'finishing' | 'left';
  /** Of the telling; `untold`: there was no control plane to do it. */
  readonly outcome: 'waiting' | 'complete' | 'timed-out' | 'returned' | 'untold';
  readonly dataPlanes: number;
  readonly acknowledged: number;
  readonly stragglers: readonly string[];
  readonly activeRequests: number;
}

/** The proxy refused; `status` 409: a port is taken. */
export class ProxyAdminError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const TIMEOUT_MS = 5_000;
/** The largest answer (a config dump) is not asked for here. */
const ANSWER_BYTES_MAX = 1_048_576;

export class ProxyAdmin {
  readonly #port: number;
  readonly #token: () => string | undefined;

  /** @param token read at every call: the proxy makes its file when it first starts. */
  constructor(port: number, token: () => string | undefined) {
    this.#port = port;
    this.#token = token;
  }

  async alive(): Promise<boolean> {
    try {
      return (await this.#call('GET', '/healthz')).status === 200;
    } catch {
      return false;
    }
  }

  /** What keeps the proxy from serving, in words; empty when it is ready. Throws when it does not answer. */
  async missing(): Promise<string[]> {
    const { body } = await this.#call('GET', '/ready');
    return (body as { missing?: string[] }).missing ?? [];
  }

  /** Prometheus text. */
  async metrics(): Promise<string> {
    return String((await this.#call('GET', '/metrics')).body);
  }

  /** Undefined when it hosts no such workload. Throws when it does not answer. */
  async workload(name: string): Promise<HostedStatus | undefined> {
    const { body } = await this.#call('GET', '/workloads');
    return (body as { workloads?: readonly HostedStatus[] }).workloads?.find(({ workload }) => workload === name);
  }

  /** Whether calls from peers may still come: not when it drains and every connection of theirs has ended. Throws when it does not answer. */
  async takesCalls(): Promise<boolean> {
    const { status, body } = await this.#call('GET', '/status');
    if (status !== 200) throw new ProxyAdminError(status, `the proxy answered ${status}`);
    const { draining, listeners } = body as { draining: boolean; listeners: readonly { name?: string; openConnections: number }[] };
    return !draining || listeners.some(({ name, openConnections }) => name?.startsWith('inbound/') === true && openConnections > 0);
  }

  /** Throws ProxyAdminError when the proxy refuses, else the network's error. */
  async put(service: ServiceRef, instance: string, workload: WorkloadRequest): Promise<WorkloadBinding> {
    // The admin API names a service flatly, the model as a pair.
    const outbounds = workload.outbounds.map((outbound) => ({
      namespace: outbound.service.namespace,
      service: outbound.service.name,
      listen: outbound.listen,
    }));
    const { status, body } = await this.#call('PUT', `/workloads/${service.namespace}/${service.name}/${instance}`, {
      ...workload,
      outbounds,
    });
    if (status === 200) {
      const bound = body as WorkloadBinding;
      // In the order in which they were asked for.
      const listens = workload.outbounds.map(({ service: used, listen }, index) => ({
        service: used,
        listen: bound.outbounds[index]?.listen ?? listen,
      }));
      return { inbound: bound.inbound, outbounds: listens, proxyCredential: bound.proxyCredential };
    }
    throw new ProxyAdminError(status, (body as { error?: string }).error ?? `the proxy answered ${status}`);
  }

  /** Takes it out of rotation; again: the same. Answered when that is done, at the latest after `waitMs`. Throws as `put`. */
  async leave(
    service: ServiceRef,
    instance: string,
    wish: { readonly tellMs: number; readonly finishMs: number; readonly waitMs: number },
  ): Promise<LeaveStatus> {
    const path = `/workloads/${service.namespace}/${service.name}/${instance}/drain`;
    const { status, body } = await this.#call('POST', path, { tellMs: wish.tellMs, finishMs: wish.finishMs, waitMs: wish.waitMs });
    if (status === 200) return body as LeaveStatus;
    throw new ProxyAdminError(status, (body as { error?: string }).error ?? `the proxy answered ${status}`);
  }

  /** Back into rotation, once a check has passed. Throws as `put`. */
  async return(service: ServiceRef, instance: string): Promise<void> {
    const { status, body } = await this.#call('DELETE', `/workloads/${service.namespace}/${service.name}/${instance}/drain`);
    if (status !== 200) throw new ProxyAdminError(status, (body as { error?: string }).error ?? `the proxy answered ${status}`);
  }

  #call(method: string, path: string, body?: object): Promise<{ status: number; body: unknown }> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const token = this.#token();
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    };
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      // A connection of its own for each call: the proxy may be another one by the next.
      const call = request({ host: '127.0.0.1', port: this.#port, method, path, headers, agent: false, signal }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
          if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error('the answer is too long'));
        });
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: readBody(response.headers['content-type'], text) }));
      });
      call.on('error', (error) => reject(signal.aborted ? new Error(`no answer within ${TIMEOUT_MS / 1000} s`) : error));
      call.end(payload);
    });
  }
}

function readBody(type: string | undefined, text: string): unknown {
  if (type?.startsWith('application/json') !== true) return text;
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
