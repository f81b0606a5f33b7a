// Ports: whether one is free, who holds it, and which ones services get. Services get ports below the system's own range for
// outgoing connections: out of that range, a port could be taken while its service restarts.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { CliError } from '../errors.ts';
import { processCommand } from '../supervisor/process-info.ts';

const RANGE_FROM = 20_000;
/** Linux' range for outgoing connections begins at 32768 unless it is configured otherwise. */
const RANGE_TO = 32_000;

/** Undefined when it can be listened on; else the system's error. */
export function listenProblem(address: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error));
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** The same for UDP. */
function bindProblem(address: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', (error) => socket.close(() => resolve(error)));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}

export interface NeededPort {
  /** For people: `the control plane`. */
  readonly what: string;
  /** The option that chooses it. */
  readonly flag: string;
  readonly port: number;
  /** On UDP too. */
  readonly udp?: boolean;
}

/** Throws CliError that names the port, its option and, where the system tells, who holds it. */
export async function requireFreePorts(address: string, needed: readonly NeededPort[]): Promise<void> {
  for (const [index, { port, flag }] of needed.entries()) {
    const twin = needed.slice(0, index).find((other) => other.port === port);
    if (twin !== undefined) throw new CliError(`${twin.flag} and ${flag} are both ${port}`, 'give each a port of its own', { exitCode: 2 });
  }
  for (const { what, flag, port, udp } of needed) {
    const problem = (await listenProblem(address, port)) ?? (udp === true ? await bindProblem(address, port) : undefined);
    if (problem === undefined) continue;
    if (problem.code === 'EADDRINUSE') {
      throw new CliError(
        `port ${port}, needed for ${what}, is in use${holderText(port) || ' by another process'}`,
        `stop it, or choose another port with ${flag}`,
        {
          cause: problem,
        },
      );
    }
    throw new CliError(`${what} cannot listen on ${address}:${port}: ${problem.message}`, `choose another port with ${flag}`, {
      cause: problem,
    });
  }
}

/** ` by process 17 (nginx)`, to be put behind what is said of the port; empty where that is not known. */
export function holderText(port: number): string {
  const holder = portHolder(port);
  return holder === undefined ? '' : ` by process ${holder.pid}${holder.command === undefined ? '' : ` (${holder.command})`}`;
}

/** Who listens on a TCP port of this machine. Known on Linux only, and only for processes of the same user. */
export function portHolder(port: number): { readonly pid: number; readonly command: string | undefined } | undefined {
  const inodes = new Set(
    [...listeningInodes('/proc/net/tcp', port), ...listeningInodes('/proc/net/tcp6', port)].map((inode) => `socket:[${inode}]`),
  );
  if (inodes.size === 0) return undefined;
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of list(`/proc/${pid}/fd`)) {
      try {
        if (inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) return { pid: Number(pid), command: processCommand(Number(pid)) };
      } catch {
        // Closed since it was listed.
      }
    }
  }
  return undefined;
}

/** proc(5), /proc/net/tcp: address:port in hexadecimal, state 0A is LISTEN, the tenth field is the inode. */
function listeningInodes(path: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    return fields[1]?.endsWith(`:${hex}`) === true && fields[3] === '0A' && fields[9] !== undefined ? [fields[9]] : [];
  });
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Hands out free ports, never the same one twice. */
export class PortAllocator {
  #next: number;
  readonly #address: string;
  readonly #taken = new Set<number>();

  /** @param random uniform in [0, 1): two meshes on one machine should not begin at the same port. */
  constructor(address: string, random: () => number) {
    this.#address = address;
    this.#next = RANGE_FROM + Math.floor(random() * (RANGE_TO - RANGE_FROM));
  }

  async take(): Promise<number> {
    for (let tries = RANGE_FROM; tries < RANGE_TO; tries++) {
      const port = this.#next;
      this.#next = port + 1 < RANGE_TO ? port + 1 : RANGE_FROM;
      if (this.#taken.has(port)) continue;
      // Taken now, asked afterwards: others may take a port while this call waits.
      this.#taken.add(port);
      if ((await listenProblem(this.#address, port)) === undefined) return port;
      this.#taken.delete(port);
    }
    throw new CliError(`no free port from ${RANGE_FROM} to ${RANGE_TO - 1}`, 'stop what holds them');
  }

  /** The port may be handed out again. */
  give(port: number): void {
    this.#taken.delete(port);
  }
}
