// What `heddle run` knows of the instance that it runs, wherever the data plane of it is.
import { randomBytes } from 'node:crypto';
import type { Locality, NamedPorts, ServiceRef } from '@heddle/core';
import type { ControlClient } from '../control-client.ts';
import type { HostPort } from '../options.ts';
import type { Guard } from '../supervisor/guard.ts';
import type { Output } from '../supervisor/output.ts';
import { localityOfMachine } from '../up/locality.ts';
import type { PortAllocator } from '../up/ports.ts';

export interface RunOptions {
  readonly service: string;
  readonly namespace: string;
  readonly port?: number;
  readonly instance?: string;
  readonly uses?: readonly string[];
  readonly instanceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly ports?: NamedPorts;
  readonly locality?: Locality;
  readonly weight: number;
  readonly control?: HostPort;
  readonly inboundAddress: string;
  readonly inboundPort: number;
  readonly outboundPort: number;
  readonly dnsPort: number | 'off';
  readonly adminPort: number;
  readonly proxyWorkers: number;
  readonly stateDir?: string;
  /** Where the data plane is. Neither: inside where that can be. */
  readonly inProcess?: boolean;
  readonly sidecar?: boolean;
}

/** A service that the process calls. Its port is known where the registry could be asked. */
export interface UsedService {
  readonly service: ServiceRef;
  readonly port?: number;
}

export interface RunDeps extends Omit<RunOptions, 'uses' | 'control' | 'instance'> {
  readonly instance: string;
  readonly command: readonly string[];
  readonly directory: string;
  readonly control: HostPort;
  /** The first one that is shown; an operator makes further ones for those that come after a crash. */
  readonly token: string | undefined;
  readonly operator: ControlClient | undefined;
  readonly uses: readonly UsedService[];
  readonly allocator: PortAllocator;
  readonly output: Output;
  readonly guard: Guard;
}

export interface RunningInstance {
  /** Starts it and follows it until aborted. Throws CliError when it cannot join. */
  bring(aborted: AbortSignal): Promise<void>;
  /** Gracefully, out of rotation first. */
  stop(): Promise<void>;
  /** At once. */
  kill(): Promise<void>;
  /** After `bring` has failed. */
  end(): Promise<void>;
}

export const LOOPBACK = '127.0.0.1';
/** What running requests have when the instance stops, first in the data plane and then in the process. */
export const STOP_SECONDS = 10;

export function instanceName(service: string): string {
  return `${service}-${randomBytes(3).toString('hex')}`;
}

/** What the registry is told of it besides. */
export function saidOf({ labels = {}, metadata = {}, ports = {}, weight, locality = localityOfMachine() }: RunDeps) {
  return { labels, metadata, ports, weight, ...(locality === undefined ? {} : { locality }) };
}

/** Tokens for one start after the other: the given one over and over, or a fresh one of the operator each time. */
export function tokensOf({ token: first, operator, namespace, service }: RunDeps): () => Promise<string | undefined> {
  let token = first;
  return async () => {
    const shown = token ?? (await operator?.createToken(namespace, service).catch(() => undefined))?.token;
    if (operator !== undefined) token = undefined;
    return shown;
  };
}

export function hostPortText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
