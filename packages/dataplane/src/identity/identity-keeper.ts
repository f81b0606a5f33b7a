// Keeps one workload certified: joins with a token, renews over mutual TLS, also late, and tells others of every new certificate. What
// to do when is decided in `renewal.ts`; here are the timer, the calls, the log and the metrics.
import { formatSpiffeId, IDENTITY_METRICS, type JoinToken, parseJoinToken } from '@heddle/core';
import type { Clock, Gauge, GrpcClient, Logger, Metrics, Random, Timer } from '@heddle/runtime';
import { generateKeyPair, type KeyPair } from '@heddle/runtime/node';
import type { IdentityStore, WorkloadName } from './identity-store.ts';
import { join } from './join.ts';
import {
  afterFailure,
  afterIssued,
  afterRoots,
  afterToken,
  type CertificateHealth,
  certificateHealth,
  nextAction,
  NOTHING_HELD,
  type RenewalKind,
  type RenewalState,
} from './renewal.ts';
import { isOfRoots } from './root-order.ts';
import { type ControlAddress, type HeldIdentity, JoinError, type JoinErrorCode, requestCertificate } from './sign-call.ts';

export interface IdentityKeeperOptions {
  readonly workload: WorkloadName;
  readonly control: ControlAddress;
  readonly grpc: GrpcClient;
  readonly store: IdentityStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Each new certificate, the one found in the store included. */
  readonly onIdentity: (held: HeldIdentity) => void;
  /**
   * The roots that the mesh trusts now, PEM, the one that certificates come from first; undefined: not known. A certificate of another root, or that
   * came with others, is renewed soon after. Default: the schedule of certificates' lives alone.
   */
  readonly trusted?: () => string | undefined;
  /** For one connection with its answer; doubled from the second failure in a row on, up to 10 s. Default 3 s. */
  readonly timeoutMs?: number;
}

export interface IdentityStatus {
  readonly health: CertificateHealth;
  /** Why the last try failed; empty when it did not, or when none was made. */
  readonly reason: string;
  readonly notAfterMs: number | undefined;
  /** Of the last try; undefined when it succeeded, failed otherwise, or when none was made. */
  readonly error: JoinErrorCode | undefined;
}

