// `heddle identity deny` and `allow`: takes an identity away, or gives it back.
import { DEFAULT_NAMESPACE, formatSpiffeId, isSpiffeId } from '@heddle/core';
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface DenyOptions {
  readonly reason?: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function denyIdentity(name: string, { reason = '', output, stateDir }: DenyOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const id = spiffeIdOf(name, control.info.trustDomain);
    const wasDenied = await control.denyIdentity(id, reason);
    const text = wasDenied ? 'was denied already' : 'is denied: it gets no certificate any more, and its connections are being closed';
    process.stdout.write(output === 'table' ? `${id} ${text}\n` : formatData({ identity: id, denied: true, wasDenied }, output));
    return 0;
  } finally {
    control.close();
  }
}

export async function allowIdentity(name: string, { output, stateDir }: Omit<DenyOptions, 'reason'>): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const id = spiffeIdOf(name, control.info.trustDomain);
    const wasDenied = await control.allowIdentity(id);
    const text = wasDenied ? 'may have certificates again' : 'was not denied';
    process.stdout.write(output === 'table' ? `${id} ${text}\n` : formatData({ identity: id, denied: false, wasDenied }, output));
    return 0;
  } finally {
    control.close();
  }
}

/** `orders`, `shop/orders`, or a SPIFFE id as it is. Throws CliError. */
export function spiffeIdOf(name: string, trustDomain: string): string {
  if (name.startsWith('spiffe://')) return name;
  const [first = '', second, ...rest] = name.split('/');
  const id = second === undefined ? { namespace: DEFAULT_NAMESPACE, name: first } : { namespace: first, name: second };
  const identity = { trustDomain, ...id };
  if (rest.length > 0 || !isSpiffeId(identity))
    throw new CliError(`${JSON.stringify(name)} names no identity`, 'name a service, NAMESPACE/SERVICE, or a whole SPIFFE id', {
      exitCode: 2,
    });
  return formatSpiffeId(identity);
}
