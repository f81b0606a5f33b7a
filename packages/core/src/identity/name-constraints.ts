// What an authority may certify (RFC 5280 4.2.1.10), as far as the names in our certificates go: URIs, DNS names and addresses. A constraint of
// another kind that must be understood makes the authority unusable: nobody could say what it means.
import { contextTag, TAG } from './der.ts';
import { DerError, type DerElement, DerReader, readPrintableAscii, readWhole } from './der-reader.ts';
import { GENERAL_NAME } from './x509.ts';

export interface NameConstraints {
  readonly permitted: NameTrees;
  readonly excluded: NameTrees;
}

export interface NameTrees {
  /** Hosts; with a dot before them: all that end so. */
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  /** Address and mask, of 4 or 16 octets each. */
  readonly ips: readonly { readonly address: Uint8Array; readonly mask: Uint8Array }[];
}

export interface ConstrainedNames {
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly ips: readonly Uint8Array[];
}

/** More than any authority has; each is compared with each name. */
const TREES_MAX = 256;

/** Throws DerError, also for constraints on names of other kinds. */
export function readNameConstraints(value: Uint8Array): NameConstraints {
  const constraints = new DerReader(readWhole(value, TAG.sequence));
  const permitted = constraints.takeOptional(contextTag(0, true));
  const excluded = constraints.takeOptional(contextTag(1, true));
  constraints.end();
  return { permitted: readTrees(permitted), excluded: readTrees(excluded) };
}

function readTrees(list: DerElement | undefined): NameTrees {
  const uris: string[] = [];
  const dns: string[] = [];
  const ips: { address: Uint8Array; mask: Uint8Array }[] = [];
  if (list === undefined) return { uris, dns, ips };
  const trees = new DerReader(list.content);
  for (let count = 0; !trees.atEnd; count++) {
    if (count >= TREES_MAX) throw new DerError(`more than ${TREES_MAX} name constraints`);
    const tree = new DerReader(trees.take(TAG.sequence).content);
    const { tag, content } = tree.take();
    tree.end(); // 4.2.1.10: minimum and maximum are not used
    if (tag === contextTag(GENERAL_NAME.uri, false)) uris.push(readPrintableAscii(content).toLowerCase());
    else if (tag === contextTag(GENERAL_NAME.dns, false)) dns.push(readPrintableAscii(content).toLowerCase());
    else if (tag === contextTag(GENERAL_NAME.ip, false) && (content.length === 8 || content.length === 32))
      ips.push({ address: content.subarray(0, content.length / 2), mask: content.subarray(content.length / 2) });
    else throw new DerError('a name constraint is neither on URIs, DNS names nor addresses');
  }
  return { uris, dns, ips };
}

/** The first name that the constraints do not allow; undefined when they allow all. */
export function forbiddenName({ permitted, excluded }: NameConstraints, { uris, dns, ips }: ConstrainedNames): string | undefined {
  return (
    uris.find((uri) => isForbidden(permitted.uris, excluded.uris, (tree) => isUriWithin(uri, tree))) ??
    dns.find((name) => isForbidden(permitted.dns, excluded.dns, (tree) => isDnsWithin(name.toLowerCase(), tree))) ??
    ips.map(addressText).find((_, index) => isForbidden(permitted.ips, excluded.ips, (tree) => isIpWithin(ips[index] as Uint8Array, tree)))
  );
}

function isForbidden<Tree>(permitted: readonly Tree[], excluded: readonly Tree[], isWithin: (tree: Tree) => boolean): boolean {
  return excluded.some(isWithin) || (permitted.length > 0 && !permitted.some(isWithin));
}

/** The host counts; one without a dot before it stands for itself alone. */
function isUriWithin(uri: string, tree: string): boolean {
  const host = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:[\]]+)/.exec(uri)?.[1]?.toLowerCase();
  if (host === undefined) return false;
  return tree.startsWith('.') ? host.endsWith(tree) && host.length > tree.length : host === tree;
}

/** A name stands for itself and all below it; the empty one for all. */
function isDnsWithin(name: string, tree: string): boolean {
  return tree === '' || name === tree || name.endsWith(tree.startsWith('.') ? tree : `.${tree}`);
}

function isIpWithin(ip: Uint8Array, { address, mask }: NameTrees['ips'][number]): boolean {
  if (ip.length !== address.length) return false;
  return ip.every((octet, index) => (octet & (mask[index] as number)) === ((address[index] as number) & (mask[index] as number)));
}

function addressText(ip: Uint8Array): string {
  return ip.length === 4 ? ip.join('.') : (Buffer.from(ip).toString('hex').match(/.{4}/g) ?? []).join(':');
}
