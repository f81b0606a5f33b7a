// One workload that this data plane hosts: its sockets, its certificate, its registration. Sockets come first, so that the
// ports are known; then the certificate; with it the instance is registered, and its listeners arrive by xDS.
import type { Instance, OutboundPort, SocketAddress } from '@heddle/core';
import type { Clock, GrpcClient, Logger, Metrics, Random } from '@heddle/runtime';
import type { DataPlane } from '../data-plane.ts';
import {
  type ControlAddress,
  type HeldIdentity,
  IdentityKeeper,
  type IdentityStore,
  type JoinErrorCode,
  workloadChannel,
} from '../identity/index.ts';
import type { Verdict } from './health-monitor.ts';
import { Leave, type LeaveStatus } from './leave.ts';
import { Registration } from './registration.ts';
import { wantedSockets, type WorkloadSpec, WorkloadSpecError, workloadName } from './workload-spec.ts';

export interface HostingDeps {
  readonly node: string;
  readonly control: ControlAddress;
  readonly grpc: GrpcClient;
  readonly dataPlane: DataPlane;
  readonly identityStore: IdentityStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The workload's credential for the shared outbound HTTP proxy: the same after a restart of this process, so that applications can keep it. */
  readonly credentialOf: (workload: string) => string;
  /** The roots that the mesh trusts now, PEM; undefined: not known yet. Default: never known. */
  readonly trusted?: () => string | undefined;
}

/** What the workload's environment is made of: the real ports, and the credential for the shared outbound HTTP proxy. */
export interface WorkloadBinding {
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
  readonly proxyCredential: string;
}

export interface WorkloadStatus {
  readonly workload: string;
  readonly inbound: SocketAddress;
  readonly outbounds: readonly OutboundPort[];
  readonly certificate: string;
  readonly certificateNotAfterMs: number | undefined;
  /** Why the last try to get a certificate failed, as a code of `JoinError`; absent when it did not. */
  readonly joinError?: JoinErrorCode;
  readonly registered: boolean;
  readonly health: Verdict['state'];
  readonly healthReason: string;
  /** On its way out of rotation, or out of it; absent when it is in rotation. */
  readonly leave?: LeaveStatus;
  /** What keeps the workload from serving; empty when nothing does. */
  readonly problem: string;
}

export class HostedWorkload {
  readonly name: string;
  readonly spec: WorkloadSpec;
  readonly binding: WorkloadBinding;
  readonly #deps: HostingDeps;
  readonly #keeper: IdentityKeeper;
  readonly #registration: Registration;
  readonly #onIdentity: (held: HeldIdentity) => void;
  #verdict: Verdict = { state: 'starting', reason: 'no check has ended yet' };
  #hasToken = false;
  #isVerdictHanded = false;
  /** Its process is not there. */
  #isDown = false;
  #leave: Leave | undefined;

  /** Binds the sockets. Throws NetworkError, or WorkloadSpecError for a bad token, and then keeps nothing. */
  static async open(
    spec: WorkloadSpec,
    deps: HostingDeps,
    onIdentity: (held: HeldIdentity) => void,
    known?: Verdict,
  ): Promise<HostedWorkload> {
    const bound: SocketAddress[] = [];
    const reserve = async (bind: SocketAddress): Promise<SocketAddress> => {
      const real = await deps.dataPlane.reserve(bind);
      bound.push(real);
      return real;
    };
    try {
      const inbound = await reserve(spec.inbound);
      const outbounds: OutboundPort[] = [];
      for (const outbound of spec.outbounds) outbounds.push({ service: outbound.service, listen: await reserve(outbound.listen) });
      const proxyCredential = deps.credentialOf(workloadName(spec.service, spec.instance));
      const workload = new HostedWorkload(spec, { inbound, outbounds, proxyCredential }, deps, onIdentity);
      if (known !== undefined) workload.#takeVerdict(known);
      workload.setDown(spec.down);
      workload.#begin();
      return workload;
    } catch (error) {
      await Promise.all(bound.map((bind) => deps.dataPlane.release(bind)));
      throw error;
    }
  }

