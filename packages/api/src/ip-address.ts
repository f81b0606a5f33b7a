// IP literals, told by their form alone: this package does no IO, so it does not ask node:net.

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;
const GROUP = /^[0-9a-f]{1,4}$/i;
/** RFC 6874: letters that an interface name can have. */
const ZONE = /^[\w.:-]{1,64}$/;

/** True for an IPv4 or IPv6 address without brackets; an IPv6 address may carry a zone (`fe80::1%eth0`). RFC 4291, section 2.2. */
export function isIpAddress(text: string): boolean {
  if (IPV4.test(text)) return true;
  const [address = '', zone, ...rest] = text.split('%');
  if (rest.length > 0 || (zone !== undefined && !ZONE.test(zone))) return false;
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1)?.at(-1);
  const embedded = last !== undefined && IPV4.test(last);
  if (embedded) groups.at(-1)?.pop();
  const count = groups.flat().length + (embedded ? 2 : 0);
  return groups.flat().every((group) => GROUP.test(group)) && (halves.length === 2 ? count <= 7 : count === 8);
}
