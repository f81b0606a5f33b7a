// The mesh of an instance, as each of its processes has it: the first that needs it has the data plane, the others go through that one. Until somebody
// needs it nothing runs and nothing heavy is loaded: npm, npx and nodemon inherit the environment of what they start, and are no instances.
import type { Server, Socket } from 'node:net';
import type { DirectCalls } from '@heddle/dataplane/direct';
import type { Logger } from '@heddle/runtime';
import { InsideServers, type MemoryStream } from '@heddle/runtime/inside';
import { MeshError } from '../errors.ts';
import { KeepAlive, nodeClock } from '@heddle/runtime/process';
import type { Mesh, RunningMesh } from '../plane/mesh.ts';
import { isMeshName } from '../plane/names.ts';
import { type DoorOwner, receive } from './door.ts';
import type { Guest } from './guest.ts';

/** How often a process that may not have the instance looks whether another one has taken it. */
const LOOK_MS = 20;

export interface SharedMeshOptions {
  readonly workload: string;
  /** Port of the application; undefined: it is not called. */
  readonly port: number | undefined;
  readonly logger: Logger;
  /** Where the processes of the instance meet. Undefined: this one stands for itself. */
  readonly place: string | undefined;
  /** Whether this process may have the instance. A worker leaves it to its primary. */
  readonly mayOwn: boolean;
  readonly readyTimeoutMs: number;
  /** Called while a process that may not have the instance waits for the one that may. */
  readonly askForOwner: () => void;
}

export class SharedMesh implements Mesh {
  readonly workload: string;
  readonly port: number | undefined;
  readonly logger: Logger;
  readonly servers = new InsideServers();
  private readonly options: SharedMeshOptions;
  private readonly keepAlive = new KeepAlive();
  private opening: Promise<void> | undefined;
  private own: RunningMesh | undefined;
  private guest: Guest | undefined;
  private leaving: Promise<void> | undefined;
  private hasSaid = false;

  constructor(options: SharedMeshOptions) {
    this.options = options;
    this.workload = options.workload;
    this.port = options.port;
    this.logger = options.logger;
  }

  /** Whether this process has the instance; undefined: nothing has begun. */
  get isOwner(): boolean | undefined {
    if (this.own !== undefined) return true;
    return this.guest === undefined ? undefined : false;
  }

  serves(authority: string): boolean {
    return isMeshName(authority) || this.own?.serves(authority) === true;
  }

  get isReady(): boolean {
    return this.own?.isReady ?? this.guest !== undefined;
  }

  get calls(): DirectCalls {
    return this.present().calls;
  }

  connect(): MemoryStream {
    return this.present().connect();
  }

  hold(): void {
    this.keepAlive.hold();
  }

  release(): void {
    this.keepAlive.release();
  }

  ready(): Promise<void> {
    if (this.own !== undefined) return this.own.ready();
    if (this.guest !== undefined) return Promise.resolve();
    this.opening ??= this.open().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  /** Out of rotation, calls go on. Resolves when the process may end. Never rejects. */
  leave(): Promise<void> {
    this.leaving ??= this.own?.leave() ?? this.guest?.leave() ?? Promise.resolve();
    return this.leaving;
  }

  /** Where this process has the instance: out of rotation, and gone. Never rejects. */
  async stop(): Promise<void> {
    await this.own?.stop();
  }

  private present(): Pick<Mesh, 'calls' | 'connect'> {
    const present = this.own ?? this.guest;
    if (present === undefined) throw new MeshError('NOT_READY', 'wait for `ready()` first');
    return present;
  }

  private async open(): Promise<void> {
    this.hold();
    try {
      if (!(await this.take())) await this.enter();
      await this.own?.ready();
    } finally {
      this.release();
    }
  }

  /** False: another process has the instance, or is to have it. */
  private async take(): Promise<boolean> {
    const { place, mayOwn, logger } = this.options;
    if (!mayOwn) return false;
    let door: Server | undefined;
    // Others may come while the engine is being loaded.
    const { promise: there, resolve, reject } = Promise.withResolvers<DoorOwner>();
    const onConnection = (socket: Socket): void =>
      void there.then(
        (owner) => receive(socket, owner),
        () => socket.destroy(),
      );
    if (place !== undefined) {
      try {
        door = await (await import('./claim.ts')).claim(place, onConnection);
        if (door === undefined) return false;
      } catch (error) {
        logger.warn({ reason: (error as Error).message, place }, 'further processes of this instance will not find this one');
      }
    }
    try {
      const { own } = await import('./own.ts');
      this.own = own({ servers: this.servers, logger });
      resolve({ mesh: this.own, leaving: () => this.leaving });
    } catch (error) {
      there.catch(() => {});
      reject(error);
      door?.close();
      throw error;
    }
    return true;
  }

  /** Finds the process that has the instance, or takes it when there is none any more. */
  private async enter(): Promise<void> {
    const { place, mayOwn, readyTimeoutMs, askForOwner } = this.options;
    if (place === undefined)
      throw new MeshError('NOT_READY', 'a worker has no way to its primary: the directory for temporary files is not safe');
    const { enter, GuestProblem } = await import('./guest.ts');
    const endMs = nodeClock.nowMs() + readyTimeoutMs;
    for (;;) {
      if (!mayOwn) askForOwner();
      try {
        const guest = await enter(place, () => {
          this.guest = undefined;
        });
        this.guest = guest;
        this.sayGuest(guest);
        return;
      } catch (error) {
        const { message } = error as Error;
        if (error instanceof GuestProblem)
          throw new MeshError('NOT_READY', `process with the data plane of the instance: ${message}`, error);
        if (nodeClock.nowMs() >= endMs)
          throw new MeshError('NOT_READY', `no process has the data plane of the instance within ${readyTimeoutMs} ms: ${message}`, error);
      }
      await new Promise<void>((resolve) => void nodeClock.after(LOOK_MS, resolve));
      if (await this.take()) return;
    }
  }

  private sayGuest({ ownerPid }: Guest): void {
    if (this.hasSaid) return;
    this.hasSaid = true;
    this.logger.info({ pid: process.pid, ownerPid }, 'calls of this process go through the one that has the data plane of the instance');
  }
}