/** With the longest pause before the next try below 5 s: so long after its return a control plane has signed. */
const TIMEOUT_MS = 3_000;
/** A control plane that everybody asks at once is given more time, try by try. */
const TIMEOUT_MAX_MS = 10_000;
/** Timers stand still while a machine sleeps, and its wall clock does not: the plan is looked at by the wall clock this often. */
const LOOK_EVERY_MS = 1_000;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #logger: Logger;
  readonly #expiry: Gauge;
  readonly #overdue: Gauge;
  readonly #left: Gauge;
  readonly #stop = new AbortController();
  #state: RenewalState = NOTHING_HELD;
  #held: HeldIdentity | undefined;
  #token: { readonly token: JoinToken; readonly text: string } | undefined;
  /** Of the request under way or to be repeated. */
  #key: KeyPair | undefined;
  /** What was compared last. */
  #compared: { readonly held: HeldIdentity; readonly roots: string } | undefined;
  #reason = '';
  #error: JoinErrorCode | undefined;
  #told: CertificateHealth = 'none';
  #started = false;
  #busy = false;
  #timer: Timer | undefined;

  constructor(options: IdentityKeeperOptions) {
    const { workload, metrics, logger } = options;
    this.#options = options;
    const name = `${workload.namespace}/${workload.service}/${workload.instance}`;
    this.#logger = logger.child({ workload: name });
    this.#expiry = metrics.gauge(IDENTITY_METRICS.expiry, { workload: name });
    this.#left = metrics.gauge(IDENTITY_METRICS.left, { workload: name });
    this.#overdue = metrics.gauge(IDENTITY_METRICS.overdue, { workload: name });
  }

  get held(): HeldIdentity | undefined {
    return this.#held;
  }

  get status(): IdentityStatus {
    return {
      health: certificateHealth(this.#state, this.#options.clock.wallMs()),
      reason: this.#reason,
      notAfterMs: this.#held?.notAfterMs,
      error: this.#error,
    };
  }

  /** Takes up what the store holds and begins; never rejects. Call once. */
  async start(): Promise<void> {
    const { store, workload, clock } = this.#options;
    const kept = await store.load(workload, clock.wallMs());
    if (this.#stop.signal.aborted) return;
    if (kept !== undefined && clock.wallMs() < kept.notAfterMs) this.#take(kept);
    // With an ended one nobody can be called, but it may still be renewed.
    else if (kept !== undefined) this.#hold(kept);
    this.#started = true;
    this.#look();
  }

  /**
   * A join token for this workload; used at once where no valid certificate is held, else kept for the day when there is none.
   * Returns why it cannot be used, or undefined. Before `start` it is only taken note of: the store may hold a certificate.
   */
  offerToken(text: string): string | undefined {
    const { workload, clock } = this.#options;
    const parsed = parseJoinToken(text);
    if (!parsed.ok) return parsed.reason;
    const { namespace, service } = parsed.token;
    if (namespace !== workload.namespace || service !== workload.service) {
      return `The join token is for ${namespace}/${service}, but the workload is of ${workload.namespace}/${workload.service}. Make one with \`heddle token create --service ${workload.service}\`.`;
    }
    if (this.#token?.text === text.trim()) return undefined; // Refused before: it would be refused again.
    this.#token = { token: parsed.token, text: text.trim() };
    this.#state = afterToken(this.#state, clock.wallMs());
    this.#look();
    return undefined;
  }

  /** Stops for good. A request under way is given up. */
  close(): void {
    this.#stop.abort();
    this.#timer?.cancel();
    this.#overdue.set(0);
    this.#expiry.set(0);
    this.#left.set(0);
  }

  #look(): void {
    if (!this.#started || this.#busy || this.#stop.signal.aborted) return;
    this.#timer?.cancel();
    const { clock } = this.#options;
    const nowMs = clock.wallMs();
    this.#tellHealth(nowMs);
    this.#compareRoots(nowMs);
    const action = nextAction(this.#state, nowMs);
    if (action.kind === 'wait') {
      if (action.untilMs === undefined) return;
      this.#timer = clock.after(Math.min(Math.max(action.untilMs - nowMs, 1), LOOK_EVERY_MS), () => this.#look());
      return;
    }
    this.#busy = true;
    void this.#request(action.kind).finally(() => {
      this.#busy = false;
      this.#look();
    });
  }

  /** Cheap while nothing changes: it is asked about all the time. */
  #compareRoots(nowMs: number): void {
    const roots = this.#options.trusted?.();
    const held = this.#held;
    if (roots === undefined || held === undefined) return;
    if (this.#compared?.held === held && this.#compared.roots === roots) return;
    this.#compared = { held, roots };
    const before = this.#state;
    this.#state = afterRoots(before, roots, isOfRoots(held, roots), nowMs, () => this.#options.random.next());
    const { rootsDueMs } = this.#state;
    if (rootsDueMs !== undefined && this.#state !== before)
      this.#logger.info(
        { inSeconds: Math.ceil((rootsDueMs - nowMs) / 1_000) },
        'the roots of the mesh have changed; renewing the certificate',
      );
  }

  async #request(kind: RenewalKind): Promise<void> {
    const { clock, random, store, workload } = this.#options;
    this.#key ??= generateKeyPair();
    const token = this.#token;
    try {
      const held = kind === 'join' ? await this.#join(this.#key) : await this.#renew(this.#key, kind === 'renew-late');
      if (this.#stop.signal.aborted) return;
      if (kind === 'renew-late') this.#logger.info({}, 'the certificate had ended and has been renewed');
      this.#key = undefined;
      this.#take(held);
      await store.save(workload, held).catch((error: Error) => {
        this.#logger.warn({ error: error.message }, 'the certificate is in use but could not be written to the state directory');
      });
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      // Another token may have been offered meanwhile; it is not the one that was refused.
      const tokenRefused = kind === 'join' && token === this.#token && error instanceof JoinError && error.tokenRefused;
      this.#reason = (error as Error).message;
      this.#error = error instanceof JoinError ? error.code : undefined;
      const endedRefused = kind === 'renew-late' && this.#error === 'refused';
      const refused = tokenRefused ? 'token' : endedRefused ? 'ended-certificate' : undefined;
      this.#state = afterFailure(this.#state, refused, clock.wallMs(), () => random.next());
      const mend = tokenRefused ? 'the workload cannot join with this token' : 'no certificate this time, trying again';
      this.#logger.warn({ kind, reason: this.#reason, failures: this.#state.failures }, mend);
    }
  }

  #join(key: KeyPair): Promise<HeldIdentity> {
    const { grpc, control, clock } = this.#options;
    if (this.#token === undefined) throw new JoinError('bad-token', 'There is no join token.');
    return join({
      grpc,
      control,
      token: this.#token.token,
      tokenText: this.#token.text,
      key,
      clock,
      timeoutMs: this.#timeoutMs(),
      signal: this.#stop.signal,
    });
  }

  #renew(key: KeyPair, isLate: boolean): Promise<HeldIdentity> {
    const { grpc, control, clock } = this.#options;
    if (this.#held === undefined) throw new Error('renewal without a certificate');
    const { rootsPem, id } = this.#held;
    return requestCertificate({
      grpc,
      control,
      rootsPem,
      ...(isLate ? { ended: this.#held } : { present: this.#held }),
      key,
      expected: id,
      clock,
      timeoutMs: this.#timeoutMs(),
      signal: this.#stop.signal,
    });
  }

  #timeoutMs(): number {
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    return Math.min(Math.max(timeoutMs, TIMEOUT_MAX_MS), timeoutMs * 2 ** Math.max(0, this.#state.failures - 1));
  }

  #hold(held: HeldIdentity): void {
    this.#held = held;
    this.#reason = '';
    this.#error = undefined;
    this.#state = afterIssued(this.#state, held, () => this.#options.random.next());
    this.#expiry.set(Math.floor(held.notAfterMs / 1000));
  }

  #take(held: HeldIdentity): void {
    this.#hold(held);
    this.#logger.info({ id: formatSpiffeId(held.id), endsAt: new Date(held.notAfterMs).toISOString() }, 'certificate in use');
    this.#options.onIdentity(held);
  }

  #tellHealth(nowMs: number): void {
    const health = certificateHealth(this.#state, nowMs);
    this.#left.set(this.#held === undefined ? 0 : Math.round((this.#held.notAfterMs - nowMs) / 1_000));
    this.#overdue.set(health === 'overdue' || health === 'expired' ? 1 : 0);
    if (health === this.#told) return;
    this.#told = health;
    const fields = { endsAt: new Date(this.#held?.notAfterMs ?? 0).toISOString(), reason: this.#reason };
    if (health === 'overdue')
      this.#logger.error(fields, 'ALARM: the certificate should have been renewed by now; see that the control plane can be reached');
    if (health === 'expired')
      this.#logger.error(
        fields,
        'ALARM: the certificate has ended; it is renewed when the control plane can be reached and still accepts it, otherwise give the workload a new token (heddle token create)',
      );
  }
}