  private constructor(spec: WorkloadSpec, binding: WorkloadBinding, deps: HostingDeps, onIdentity: (held: HeldIdentity) => void) {
    this.spec = spec;
    this.binding = binding;
    this.name = workloadName(spec.service, spec.instance);
    this.#deps = deps;
    this.#onIdentity = onIdentity;
    const { clock, random, metrics } = deps;
    const logger = deps.logger.child({ workload: this.name });
    this.#registration = new Registration({ instance: asInstance(spec, binding, deps.node), clock, random, logger, metrics });
    this.#keeper = new IdentityKeeper({
      workload: { namespace: spec.service.namespace, service: spec.service.name, instance: spec.instance },
      control: deps.control,
      grpc: deps.grpc,
      store: deps.identityStore,
      clock,
      random,
      logger: deps.logger,
      metrics,
      onIdentity: (held) => this.#certified(held),
      ...(deps.trusted === undefined ? {} : { trusted: deps.trusted }),
    });
  }

  /** Throws WorkloadSpecError when the token is not one of this workload. */
  offerToken(token: string): void {
    const refusal = this.#keeper.offerToken(token);
    if (refusal !== undefined) throw new WorkloadSpecError(`joinToken cannot be used: ${refusal}`);
    this.#hasToken = true;
  }

  /** What proves who the workload is; undefined before it has joined. */
  get identity(): HeldIdentity | undefined {
    return this.#keeper.held;
  }

  /** Its bound sockets. */
  get sockets(): SocketAddress[] {
    return wantedSockets(this.binding);
  }

  /**
   * Why its process is not there; undefined: it is, or is about to be. What was said of it last holds then until a check has ended. True: checks
   * are to begin anew, as what they have found was of another process.
   */
  setDown(reason: string | undefined): boolean {
    const wasDown = this.#isDown;
    this.#isDown = reason !== undefined;
    if (reason !== undefined) {
      this.#verdict = { state: 'unhealthy', reason };
      this.#registration.report(this.#verdict);
    } else if (wasDown) this.#isVerdictHanded = true;
    return wasDown && reason === undefined;
  }

  report(verdict: Verdict): void {
    if (this.#isDown) return;
    // That a check begins here says nothing against what is known.
    if (this.#isVerdictHanded && verdict.state === 'starting') return;
    this.#isVerdictHanded = false;
    this.#verdict = verdict;
    this.#registration.report(verdict);
  }

  /** Callers stop choosing the instance, which still answers; then requests under way may end. Again: goes on as it is. */
  leave(tellMs: number, finishMs: number, activeRequests: () => Promise<number>): Leave {
    const { clock, logger } = this.#deps;
    const registration = this.#registration;
    this.#leave ??= new Leave({
      ...{ registration, tellMs, finishMs, activeRequests, clock },
      logger: logger.child({ workload: this.name }),
    });
    return this.#leave;
  }

  /** Back into rotation as soon as a check has passed. */
  return(): void {
    this.#leave?.cancel();
    this.#leave = undefined;
    this.#isVerdictHanded = false;
    if (!this.#isDown) this.#verdict = { state: 'starting', reason: 'no check has ended yet' };
    this.#registration.undrain(this.#verdict);
  }

  /** The control plane answers. */
  hurry(): void {
    this.#registration.hurry();
  }

  expectSuccessor(isExpected: boolean): void {
    this.#registration.expectSuccessor(isExpected);
  }

  /** Another process has the workload now; this one only lets its connections end. */
  handOver(): void {
    this.#keeper.close();
    this.#registration.leave();
  }

  status(): WorkloadStatus {
    const { health, reason, notAfterMs, error } = this.#keeper.status;
    return {
      workload: this.name,
      inbound: this.binding.inbound,
      outbounds: this.binding.outbounds,
      certificate: health,
      certificateNotAfterMs: notAfterMs,
      ...(error === undefined ? {} : { joinError: error }),
      registered: this.#registration.state.registered,
      health: this.#verdict.state,
      healthReason: this.#verdict.reason,
      ...(this.#leave === undefined ? {} : { leave: this.#leave.status() }),
      problem: this.#problem(health, reason),
    };
  }

  /** The registry forgets it; it goes on answering, and calling with its identity. For good. Never rejects. */
  deregister(): Promise<void> {
    return this.#registration.stop();
  }

  /** Deregisters, then gives up certificate and ports. Never rejects. */
  async close(): Promise<void> {
    const { dataPlane } = this.#deps;
    this.#keeper.close();
    await this.#registration.stop();
    dataPlane.removeCredential(this.binding.proxyCredential);
    dataPlane.removeIdentity(this.name);
    await Promise.all(this.sockets.map((bind) => dataPlane.release(bind)));
  }

  #takeVerdict(known: Verdict): void {
    this.report(known);
    this.#isVerdictHanded = true;
  }

  #begin(): void {
    const { joinToken } = this.spec;
    if (joinToken !== undefined) this.offerToken(joinToken);
    this.#deps.dataPlane.setCredential(this.binding.proxyCredential, this.name);
    void this.#keeper.start();
  }

  #certified(held: HeldIdentity): void {
    const { locality } = this.spec;
    const { grpc, control, dataPlane } = this.#deps;
    dataPlane.setIdentity(this.name, { ...held, ...(locality && { locality }) });
    this.#registration.use(() => workloadChannel(grpc, control, held));
    this.#onIdentity(held);
  }

  #problem(health: string, reason: string): string {
    if (health === 'none' && reason !== '') return `has no certificate: ${reason}`;
    if (health === 'none')
      return this.#hasToken
        ? 'waits for its certificate'
        : `has no certificate and no join token; make one with \`heddle token create --service ${this.spec.service.name}\``;
    if (health === 'expired') return `its certificate has ended: ${reason}`;
    const { registered, reason: why } = this.#registration.state;
    return registered ? '' : `is not registered: ${why}`;
  }
}

function asInstance(spec: WorkloadSpec, binding: WorkloadBinding, node: string): Instance {
  const { service, instance: id, application, version, labels, metadata, ports, locality, weight } = spec;
  const { inbound, outbounds } = binding;
  const said = { service, id, node, inbound, application, outbounds, version, labels, metadata, ports, weight };
  return { ...said, ...(locality === undefined ? {} : { locality }), health: 'starting', healthReason: '', revision: 0 };
}
