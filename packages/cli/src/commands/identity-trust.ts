// Follows the roots of the mesh for `heddle identity watch`, which hears nothing by xDS: one stream with the certificate that is held, opened anew with
// each new one, and when it broke. Without it certificates are renewed by their schedule, so that nothing here is worth more than a line in the log.
import { identity } from '@heddle/api';
import { backoffMs, type Backoff } from '@heddle/core';
import { type HeldIdentity, openControlStream, workloadChannel } from '@heddle/dataplane/identity';
import type { Clock, GrpcClient, Logger, Random, Timer } from '@heddle/runtime';
import type { HostPort } from '../options.ts';

/** A control plane that is away, or older than this, is asked again at the longest after a minute. */
const BACKOFF: Backoff = { baseMs: 500, maxMs: 60_000 };

export interface TrustWatchOptions {
  readonly control: HostPort;
  readonly grpc: GrpcClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export class TrustWatch {
  readonly #options: TrustWatchOptions;
  #roots: string | undefined;
  #held: HeldIdentity | undefined;
  #end: () => void = () => {};
  #retry: Timer | undefined;
  #failures = 0;
  #isClosed = false;

  constructor(options: TrustWatchOptions) {
    this.#options = options;
  }

  /** PEM, the one that certificates come from first; undefined: not told yet. */
  get roots(): string | undefined {
    return this.#roots;
  }

  /** With this certificate from now on. */
  use(held: HeldIdentity): void {
    if (this.#isClosed) return;
    this.#held = held;
    this.#failures = 0;
    this.#open();
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#end();
  }

  #open(): void {
    const { control, grpc, logger } = this.#options;
    const held = this.#held;
    this.#retry?.cancel();
    this.#end();
    if (held === undefined || this.#isClosed) return;
    const channel = workloadChannel(grpc, { address: control.host, port: control.port }, held);
    const stream = openControlStream(channel, identity.IdentityService.watchTrust, {
      onMessage: (trust) => {
        this.#failures = 0;
        this.#roots = trust.rootsPem;
      },
      onEnd: (error) => {
        channel.close();
        logger.debug(
          { reason: error?.message ?? 'the control plane has ended the stream' },
          'the roots of the mesh are not followed for the moment',
        );
        this.#openLater();
      },
    });
    stream.write({});
    stream.end();
    this.#end = () => {
      stream.cancel();
      channel.close();
    };
  }

  #openLater(): void {
    const { clock, random } = this.#options;
    // Half of the wait is fixed, so that a stream that always ends at once is no busy loop.
    const waitMs = backoffMs(BACKOFF, this.#failures, () => 0.5 + random.next() / 2);
    this.#failures += 1;
    this.#retry = clock.after(waitMs, () => this.#open());
  }
}
