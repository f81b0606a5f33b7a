// `heddle export envoy`: the bootstrap of an Envoy that carries one instance of a service in the mesh.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseTrustDomain } from '@heddle/core';
import { CliError, type ExitCode } from '../errors.ts';
import type { UsedService } from '../options.ts';
import { envoyBootstrap, type EnvoyBootstrapInput } from './export-envoy-bootstrap.ts';
import { type ExportControlOptions, exportControl, writeExport } from './export.ts';
import { ENVOY_CERTIFICATE_FILE } from './identity-files.ts';

export interface ExportEnvoyOptions extends ExportControlOptions, Omit<EnvoyBootstrapInput, 'uses' | 'control'> {
  readonly uses: readonly UsedService[];
  readonly output?: string;
}

export function exportEnvoy(options: ExportEnvoyOptions): ExitCode {
  const control = exportControl(options);
  if (parseTrustDomain(`spiffe://${control.trustDomain}`) === undefined)
    throw new CliError(`--trust-domain: ${JSON.stringify(control.trustDomain)} is not a trust domain`, undefined, { exitCode: 2 });
  checkPorts(options);
  const identityDir = resolve(options.identityDir);
  const uses = options.uses.map(({ namespace = options.namespace, service, port }) => ({ service: { namespace, name: service }, port }));
  writeExport(envoyBootstrap({ ...options, uses, identityDir, control }), options.output);
  // Envoy does not start without them.
  if (!existsSync(join(identityDir, ENVOY_CERTIFICATE_FILE)))
    process.stderr.write(
      `next: \`heddle identity watch --service ${options.service}${options.namespace === 'default' ? '' : ` --namespace ${options.namespace}`} --out ${identityDir}\` must run on the machine of this Envoy, and before it\n`,
    );
  return 0;
}

/** Two listeners of one Envoy on one port would be refused one by one, at its start, far from here. */
function checkPorts({ port, inbound, uses, outboundPort, adminPort }: ExportEnvoyOptions): void {
  const taken = new Map<number, string>([[port, '--port']]);
  const take = (flag: string, value: number | undefined): void => {
    if (value === undefined) return;
    const other = taken.get(value);
    if (other !== undefined)
      throw new CliError(`${flag} and ${other} name the same port, ${value}`, 'give each a port of its own', { exitCode: 2 });
    taken.set(value, flag);
  };
  take('--inbound', inbound.port);
  for (const { service, port: used } of uses) take(`--uses ${service}`, used);
  take('--outbound-port', outboundPort);
  take('--admin-port', adminPort);
}
