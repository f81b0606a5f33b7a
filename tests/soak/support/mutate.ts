// Turns messages that are right into ones that are nearly right. A message is a list of parts (lines, frames, bodies), so that faults happen
// at the borders that matter as well as inside.
import type { Dice } from './dice.ts';

export type Message = readonly Buffer[];

/** What a number may become: beyond every width that a parser could have, and the edges of these. */
const TEXT_NUMBERS = [
  '0',
  '00000000000000000001',
  '-1',
  '+5',
  '0x10',
  '1e3',
  '65536',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '99999999999999999999999999',
  '7fffffff',
  'ffffffffffffffff',
  '5, 5',
  '',
] as const;
const EDGE_BYTES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x0d, 0x20, 0x3a] as const;
const DIGITS = /[0-9]+/g;

type Mutation = (parts: Buffer[], dice: Dice, other: () => Message) => void;

const MUTATIONS: readonly (readonly [weight: number, mutation: Mutation])[] = [
  [6, flipBits],
  [4, edgeBytes],
  [4, otherNumber],
  [3, insertBytes],
  [3, removeBytes],
  [3, duplicatePart],
  [2, dropPart],
  [2, swapParts],
  [2, splice],
  [2, frameHead],
  [1, repeatPart],
  [3, cut],
];

/** One to several faults. The message itself stays as it is. */
export function mutate(message: Message, dice: Dice, other: () => Message): Buffer[] {
  const parts = message.map((part) => Buffer.from(part));
  for (let count = dice.size(6); count >= 0; count--) if (parts.length > 0) dice.weighted(MUTATIONS)(parts, dice, other);
  return parts;
}

function anyPart(parts: readonly Buffer[], dice: Dice): { at: number; part: Buffer } {
  const at = dice.int(0, parts.length - 1);
  return { at, part: parts[at]! };
}

function flipBits(parts: Buffer[], dice: Dice): void {
  const { part } = anyPart(parts, dice);
  if (part.length === 0) return;
  for (let count = dice.size(16); count >= 0; count--) part[dice.int(0, part.length - 1)]! ^= 1 << dice.int(0, 7);
}

function edgeBytes(parts: Buffer[], dice: Dice): void {
  const { part } = anyPart(parts, dice);
  if (part.length === 0) return;
  const start = dice.int(0, part.length - 1);
  part.fill(dice.pick(EDGE_BYTES), start, Math.min(part.length, start + dice.int(1, 4)));
}

function otherNumber(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  const found = [...part.toString('latin1', 0, 4096).matchAll(DIGITS)];
  if (found.length === 0) return edgeBytes(parts, dice);
  const { index, 0: digits } = dice.pick(found);
  parts[at] = Buffer.concat([part.subarray(0, index), Buffer.from(dice.pick(TEXT_NUMBERS)), part.subarray(index + digits.length)]);
}

function insertBytes(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  const where = dice.int(0, part.length);
  const what = dice.chance(0.5) ? dice.bytes(dice.size(64)) : Buffer.alloc(dice.size(20_000), dice.pick(EDGE_BYTES));
  parts[at] = Buffer.concat([part.subarray(0, where), what, part.subarray(where)]);
}

function removeBytes(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  const start = dice.int(0, part.length);
  parts[at] = Buffer.concat([part.subarray(0, start), part.subarray(start + dice.size(32))]);
}

function duplicatePart(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  parts.splice(at, 0, Buffer.from(part));
}

function repeatPart(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  const times = Math.min(dice.size(2_000), Math.ceil(100_000 / (part.length + 1)));
  parts.splice(at, 0, Buffer.concat(Array.from({ length: times }, () => part)));
}

function dropPart(parts: Buffer[], dice: Dice): void {
  parts.splice(anyPart(parts, dice).at, 1);
}

function swapParts(parts: Buffer[], dice: Dice): void {
  const [a, b] = [anyPart(parts, dice), anyPart(parts, dice)];
  parts[a.at] = b.part;
  parts[b.at] = a.part;
}

function splice(parts: Buffer[], dice: Dice, other: () => Message): void {
  const from = other().map((part) => Buffer.from(part));
  const start = dice.int(0, Math.max(0, from.length - 1));
  parts.splice(dice.int(0, parts.length), 0, ...from.slice(start, start + dice.int(1, 6)));
}

/** As if the part were an HTTP/2 frame: its length, type, flags or stream. */
function frameHead(parts: Buffer[], dice: Dice): void {
  const { part } = anyPart(parts, dice);
  if (part.length < 9) return;
  switch (dice.int(0, 3)) {
    case 0:
      part.writeUIntBE(dice.pick([0, 1, part.length - 10 < 0 ? 0 : part.length - 10, part.length - 8, 16_385, 0xffffff]), 0, 3);
      break;
    case 1:
      part[3] = dice.int(0, 12);
      break;
    case 2:
      part[4]! ^= dice.pick([1, 4, 8, 0x20, 0xff]);
      break;
    default:
      part.writeUInt32BE(dice.pick([0, 1, 2, 3, 5, 7, 0x7fffffff, 0x80000001]), 5);
  }
}

function cut(parts: Buffer[], dice: Dice): void {
  const { at, part } = anyPart(parts, dice);
  parts[at] = part.subarray(0, dice.int(0, part.length));
  if (dice.chance(0.5)) parts.length = at + 1;
}
