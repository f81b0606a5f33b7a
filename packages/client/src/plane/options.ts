// How a process is told who it is in the mesh: by options, else by the environment that `heddle run` sets, or a person.
import { DEFAULT_NAMESPACE, parseJoinToken, type SocketAddress } from '@heddle/core';
import { parseWorkloadSpec, type WorkloadSpec, WorkloadSpecError, workloadName } from '@heddle/dataplane';
import type { Logger } from '@heddle/runtime';
import { MeshError } from '../errors.ts';
import type { AdminPlace } from './admin.ts';
import { type Environment, given } from './environment.ts';
import type { ClientLogLevel } from './logger.ts';
import { applicationPort, logLevelOf, numberOf, portOf, readyTimeoutMs } from './variables.ts';

export interface MeshOptions {
  /** Name of the service that this process is an instance of. Environment: HEDDLE_SERVICE. */
  readonly service?: string;
  /** Environment: HEDDLE_NAMESPACE. Default: `default`. */
  readonly namespace?: string;
  /** Name of the instance. Environment: HEDDLE_INSTANCE. Default: service, machine and process. */
  readonly instance?: string;
  /** Address of the control plane, `host:port`. Environment: HEDDLE_CONTROL. */
  readonly control?: string;
  /** One-time token by which the process joins. Environment: HEDDLE_JOIN_TOKEN. Not needed while a certificate of an earlier start is valid. */
  readonly joinToken?: string;
  /** Port on which the application listens, on this machine. Environment: HEDDLE_PORT, else PORT. Absent: the process calls, and is not called. */
  readonly port?: number;
  /** Where calls of other instances come in, as they reach it: `address:port`, port 0: the system chooses. Environment: HEDDLE_INBOUND. Default: `127.0.0.1:0`. */
  readonly inbound?: string;
  /** Directory where certificate and configuration outlive the process. Environment: HEDDLE_IDENTITY_DIR. Absent: in memory only. */
  readonly identityDirectory?: string;
  /** Further description of the instance: version, labels, metadata, ports, locality, weight. Environment: HEDDLE_WORKLOAD, as JSON. */
  readonly describe?: Readonly<Record<string, unknown>>;
  /** What a call waits for at most until the data plane is ready. Environment: HEDDLE_READY_TIMEOUT_MS. Default: 10,000. */
  readonly readyTimeoutMs?: number;
  /** What requests under way have when the process stops, once nobody chooses the instance any more. Environment: HEDDLE_DRAIN_MS. Default: 10,000. */
  readonly drainMs?: number;
  /** Environment: HEDDLE_LOG_LEVEL. Default: `warn`. */
  readonly logLevel?: ClientLogLevel;
  /** In place of lines on standard error. */
  readonly logger?: Logger;
}

/** Checked, with every default in place. */
export interface MeshSettings {
  readonly control: SocketAddress;
  readonly workload: WorkloadSpec;
  /** The application is called, too. */
  readonly isCalled: boolean;
  readonly identityDirectory: string | undefined;
  /** Absent: nobody looks in. */
  readonly admin: AdminPlace | undefined;
  readonly readyTimeoutMs: number;
  readonly drainMs: number;
  readonly logLevel: ClientLogLevel;
  readonly logger: Logger | undefined;
}

const LOOPBACK = '127.0.0.1';
const DRAIN_MS = 10_000;
const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):(\d{1,5})$/;
/** Stands for the port of an application that nobody calls; it is told to nobody. */
const NO_PORT = 1;

/** @throws MeshError `BAD_OPTIONS`, naming the option and its variable. @param unique tells processes of one machine apart */
export function readSettings(options: MeshOptions, environment: Environment, unique: string): MeshSettings {
  const service = options.service ?? given(environment['HEDDLE_SERVICE']) ?? missing('service', 'HEDDLE_SERVICE');
  const namespace = options.namespace ?? given(environment['HEDDLE_NAMESPACE']) ?? DEFAULT_NAMESPACE;
  const instance = options.instance ?? given(environment['HEDDLE_INSTANCE']) ?? `${service}-${unique}`;
  const control = options.control ?? given(environment['HEDDLE_CONTROL']) ?? missing('control', 'HEDDLE_CONTROL');
  const joinToken = options.joinToken ?? given(environment['HEDDLE_JOIN_TOKEN']);
  const port = options.port ?? applicationPort(environment);
  const inbound = hostPort('inbound', 'HEDDLE_INBOUND', options.inbound ?? given(environment['HEDDLE_INBOUND']) ?? `${LOOPBACK}:0`, 0);
  const body = {
    ...(options.describe ?? describedIn(environment)),
    ...(joinToken === undefined ? {} : { joinToken: joinToken.trim() }),
    application: { address: LOOPBACK, port: port ?? NO_PORT },
    inbound,
    outbounds: [],
  };
  return {
    control: hostPort('control', 'HEDDLE_CONTROL', control, 1),
    workload: workloadOf([namespace, service, instance], body),
    isCalled: port !== undefined,
    identityDirectory: options.identityDirectory ?? given(environment['HEDDLE_IDENTITY_DIR']),
    admin: adminIn(environment),
    readyTimeoutMs: options.readyTimeoutMs ?? readyTimeoutMs(environment),
    drainMs: options.drainMs ?? numberOf(environment, 'HEDDLE_DRAIN_MS') ?? DRAIN_MS,
    logLevel: logLevelOf(environment, options.logLevel) ?? 'warn',
    logger: options.logger,
  };
}

export function nameOf({ workload }: MeshSettings): string {
  return workloadName(workload.service, workload.instance);
}

function workloadOf(path: readonly string[], body: object): WorkloadSpec {
  try {
    return parseWorkloadSpec(path, body);
  } catch (error) {
    if (!(error instanceof WorkloadSpecError)) throw error;
    const { joinToken } = body as { joinToken?: string };
    const parsed = joinToken === undefined ? undefined : parseJoinToken(joinToken);
    throw bad(`${error.message}${parsed?.ok === false ? ' (HEDDLE_JOIN_TOKEN)' : ''}`, error);
  }
}

function adminIn(environment: Environment): AdminPlace | undefined {
  const port = portOf(environment, 'HEDDLE_ADMIN_PORT', 0);
  const tokenFile = given(environment['HEDDLE_ADMIN_TOKEN_FILE']);
  if (port === undefined) return undefined;
  if (tokenFile === undefined) throw bad('HEDDLE_ADMIN_PORT is set, and HEDDLE_ADMIN_TOKEN_FILE, the file with the token for it, is not');
  return { port, tokenFile };
}

function describedIn(environment: Environment): object {
  const text = given(environment['HEDDLE_WORKLOAD']);
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below.
  }
  throw bad('HEDDLE_WORKLOAD is not a JSON object; it describes the instance, for example {"version":"v2","labels":{"tier":"gold"}}');
}

function hostPort(option: string, variable: string, text: string, portMin: number): SocketAddress {
  const [, bracketed, plain, digits] = HOST_PORT.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < portMin || port > 65_535)
    throw bad(`${option} (${variable}) is ${JSON.stringify(text)}; write host:port, for example ${LOOPBACK}:15010`);
  return { address: bracketed ?? plain!, port };
}

function missing(option: string, variable: string): never {
  throw bad(`${option} is not said: give it as an option, set ${variable}, or start the program with \`heddle run\``);
}

function bad(message: string, cause?: unknown): MeshError {
  return new MeshError('BAD_OPTIONS', message, cause);
}
