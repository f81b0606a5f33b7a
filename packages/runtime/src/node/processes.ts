// Processes of this program that talk to one another: messages in order over a private channel, listening sockets along with them.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BoundSocket, type SocketHandle } from './bound-socket.ts';

/** Either end, as Node has it. */
type Connectable = Pick<ChildProcess, 'connected' | 'send'>;

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not even be started; else empty. */
  readonly reason: string;
}

export interface ChildOptions {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly onMessage: (message: unknown) => void;
  /** Once, last. */
  readonly onEnd: (end: ProcessEnd) => void;
}

export interface Child {
  readonly pid: number | undefined;
  /** Never throws; what a process that ends does not read is lost. A socket stays open here. */
  send(message: unknown, socket?: BoundSocket): void;
  kill(signal: 'SIGTERM' | 'SIGKILL'): void;
  /** The process may live on, and this one no longer waits for it; it ends the channel itself when it has read everything. */
  leave(): void;
}

export interface Parent {
  send(message: unknown): void;
  /** Messages that came before wait for the first call. */
  listen(onMessage: (message: unknown, socket: BoundSocket | undefined) => void): void;
  /** Ends the channel, which keeps this process alive while it is open. */
  release(): void;
  /** Resolves when the parent is gone, or has released this process. */
  readonly gone: Promise<void>;
}

/**
 * For new objects, half of it in use at a time; by itself V8 goes up to 16 under load. What carries connections makes for each request what
 * is gone a moment later, so that collecting more often costs nothing that could be measured, and saves 20 MB.
 */
const NEW_SPACE_MB = 1;
/** The middle one of three compilers. What it makes of code that always runs is soon made anew by the last one, and its work keeps 14 MB. */
const NO_MIDDLE_COMPILER = '--no-maglev';

/** A module of ours as a process of its own, on this Node with the same options. Standard output and error are this process's. */
export function startModule(module: URL, options: ChildOptions): Child {
  // Of two options the later one counts; the environment's come first.
  const newSpace = /semi[-_]space/.test(process.env['NODE_OPTIONS'] ?? '') ? [] : [`--max-semi-space-size=${NEW_SPACE_MB}`];
  return startCommand([process.execPath, ...newSpace, NO_MIDDLE_COMPILER, ...process.execArgv, fileURLToPath(module)], options);
}

/** The command must be a Node program that knows what to do with the channel. */
export function startCommand([command = '', ...args]: readonly string[], { environment, onMessage, onEnd }: ChildOptions): Child {
  const child = spawn(command, args, {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  let hasEnded = false;
  const ended = (end: ProcessEnd): void => {
    if (!hasEnded) onEnd(end);
    hasEnded = true;
  };
  child.on('message', onMessage);
  child.on('error', (error) => {
    // Also a message that could not be sent: the end of the process follows by itself.
    if (child.pid === undefined) ended({ code: null, signal: null, reason: error.message });
  });
  child.on('exit', (code, signal) => ended({ code, signal, reason: '' }));
  return {
    pid: child.pid,
    send: (message, socket) => sendTo(child, message, socket),
    kill: (signal) => void child.kill(signal),
    leave: () => {
      child.channel?.unref();
      child.unref();
    },
  };
}

/** Undefined where this process was not started with a channel. */
export function parentProcess(): Parent | undefined {
  if (process.send === undefined || !process.connected) return undefined;
  const gone = Promise.withResolvers<void>();
  process.once('disconnect', () => gone.resolve());
  return {
    send: (message) => sendTo(process as unknown as Connectable, message),
    // Node keeps messages until somebody listens.
    listen: (onMessage) =>
      void process.on('message', (message: unknown, handle: unknown) =>
        onMessage(message, handle === undefined || handle === null ? undefined : new BoundSocket(handle as SocketHandle)),
      ),
    release: () => {
      if (process.connected) process.disconnect?.();
    },
    gone: gone.promise,
  };
}

function sendTo(channel: Connectable, message: unknown, socket?: BoundSocket): void {
  if (!channel.connected) return;
  const unsent = (): void => {
    // The other process is ending; its end is told apart.
  };
  // The handle is Node's own object, which the types do not know.
  const handle = socket?.handle as unknown as Parameters<ChildProcess['send']>[1];
  channel.send?.(message as Parameters<ChildProcess['send']>[0], handle, {}, unsent);
}
