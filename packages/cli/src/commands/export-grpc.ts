// `heddle export grpc`: the bootstrap file by which a program with a gRPC library is a data plane of its own, without a proxy.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Locality } from '@heddle/core';
import { CliError, type ExitCode } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { connectableAddress, readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { type GrpcBootstrapInput, type GrpcServerInstance, grpcBootstrap } from './export-grpc-bootstrap.ts';
import { writeExport } from './export.ts';
import { CERTIFICATE_FILE } from './identity-files.ts';

export interface ExportGrpcOptions {
  readonly service: string;
  readonly namespace: string;
  readonly identityDir: string;
  readonly xdsSocket?: string;
  readonly control?: HostPort;
  readonly node?: string;
  readonly locality?: Locality;
  readonly instance?: string;
  readonly inbound?: HostPort;
  readonly instanceVersion?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly weight: number;
  readonly output?: string;
  readonly stateDir?: string;
}

export function exportGrpc(options: ExportGrpcOptions): ExitCode {
  const { service, namespace, identityDir, node, locality, output } = options;
  const instance = serverInstance(options);
  const bootstrap = grpcBootstrap({
    control: controlOf(options),
    namespace,
    service,
    // Programs of one service on one machine share the file, and so the name.
    node: node ?? instance?.id ?? `${service}-${hostname().split('.')[0]}`,
    identityDir: resolve(identityDir),
    ...(locality !== undefined && { locality }),
    ...(instance !== undefined && { instance }),
  });
  writeExport(`${JSON.stringify(bootstrap, null, 2)}\n`, output);
  tellWhatIsMissing(options);
  return 0;
}

function controlOf({ xdsSocket, control, stateDir }: ExportGrpcOptions): GrpcBootstrapInput['control'] {
  if (xdsSocket !== undefined) return { socket: resolve(xdsSocket) };
  if (control !== undefined) return control;
  const directory = requireStateDirectory(stateDir);
  const info = readControlInfo(directory);
  if (info === undefined)
    throw new CliError(`no control plane runs with ${directory}`, 'start one with `heddle up`, or name one with --control HOST:PORT');
  return { host: connectableAddress(info.address), port: info.port };
}

function serverInstance({ instance, inbound, instanceVersion, labels, weight }: ExportGrpcOptions): GrpcServerInstance | undefined {
  if (instance === undefined && inbound === undefined) return undefined;
  const refuse = (message: string, mend: string): never => {
    throw new CliError(message, mend, { exitCode: 2 });
  };
  if (instance === undefined)
    return refuse(
      '--instance is missing: --inbound is for a program that serves',
      'name the instance with --instance, or leave --inbound away',
    );
  if (inbound === undefined)
    return refuse(
      '--inbound is missing: nothing says where the instance listens',
      'add --inbound ADDRESS:PORT, the address on which the program serves and at which others reach it',
    );
  return {
    id: instance,
    inbound,
    weight,
    ...(instanceVersion !== undefined && { version: instanceVersion }),
    ...(labels !== undefined && { labels }),
  };
}

/** On standard error: the file itself may be on standard output. */
function tellWhatIsMissing({ service, namespace, identityDir, xdsSocket }: ExportGrpcOptions): void {
  const directory = resolve(identityDir);
  if (existsSync(join(directory, CERTIFICATE_FILE)) && (xdsSocket === undefined || existsSync(resolve(xdsSocket)))) return;
  const more = `${namespace === 'default' ? '' : ` --namespace ${namespace}`}${xdsSocket === undefined ? '' : ` --xds-socket ${resolve(xdsSocket)}`}`;
  const command = `heddle identity watch --service ${service}${more} --out ${directory}`;
  process.stderr.write(`next: \`${command}\` must run on the machine of this program, and before it\n`);
}
