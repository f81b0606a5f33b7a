// The one xDS stream of a data plane: delta ADS over mutual TLS, made anew with back-off whenever it breaks. What was applied
// stays in use meanwhile; on reconnect only differences come.
import { Metadata, type ClientDuplexStream } from '@grpc/grpc-js';
import {
  AdsClient,
  type ClientKindStatus,
  controlChannelOptions,
  controlTarget,
  DeltaAdsClient,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
} from '@heddle/api';
import { backoffMs, RECONNECT_BACKOFF } from '@heddle/core';
import type { Clock, Gauge, Logger, Metrics, Random, Timer } from '@heddle/runtime';
import type { ResourceUpdate, WantedResources } from '../data-plane.ts';
import type { ControlAddress, HeldIdentity } from '../identity/index.ts';
import { controlCredentials } from './hosted-workload.ts';

export interface AdsConnectionOptions {
  readonly node: string;
  readonly nodeMetadata: Readonly<Record<string, unknown>>;
  readonly control: ControlAddress;
  /** Resolves to the reason when the update cannot be applied. */
  readonly apply: (update: ResourceUpdate) => Promise<string | undefined>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface AdsStatus {
  readonly connected: boolean;
  /** Whether listeners and clusters have been received since the start of the process. */
  readonly everSynced: boolean;
  /** Why there is no connection; empty when there is one. */
  readonly reason: string;
  readonly kinds: readonly ClientKindStatus[];
}

type Stream = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

export class AdsConnection {
  readonly #options: AdsConnectionOptions;
  readonly #machine: DeltaAdsClient;
  readonly #connectedGauge: Gauge;
  #client: AdsClient | undefined;
  #stream: Stream | undefined;
  #timer: Timer | undefined;
  #attempt = 0;
  #reason = 'no certificate yet';

  constructor(options: AdsConnectionOptions) {
    this.#options = options;
    const { metrics, node, nodeMetadata } = options;
    this.#connectedGauge = metrics.gauge('heddle_control_connected', '1 while the xDS stream to the control plane is up.');
    const refused = metrics.counter(
      'heddle_xds_rejections_total',
      'Configuration updates that could not be applied; the last good one stayed.',
    );
    this.#machine = new DeltaAdsClient({
      node: { id: node, metadata: nodeMetadata },
      send: (request) => this.#stream?.write(request),
      apply: async (update) => {
        const reason = await options.apply(update);
        if (reason !== undefined) refused.add(1);
        return reason;
      },
    });
  }

  /** Connects, or connects anew with another certificate; the old stream is left when the new one begins. */
  use(held: HeldIdentity): void {
    const { address, port } = this.#options.control;
    this.#leave();
    this.#client?.close();
    this.#client = new AdsClient(controlTarget(address, port), controlCredentials(held), controlChannelOptions());
    this.#connect();
  }

  subscribe(wanted: WantedResources): void {
    this.#machine.subscribe('secret', wanted.secrets);
    this.#machine.subscribe('endpoints', wanted.endpoints);
    this.#machine.subscribe('route', wanted.routes);
  }

  status(): AdsStatus {
    const kinds = this.#machine.status();
    const synced = kinds.filter(({ kind }) => kind === 'listener' || kind === 'cluster').every(({ appliedMs }) => appliedMs > 0);
    return { connected: this.#stream !== undefined && this.#reason === '', everSynced: synced, reason: this.#reason, kinds };
  }

  close(): void {
    this.#leave();
    this.#client?.close();
    this.#client = undefined;
  }

  #connect(): void {
    if (this.#client === undefined) return;
    const stream = this.#client.delta(new Metadata());
    this.#stream = stream;
    this.#reason = 'connecting';
    // The control plane sends its headers at once, also when a reconnecting data plane needs nothing.
    stream.on('metadata', () => this.#established(stream));
    stream.on('data', (response: DeltaDiscoveryResponse) => this.#received(stream, response));
    stream.on('error', (error: Error) => this.#broken(stream, error.message));
    stream.on('end', () => this.#broken(stream, 'the control plane ended the stream'));
    this.#machine.connected();
  }

  #established(stream: Stream): void {
    if (this.#stream !== stream) return;
    this.#reason = '';
    this.#attempt = 0;
    this.#connectedGauge.set(1);
    this.#options.logger.info({}, 'configuration stream is up');
  }

  #received(stream: Stream, response: DeltaDiscoveryResponse): void {
    if (this.#stream !== stream) return;
    try {
      this.#machine.receive(response, this.#options.clock.wallMs());
    } catch (error) {
      this.#broken(stream, (error as Error).message);
    }
  }

  #broken(stream: Stream, reason: string): void {
    if (this.#stream !== stream) return;
    const { clock, random, logger } = this.#options;
    this.#leave();
    this.#reason = reason;
    const delayMs = backoffMs(RECONNECT_BACKOFF, this.#attempt, () => random.next());
    // One line for each outage, not one for each try.
    logger[this.#attempt === 0 ? 'warn' : 'debug'](
      { reason, delayMs: Math.round(delayMs) },
      'configuration stream broke; what was applied stays in use',
    );
    this.#attempt += 1;
    this.#timer = clock.after(delayMs, () => this.#connect());
  }

  #leave(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#connectedGauge.set(0);
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    this.#machine.disconnected();
    stream.removeAllListeners('data');
    stream.on('error', () => {});
    stream.cancel();
  }
}
