// The certificate of the control plane's own servers, replaced at half of its life, and when the roots change. No server serves an older one than
// it must.
import { isIP } from 'node:net';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import type { Clock, Logger, Timer } from '@heddle/runtime';
import type { Authority, ControlCertificate } from '../ca/index.ts';
import type { GrpcServer } from './grpc.ts';
import type { ServerIdentity } from './tls-door.ts';

/** A certificate that could not be renewed is tried again after this. */
const RENEWAL_RETRY_MS = 30_000;
/** Timers stand still while a machine sleeps, and its wall clock does not: what is due is looked at by the wall clock this often. */
const LOOK_EVERY_MS = 1_000;

export class ServerCertificates {
  readonly #authority: Authority;
  readonly #addresses: readonly (string | undefined)[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: Timer | undefined;
  #renewAtMs = 0;
  /** Of the one that was issued last, Unix time. */
  notAfterMs = 0;
  /** Of issued ones; an earlier one that comes later is not shown. */
  #count = 0;
  #closed = false;

  constructor(authority: Authority, addresses: readonly (string | undefined)[], clock: Clock, logger: Logger) {
    this.#authority = authority;
    this.#addresses = addresses;
    this.#clock = clock;
    this.#logger = logger;
  }

  async issue(): Promise<ServerIdentity> {
    const named = this.#addresses.filter(
      (address) => address !== undefined && address !== '0.0.0.0' && address !== '::' && isIP(address) !== 0,
    );
    const ips = new Set(['127.0.0.1', '::1', ...(named as string[])]);
    const issued: ControlCertificate = await this.#authority.issueControlCertificate({
      dns: ['localhost', CONTROL_SERVER_NAME],
      ips: [...ips],
    });
    this.#renewAtMs = issued.renewAtMs;
    this.notAfterMs = issued.notAfterMs;
    return { chainPem: issued.chainPem, keyPem: issued.key.keyPem, rootsPem: this.#authority.rootsPem };
  }

  renewFor(servers: readonly Pick<GrpcServer, 'setIdentity'>[]): void {
    void this.#plan(servers, this.#renewAtMs);
    // At once: clients that come with a certificate of a new root must be known, and those of an old one strangers.
    this.#authority.showFirst(() => {
      this.#timer?.cancel();
      return this.#plan(servers, 0);
    });
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Resolves as soon as the servers have what is due, or it could not be had. */
  async #plan(servers: readonly Pick<GrpcServer, 'setIdentity'>[], atMs: number): Promise<void> {
    if (this.#closed) return;
    const leftMs = atMs - this.#clock.wallMs();
    if (leftMs > 0) {
      this.#timer = this.#clock.after(Math.min(leftMs, LOOK_EVERY_MS), () => void this.#plan(servers, atMs));
      return;
    }
    let nextMs = this.#clock.wallMs() + RENEWAL_RETRY_MS;
    try {
      const count = ++this.#count;
      const identity = await this.issue();
      if (this.#closed || count !== this.#count) return;
      for (const server of servers) server.setIdentity(identity);
      nextMs = this.#renewAtMs;
    } catch (error) {
      this.#logger.error({ error: (error as Error).message }, 'the certificate of the control plane cannot be renewed; trying again');
    }
    this.#timer?.cancel();
    void this.#plan(servers, nextMs);
  }
}
