// HDS: an Envoy that has attached an instance is told how to check its application, and its reports are the instance's health. So a dead
// application behind an Envoy gets no traffic, like behind any other data plane.
import { status } from '@grpc/grpc-js';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { hds } from '@heddle/api';
import { serviceKey } from '@heddle/core';
import type { HealthCheckPolicy } from '@heddle/core';
import type { Logger } from '@heddle/runtime';
import { localName } from '../compiler/names.ts';
import type { HealthReport } from '../registry/records.ts';
import type { Registry } from '../registry/registry.ts';
import type { RegistryChange } from '../registry/view.ts';
import { callerOf } from '../server/access.ts';
import type { Caller } from '../server/caller.ts';
import { PacedWriter } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { CallError, statusOf } from '../server/status.ts';
import type { AttachedInstance, AttachedInstances } from './attached-instances.ts';

export interface AttachedHealthOptions {
  readonly registry: Pick<Registry, 'service' | 'onChange'>;
  readonly attached: AttachedInstances;
  readonly streams: OpenStreams;
  readonly logger: Logger;
}

type Call = ServerDuplexStream<hds.HealthRequest, hds.HealthCheckSpecifier>;

/** One for each data plane. */
const STREAMS_MAX = 5_000;
/** Nothing to check: what is asked for may be there later. */
const IDLE_INTERVAL_MS = 1_000;

export function addHealthDiscoveryService(server: Server, options: AttachedHealthOptions): void {
  let open = 0;
  server.addService(hds.HealthDiscoveryService, {
    streamHealthCheck: (call: Call) => {
      if (open >= STREAMS_MAX) {
        call.emit('error', {
          code: status.RESOURCE_EXHAUSTED,
          details: `${STREAMS_MAX} data planes report, the limit of one control plane`,
        });
        return;
      }
      open += 1;
      void new HealthStream(call, options).run().finally(() => {
        open -= 1;
      });
    },
  });
}

class HealthStream {
  readonly #call: Call;
  readonly #options: AttachedHealthOptions;
  readonly #caller: Caller;
  readonly #writer: PacedWriter<hds.HealthCheckSpecifier>;
  #node = '';
  #sent = '';

  constructor(call: Call, options: AttachedHealthOptions) {
    this.#call = call;
    this.#options = options;
    this.#caller = callerOf(call.metadata);
    this.#writer = new PacedWriter(call as unknown as ServerDuplexStream<never, hds.HealthCheckSpecifier>, () => this.#next());
  }

  /** Never rejects. */
  async run(): Promise<void> {
    const { streams, registry, logger } = this.#options;
    streams.add(this.#call, this.#writer);
    const following = registry.onChange((change) => {
      if (this.#isConcerned(change)) this.#writer.poke();
    });
    try {
      for await (const message of this.#call.iterator({ destroyOnReturn: false }) as AsyncIterable<hds.HealthRequest>) {
        if (this.#writer.ended) return;
        this.#receive(message);
      }
      this.#writer.end();
    } catch (error) {
      if (this.#call.cancelled || this.#writer.ended) return;
      const ended = statusOf(error, logger);
      logger.warn({ node: this.#node, reason: ended.details }, 'stream of health reports ended by the control plane');
      this.#writer.fail(ended);
    } finally {
      following.close();
    }
  }

  #receive(message: hds.HealthRequest): void {
    const attached = this.#attached();
    const report = hds.readHealthReport(message, attached === undefined ? '' : localName(attached.registration));
    if (report.kind === 'hello') {
      this.#node = report.node?.id ?? '';
      if (this.#node === '')
        throw new CallError(status.INVALID_ARGUMENT, 'the first message must say in `node.id` which data plane reports');
      this.#writer.poke();
      return;
    }
    if (this.#node === '') throw new CallError(status.INVALID_ARGUMENT, 'the first message must be a health_check_request');
    const policy = this.#policy(attached);
    if (report.result !== undefined && policy !== undefined) attached?.checked(verdict(report.result, policy));
    this.#writer.poke();
  }

  #isConcerned({ services, nodes }: RegistryChange): boolean {
    const attached = this.#attached();
    return nodes.has(this.#node) || (attached !== undefined && services.has(serviceKey(attached.registration.service)));
  }

  #attached(): AttachedInstance | undefined {
    return this.#options.attached.of(this.#node, this.#caller);
  }

  #policy(attached: AttachedInstance | undefined): HealthCheckPolicy | undefined {
    return attached && this.#options.registry.service(serviceKey(attached.registration.service))?.service.health;
  }

  /** What it is to check, when that is not what it was told last. */
  #next(): hds.HealthCheckSpecifier | undefined {
    if (this.#node === '') return undefined;
    const attached = this.#attached();
    const policy = this.#policy(attached);
    const check =
      attached === undefined || policy === undefined
        ? undefined
        : { name: localName(attached.registration), policy, application: attached.registration.application };
    const key = JSON.stringify(check ?? null);
    if (key === this.#sent) return undefined;
    this.#sent = key;
    return hds.checkSpecifier(check, policy?.intervalMs ?? IDLE_INTERVAL_MS);
  }
}

function verdict(result: hds.CheckResult, { kind, path, timeoutMs }: HealthCheckPolicy): HealthReport {
  const asked = kind === 'http' ? `GET ${path ?? '/'}` : 'a connection';
  if (result === 'passing') return { health: 'healthy', reason: 'checks pass' };
  return {
    health: 'unhealthy',
    reason:
      result === 'unanswered' ? `checks fail: no answer to ${asked} within ${timeoutMs} ms` : `checks fail: ${asked} does not succeed`,
  };
}
