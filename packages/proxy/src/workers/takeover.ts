// Replacing a running proxy, from the side of the new process: it gets everything that listens, makes itself ready, and begins to accept
// before the old one stops. Until it says that it is ready, the old one serves as if nothing were going on.
import type { Clock } from '@heddle/runtime';
import { type BoundSocket, type Parent, parentProcess } from '@heddle/runtime/node';
import type { SocketBind, Verdict, WorkloadSpec } from '@heddle/dataplane';

/** Set in the environment of a process that shall take over; its channel brings the rest. */
export const TAKEOVER_VARIABLE = 'HEDDLE_TAKEOVER';

/** From the old process; sockets come along with their messages. */
export type ToSuccessor =
  | { readonly type: 'port'; readonly bind: SocketBind }
  | { readonly type: 'admin'; readonly bind: SocketBind }
  | { readonly type: 'all'; readonly names: ReadonlyMap<string, SocketBind>; readonly workloads: readonly HandedWorkload[] }
  /** The old process has stopped accepting. */
  | { readonly type: 'yours' };

export type FromSuccessor = { readonly type: 'ready' };

/** A socket that is listened on, under the address by which it was asked for. */
export interface HeldPort {
  readonly bind: SocketBind;
  readonly socket: BoundSocket;
}

export interface HandedWorkload {
  /** As it was asked for. */
  readonly asked: WorkloadSpec;
  /** With its real ports. */
  readonly bound: WorkloadSpec;
  /** How its application was. */
  readonly verdict: Verdict;
}

export interface Takeover {
  readonly ports: readonly HeldPort[];
  readonly admin: BoundSocket | undefined;
  /** Listeners by name with their real ports. */
  readonly names: ReadonlyMap<string, SocketBind>;
  readonly workloads: readonly HandedWorkload[];
  /** Resolves when nothing is missing any more. The old process ends this one when that takes too long. */
  whenNothingIsMissing(missing: () => readonly string[]): Promise<void>;
  /** Says that this process serves. Resolves when the old one has stopped accepting. */
  ready(): Promise<void>;
}

const LOOK_EVERY_MS = 20;

/** Undefined when this process replaces nobody. Rejects when the old one goes before it has handed everything over. */
export async function receiveTakeover(environment: NodeJS.ProcessEnv, clock: Clock): Promise<Takeover | undefined> {
  const isAsked = environment[TAKEOVER_VARIABLE] !== undefined;
  // Not for the processes that this one starts.
  delete environment[TAKEOVER_VARIABLE];
  const parent = isAsked ? parentProcess() : undefined;
  return parent === undefined ? undefined : receive(parent, clock);
}

async function receive(parent: Parent, clock: Clock): Promise<Takeover> {
  const ports: HeldPort[] = [];
  let admin: BoundSocket | undefined;
  const all = Promise.withResolvers<Extract<ToSuccessor, { type: 'all' }>>();
  const yours = Promise.withResolvers<void>();
  parent.listen((message, socket) => {
    const told = message as ToSuccessor;
    if (told.type === 'port' && socket !== undefined) ports.push({ bind: told.bind, socket });
    else if (told.type === 'admin') admin = socket;
    else if (told.type === 'all') all.resolve(told);
    else if (told.type === 'yours') yours.resolve();
  });
  const gone = parent.gone.then(() => {
    throw new Error('the process that this one should replace has gone before it had handed everything over');
  });
  const { names, workloads } = await Promise.race([all.promise, gone]);
  gone.catch(() => {});
  return {
    ports,
    admin,
    names,
    workloads,
    async whenNothingIsMissing(missing) {
      while (missing().length > 0) await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve));
    },
    async ready() {
      parent.send({ type: 'ready' } satisfies FromSuccessor);
      // Where the old one has died meanwhile nobody else accepts either.
      await Promise.race([yours.promise, parent.gone]);
      parent.release();
    },
  };
}
