// Addresses and networks (RFC 4632, RFC 4291 §2.3) as numbers. An IPv4 address in an IPv6 one (RFC 4291 §2.5.5.2) is the IPv4 address: a socket
// that takes both shows it so.
import { ipBytes } from '../identity/ip.ts';
import { RouteFault } from '../routing/error.ts';
import { addBit, type Bits } from './bits.ts';

/** What the peer's address is; one object, read again only when the text is another one. */
export class PeerAddress {
  private text = '';
  /** 0: not known, or no address. */
  version: 0 | 4 | 6 = 0;
  /** Four words of an IPv6 address; of an IPv4 address the first. */
  readonly words = new Uint32Array(4);

  read(text: string): void {
    if (text === this.text) return;
    this.text = text;
    const zone = text.indexOf('%');
    const bytes = ipBytes(zone === -1 ? text : text.slice(0, zone));
    if (bytes === undefined) {
      this.version = 0;
      return;
    }
    const plain = bytes.length === 16 && isMapped(bytes) ? bytes.subarray(12) : bytes;
    this.version = plain.length === 4 ? 4 : 6;
    for (let word = 0; word < plain.length >> 2; word++) this.words[word] = wordAt(plain, word);
  }

  /** Of a network's `from` and `to`; of an IPv6 address the first 48 bits. */
  get key(): number {
    const { version, words } = this;
    return version === 4 ? (words[0] as number) : keyOf(words[0] as number, words[1] as number);
  }
}

function keyOf(first: number, second: number): number {
  return first * 65_536 + (second >>> 16);
}

function wordAt(bytes: Uint8Array, word: number): number {
  const at = word * 4;
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

export class Network {
  readonly version: 4 | 6;
  /** Keys of its first and last address. */
  readonly from: number;
  readonly to: number;
  private readonly words: Uint32Array;
  private readonly masks: Uint32Array;

  /** @throws RouteFault */
  constructor(text: string) {
    const [address = '', length, ...more] = text.split('/');
    const given = ipBytes(address);
    if (given === undefined || more.length > 0) throw notNetwork(text);
    const bits = length === undefined ? given.length * 8 : /^(?:0|[1-9]\d{0,2})$/.test(length) ? Number(length) : Number.NaN;
    if (!(bits <= given.length * 8)) throw notNetwork(text);
    const isInner = given.length === 16 && bits >= 96 && isMapped(given);
    const bytes = isInner ? given.subarray(12) : given;
    const prefix = isInner ? bits - 96 : bits;
    this.version = bytes.length === 4 ? 4 : 6;
    this.masks = Uint32Array.from({ length: bytes.length >> 2 }, (_, word) => maskOf(prefix - word * 32));
    this.words = Uint32Array.from(this.masks, (_, word) => wordAt(bytes, word));
    if (this.words.some((word, index) => (word & ~(this.masks[index] as number)) !== 0))
      throw new RouteFault(
        `"${text}" has bits set behind the first ${bits}`,
        `write "${address}" alone for the one address, or the first address of the network`,
      );
    const last = this.words.map((word, index) => word | ~(this.masks[index] as number));
    this.from = this.version === 4 ? (this.words[0] as number) : keyOf(this.words[0] as number, this.words[1] as number);
    this.to = this.version === 4 ? (last[0] as number) : keyOf(last[0] as number, last[1] as number);
  }

  has(address: PeerAddress): boolean {
    if (address.version !== this.version) return false;
    for (let word = 0; word < this.words.length; word++) {
      if (((address.words[word] as number) ^ (this.words[word] as number)) & (this.masks[word] as number)) return false;
    }
    return true;
  }
}

function maskOf(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? 0xffff_ffff : (0xffff_ffff << (32 - bits)) >>> 0;
}

function notNetwork(text: string): RouteFault {
  return new RouteFault(`"${text}" is neither an address nor a network`, 'write one as "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"');
}

/** Which rules an address leaves possible: the line of addresses, cut where a network begins or ends. */
export class NetworkIndex {
  private readonly base: Bits;
  private readonly lines: { readonly 4: Line; readonly 6: Line };

  /** @param base rules that ask for no network. */
  constructor(base: Bits, entries: readonly (readonly [network: Network, rule: number])[]) {
    this.base = base;
    const of = (version: 4 | 6): Line =>
      new Line(
        base,
        entries.filter(([network]) => network.version === version),
      );
    this.lines = { 4: of(4), 6: of(6) };
  }

  find(address: PeerAddress): Bits {
    return address.version === 0 ? this.base : this.lines[address.version].find(address.key);
  }
}

class Line {
  private readonly base: Bits;
  private readonly starts: Float64Array;
  private readonly pieces: readonly Bits[];

  constructor(base: Bits, entries: readonly (readonly [network: Network, rule: number])[]) {
    this.base = base;
    this.starts = Float64Array.from(new Set(entries.flatMap(([{ from, to }]) => [from, to + 1]))).sort();
    this.pieces = Array.from(this.starts, (start) => {
      const piece = base.slice();
      for (const [{ from, to }, rule] of entries) if (from <= start && start <= to) addBit(piece, rule);
      return piece;
    });
  }

  find(key: number): Bits {
    const { starts } = this;
    let low = 0;
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] as number) <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? this.base : (this.pieces[low - 1] as Bits);
  }
}
