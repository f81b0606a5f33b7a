// `heddle token create`: a token on standard output and nothing else there, so that a script can use it as it is.
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface TokenOptions {
  /** One of these two. */
  readonly service?: string;
  readonly admin?: string;
  readonly role?: string;
  readonly namespace: string;
  /** Milliseconds. */
  readonly ttl?: number;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

/** As the control plane takes it. */
const JOIN_TTL_MAX_MS = 604_800_000;

export async function createToken(options: TokenOptions): Promise<ExitCode> {
  const { service, admin, role } = options;
  const usage = (message: string, mend: string): CliError => new CliError(message, mend, { exitCode: 2 });
  if ((service === undefined) === (admin === undefined))
    throw usage('a token is for a service or for an administrator', 'give either --service or --admin');
  if (service === undefined) return await createAdminToken(options, admin ?? '');
  if (role !== undefined) throw usage('workloads have no role', 'leave out --role, or give --admin in place of --service');
  if ((options.ttl ?? 0) > JOIN_TTL_MAX_MS) throw usage('a join token can live for 7 days at most', 'give a shorter --ttl');
  return await createJoinToken(options, service);
}

async function createAdminToken({ role = 'viewer', ttl = 0, output, stateDir }: TokenOptions, name: string): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const { token, notAfterMs } = await control.createAdminToken(name, role, ttl);
    const notAfter = new Date(notAfterMs).toISOString();
    if (output === 'table') {
      process.stdout.write(`${token}\n`);
      process.stderr.write(`for ${name} with the role ${role}, until ${notAfter}; use it as HEDDLE_TOKEN or with the REST API\n`);
    } else {
      process.stdout.write(formatData({ token, name, role, notAfter }, output));
    }
    return 0;
  } finally {
    control.close();
  }
}

async function createJoinToken({ namespace, ttl = 0, output, stateDir }: TokenOptions, service: string): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const { token, notAfterMs } = await control.createToken(namespace, service, ttl);
    const notAfter = new Date(notAfterMs).toISOString();
    if (output === 'table') {
      process.stdout.write(`${token}\n`);
      process.stderr.write(`for ${namespace}/${service}, usable once until ${notAfter}\n`);
    } else {
      process.stdout.write(formatData({ token, namespace, service, notAfter }, output));
    }
    return 0;
  } finally {
    control.close();
  }
}
