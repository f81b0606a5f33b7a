// Names by DNS: whether the control plane gives the address of a service to who asks it.
import { Resolver } from 'node:dns/promises';
import { connectableAddress, type ControlInfo } from '../state-directory.ts';
import { failed, notice, ok, type Finding } from './finding.ts';

const TIMEOUT_MS = 2_000;

/** @param host a name that it should know; undefined: there is no service. */
export async function checkNames({ dns }: ControlInfo, host: string | undefined): Promise<Finding> {
  const name = 'names by DNS';
  if (dns === undefined) return notice(name, 'are not served: the control plane was started with --dns-port off');
  const address = connectableAddress(dns.address);
  const server = `${address.includes(':') ? `[${address}]` : address}:${dns.port}`;
  if (host === undefined) return ok(name, `are served at ${server}; there is no service to ask for`);
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  resolver.setServers([server]);
  try {
    const addresses = await resolver.resolve4(host);
    return ok(name, `${host} is ${addresses.join(', ')}, says ${server}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It answers, and there is no instance that could be named.
    if (code === 'ENODATA' || code === 'ENOTFOUND')
      return ok(name, `${server} answers; ${host} has no address, as no instance of it is healthy`);
    return failed(
      name,
      `${server} does not answer for ${host}: ${code ?? (error as Error).message}`,
      'programs that call services by name do not find them',
      'see that nothing keeps UDP from that port, and the log of the control plane',
    );
  }
}
