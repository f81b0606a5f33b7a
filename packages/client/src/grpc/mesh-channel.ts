// What takes the place of a channel of grpc-js: it has no connection, and is ready as soon as the mesh is. Retries, hedging, balancing and breakers are
// the mesh's, so that service configurations of grpc-js have no effect on it.
import type { CallCredentials, ChannelCredentials, ChannelInterface, connectivityState } from '@grpc/grpc-js';
import { nodeClock } from '@heddle/runtime/process';
import type { Mesh } from '../plane/mesh.ts';
import type { Coding } from './coding.ts';
import { callCredentialsOf, composed } from './credentials.ts';
import type { CallHost, WaitingCall } from './call-host.ts';
import { MeshCall } from './mesh-call.ts';
import { type CallSettings, type GrpcOptions, readCallSettings } from './settings.ts';
import { authorityOf } from './target.ts';
import { type CallDeadline, type ChannelRef, type GrpcCall, type ParentCall, PROPAGATE, PROPAGATE_ALL } from './types.ts';

/** Of grpc-js's enum. */
const STATE = { idle: 0, connecting: 1, ready: 2, failed: 3, shutdown: 4 } as const;
const TIMER_MS_MAX = 2_147_483_647;

interface Watcher {
  readonly from: connectivityState;
  readonly tell: (error?: Error) => void;
}

export class MeshChannel implements ChannelInterface, CallHost {
  readonly mesh: Mesh;
  readonly settings: CallSettings;
  requestCoding: Coding;
  private readonly target: string;
  private readonly authority: string;
  private readonly credentials: CallCredentials | undefined;
  private readonly waiting = new Set<WaitingCall>();
  private readonly watchers = new Set<Watcher>();
  private state: connectivityState = STATE.idle;
  private callNumber = 0;

  /**
   * @param target `orders.mesh.internal`, with port or not, with `dns:` or not; `heddle:///orders`
   * @param credentials of which only call credentials have a meaning: the mesh encrypts by itself
   * @throws Error for a target that is no name
   */
  constructor(mesh: Mesh, target: string, credentials: ChannelCredentials, options: GrpcOptions = {}) {
    const authority = authorityOf(target);
    if (authority === undefined)
      throw new Error(`${JSON.stringify(target)} is no name of the mesh; write orders.mesh.internal or heddle:///orders`);
    this.mesh = mesh;
    this.target = target;
    const override = options['grpc.default_authority'];
    this.authority = typeof override === 'string' && mesh.serves(override) ? override : authority;
    this.settings = readCallSettings(options);
    this.requestCoding = this.settings.coding;
    this.credentials = callCredentialsOf(credentials);
  }

  /** Calls that wait for the mesh end; those under way go on. */
  close(): void {
    if (this.state === STATE.shutdown) return;
    for (const call of this.waiting) call.cancelWithStatus(14, 'Channel closed before call started');
    this.waiting.clear();
    this.become(STATE.shutdown);
  }

  getTarget(): string {
    return this.target;
  }

  getConnectivityState(tryToConnect: boolean): connectivityState {
    this.look(tryToConnect);
    return this.state;
  }

  watchConnectivityState(currentState: connectivityState, deadline: CallDeadline, callback: (error?: Error) => void): void {
    if (this.state === STATE.shutdown) throw new Error('Channel has been shut down');
    const leftMs = Number(deadline) - nodeClock.wallMs();
    const late = (): void => callback(new Error('Deadline passed without connectivity state change'));
    if (leftMs <= 0) {
      process.nextTick(late);
      return;
    }
    if (this.state !== currentState) {
      process.nextTick(callback);
      return;
    }
    this.mesh.hold();
    const end = (error?: Error): void => {
      this.watchers.delete(watcher);
      timer?.cancel();
      this.mesh.release();
      if (error === undefined) callback();
      else late();
    };
    const watcher: Watcher = { from: currentState, tell: end };
    const timer = leftMs <= TIMER_MS_MAX ? nodeClock.after(leftMs, () => end(new Error())) : undefined;
    this.watchers.add(watcher);
  }

  /** Calls of the mesh are counted by its own metrics. */
  getChannelzRef(): ChannelRef {
    return { kind: 'channel' as ChannelRef['kind'], id: 0, name: this.target };
  }

  createCall(
    method: string,
    deadline: CallDeadline,
    host: string | null | undefined,
    parentCall: ParentCall | null,
    propagateFlags: number | null | undefined,
  ): GrpcCall {
    if (typeof method !== 'string') throw new TypeError('Channel#createCall: method must be a string');
    if (!(typeof deadline === 'number' || deadline instanceof Date))
      throw new TypeError('Channel#createCall: deadline must be a number or Date');
    if (this.state === STATE.shutdown) throw new Error('Channel has been shut down');
    const flags = propagateFlags ?? PROPAGATE_ALL;
    const parent = parentCall ?? undefined;
    let deadlineMs = Number(deadline);
    if (parent !== undefined && (flags & PROPAGATE.deadline) !== 0) deadlineMs = Math.min(deadlineMs, Number(parent.getDeadline()));
    const authority = host !== null && host !== undefined && this.mesh.serves(host) ? host : this.authority;
    const call = new MeshCall(this, method, authority, deadlineMs);
    if (parent !== undefined && (flags & PROPAGATE.cancellation) !== 0)
      call.follow((cancel) => {
        parent.on('cancelled', cancel);
        return () => parent.removeListener('cancelled', cancel);
      });
    return call;
  }

  // --- for calls

  nextCallNumber(): number {
    return this.callNumber++;
  }

  credentialsWith(credentials: CallCredentials | undefined): CallCredentials | undefined {
    return composed(credentials, this.credentials);
  }

  whenReady(call: WaitingCall): void {
    this.waiting.add(call);
    this.become(STATE.connecting);
    this.mesh.ready().then(
      () => {
        this.become(STATE.ready);
        if (this.waiting.delete(call)) call.meshCame();
      },
      (error: unknown) => {
        this.become(STATE.failed);
        if (this.waiting.delete(call)) call.meshFailed(error);
      },
    );
  }

  serverAccepts(codings: string): void {
    const { coding } = this.settings;
    this.requestCoding = codings.split(',').some((name) => name.trim() === coding) ? coding : 'identity';
  }

  // --- state

  private look(tryToConnect: boolean): void {
    if (this.state === STATE.shutdown) return;
    if (this.mesh.isReady) this.become(STATE.ready);
    else if (tryToConnect && this.state !== STATE.connecting) {
      this.become(STATE.connecting);
      this.mesh.ready().then(
        () => this.become(STATE.ready),
        () => this.become(STATE.failed),
      );
    } else if (this.state === STATE.ready) this.become(STATE.idle);
  }

  private become(state: connectivityState): void {
    if (this.state === state || this.state === STATE.shutdown) return;
    this.state = state;
    for (const watcher of [...this.watchers]) if (watcher.from !== state) watcher.tell();
  }
}
