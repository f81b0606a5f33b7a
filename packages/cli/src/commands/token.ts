// `heddle token create`: a join token on standard output and nothing else there, so that a script can use it as it is.
import { openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { requireStateDirectory } from '../state-directory.ts';

export interface TokenOptions {
  readonly service: string;
  readonly namespace: string;
  readonly ttl: number;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function createToken({ service, namespace, ttl, output, stateDir }: TokenOptions): Promise<ExitCode> {
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
