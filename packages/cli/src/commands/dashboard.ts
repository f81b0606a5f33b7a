// `heddle dashboard`: where the dashboard is, with a link that logs a browser in once. What is in the link is good for ten minutes and for one
// login, so that neither a terminal's history nor a browser's keeps anything of worth.
import { type ControlClient, openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { connectableAddress, type ControlInfo, requireStateDirectory } from '../state-directory.ts';

export interface DashboardOptions {
  readonly role: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function dashboard({ role, output, stateDir }: DashboardOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    if (control.info.rest === undefined)
      throw new CliError(
        'this control plane serves no dashboard: its REST API is off',
        'start it without --rest-listen off (`heddle up`: --rest-port off)',
      );
    const { url, notAfterMs } = await loginLink(control, role);
    const notAfter = new Date(notAfterMs).toISOString();
    if (output === 'table') {
      process.stdout.write(`${url}\n`);
      process.stderr.write(`logs a browser in once, with the role ${role}, until ${notAfter}; the login lasts 12 hours\n`);
    } else process.stdout.write(formatData({ url, role, notAfter }, output));
    return 0;
  } finally {
    control.close();
  }
}

/** With the address of a REST API. Rejects with CliError. */
export async function loginLink(control: ControlClient, role: string): Promise<{ readonly url: string; readonly notAfterMs: number }> {
  const { code, notAfterMs } = await control.createLoginCode(role);
  // Behind the `#`: a browser sends it to nobody.
  return { url: `${dashboardAddress(control.info.rest)}#login=${code}`, notAfterMs };
}

/** Empty: there is none. */
export function dashboardAddress(rest: ControlInfo['rest']): string {
  if (rest === undefined) return '';
  const host = connectableAddress(rest.address);
  return `${rest.tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${rest.port}/`;
}
