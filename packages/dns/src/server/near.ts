// Who may have other names looked up: machines of private networks. A server that does so for everybody is used to flood others.
import { BlockList, isIPv6 } from 'node:net';

/** RFC 1918, RFC 6598, RFC 3927; loopback. */
const NEAR_IPV4 = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16', '127.0.0.0/8'];
/** RFC 4193, RFC 4291 §2.5.6; loopback. */
const NEAR_IPV6 = ['fc00::/7', 'fe80::/10', '::1/128'];

const near = new BlockList();
for (const network of NEAR_IPV4) near.addSubnet(...parts(network), 'ipv4');
for (const network of NEAR_IPV6) near.addSubnet(...parts(network), 'ipv6');

export function isNear(address: string): boolean {
  const [plain = ''] = address.split('%');
  return near.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
}

function parts(network: string): [string, number] {
  const [address = '', bits] = network.split('/');
  return [address, Number(bits)];
}
