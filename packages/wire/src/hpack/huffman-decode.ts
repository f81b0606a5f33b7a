// Huffman decoding (RFC 7541 §5.2) by a state table: state × byte → next state and up to two symbols (the shortest code has five bits).
// States are the inner nodes of the code's tree.

import { EOS, HUFFMAN_BITS, HUFFMAN_CODES } from './huffman-code.ts';

/** A code of 257 symbols has 256 inner nodes. */
const STATES = 256;
/** Entry: bits 0–7 next state, 8–15 first symbol, 16–23 second symbol, 24–25 how many, 26 EOS was reached. */
const SYMBOLS_SHIFT = 24;
const DEAD = 1 << 26;

/** Children of inner nodes, two each: another inner node, or STATES + symbol. */
const TREE = buildTree();
/** Built with the first Huffman-coded string: 65,536 entries take about a millisecond, which a start should not spend in vain. */
let table: Int32Array | undefined;
/** Nodes at which a string may end: at most seven bits behind the last symbol, all set. */
const ACCEPTS = buildAccepts();

/** The most bytes that so many coded bytes can stand for. */
export function decodedBytesMax(codedBytes: number): number {
  return Math.floor((codedBytes * 8) / 5);
}

/** Decodes bytes[start, end) to `out` from 0 on, which must have room for `decodedBytesMax`. Returns how many bytes it gave, or -1: EOS or
 *  padding that is too long or not all set. */
export function huffmanDecode(bytes: Uint8Array, start: number, end: number, out: Uint8Array): number {
  const entries = (table ??= buildTable());
  let state = 0;
  let to = 0;
  for (let at = start; at < end; at++) {
    const entry = entries[(state << 8) | bytes[at]!]!;
    state = entry & 0xff;
    if (entry >= 1 << SYMBOLS_SHIFT) {
      out[to++] = entry >> 8;
      if (entry >= 2 << SYMBOLS_SHIFT) {
        if (entry >= DEAD) return -1;
        out[to++] = entry >> 16;
      }
    }
  }
  return ACCEPTS[state] === 1 ? to : -1;
}

function buildTree(): Int16Array {
  const tree = new Int16Array(STATES * 2);
  let nodes = 1;
  for (let symbol = 0; symbol <= EOS; symbol++) {
    const bits = HUFFMAN_BITS[symbol]!;
    let node = 0;
    for (let bit = bits - 1; bit >= 0; bit--) {
      const child = node * 2 + ((HUFFMAN_CODES[symbol]! >>> bit) & 1);
      if (bit === 0) tree[child] = STATES + symbol;
      else node = tree[child] === 0 ? (tree[child] = nodes++) : tree[child]!;
    }
  }
  return tree;
}

function buildTable(): Int32Array {
  const built = new Int32Array(STATES * 256);
  for (let state = 0; state < STATES; state++) {
    for (let byte = 0; byte < 256; byte++) built[(state << 8) | byte] = entryOf(state, byte);
  }
  return built;
}

function entryOf(state: number, byte: number): number {
  let node = state;
  let symbols = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const next = TREE[node * 2 + ((byte >> bit) & 1)]!;
    node = next;
    if (next < STATES) continue;
    if (next === STATES + EOS) return DEAD;
    symbols |= (next - STATES) << (8 + 8 * count++);
    node = 0;
  }
  return node | symbols | (count << SYMBOLS_SHIFT);
}

function buildAccepts(): Uint8Array {
  const accepts = new Uint8Array(STATES);
  for (let node = 0, depth = 0; depth < 8; depth++) {
    accepts[node] = 1;
    node = TREE[node * 2 + 1]!;
  }
  return accepts;
}
