// Which rules a text leaves possible, by the texts it begins with: a tree of beginnings, each with all rules of the shorter ones, so that a
// look-up is one walk without a copy.
import { addBit, type Bits } from './bits.ts';

interface Node {
  /** What follows what the parent stands for. Not empty, but for the root. */
  label: string;
  children: Map<number, Node> | undefined;
  /** Rules that ask for exactly this beginning. */
  readonly own: number[];
  /** With those of all shorter beginnings. */
  bits: Bits;
}

export class PrefixIndex {
  private readonly root: Node;

  /** @param base rules that ask for no beginning. */
  constructor(base: Bits, entries: Iterable<readonly [prefix: string, rule: number]>) {
    this.root = { label: '', children: undefined, own: [], bits: base };
    for (const [prefix, rule] of entries) insert(this.root, prefix, rule);
    spread(this.root);
  }

  /** The same object for the same beginnings: not to be changed. */
  find(text: string): Bits {
    let node = this.root;
    for (let at = 0; node.children !== undefined && at < text.length; ) {
      const child = node.children.get(text.charCodeAt(at));
      if (child === undefined || !text.startsWith(child.label, at)) break;
      at += child.label.length;
      node = child;
    }
    return node.bits;
  }
}

function insert(root: Node, prefix: string, rule: number): void {
  let node = root;
  let rest = prefix;
  while (rest !== '') {
    node.children ??= new Map();
    const child = node.children.get(rest.charCodeAt(0));
    if (child === undefined) {
      const leaf: Node = { label: rest, children: undefined, own: [rule], bits: root.bits };
      node.children.set(rest.charCodeAt(0), leaf);
      return;
    }
    const shared = sharedLength(child.label, rest);
    if (shared < child.label.length) split(child, shared);
    node = child;
    rest = rest.slice(shared);
  }
  node.own.push(rule);
}

/** The node stands for the shorter text from now on; what it was is its child. */
function split(node: Node, length: number): void {
  const below: Node = { label: node.label.slice(length), children: node.children, own: node.own.splice(0), bits: node.bits };
  node.label = node.label.slice(0, length);
  node.children = new Map([[below.label.charCodeAt(0), below]]);
}

function sharedLength(one: string, other: string): number {
  const end = Math.min(one.length, other.length);
  let length = 0;
  while (length < end && one.charCodeAt(length) === other.charCodeAt(length)) length++;
  return length;
}

/** Not by recursion: the tree may be as deep as a path is long. */
function spread(root: Node): void {
  const waiting: (readonly [Node, Bits])[] = [[root, root.bits]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [node, above] = next;
    node.bits = node.own.length === 0 ? above : above.slice();
    for (const rule of node.own) addBit(node.bits, rule);
    for (const child of node.children?.values() ?? []) waiting.push([child, node.bits]);
  }
}
