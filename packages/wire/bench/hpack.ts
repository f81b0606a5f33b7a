// Prints what header compression of a realistic request costs. Nothing is asserted: run it before and after a change.
//   node --conditions=heddle-source packages/wire/bench/hpack.ts [rounds]

import { BlockWriter, FieldList, HpackDecoder, HpackEncoder, type HpackEncoderOptions } from '../src/hpack/index.ts';

type Fields = readonly (readonly [name: string, value: string])[];

const STEADY: Fields = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'orders.mesh.internal'],
  [':path', '/api/v2/orders?include=items,customer&limit=50'],
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['accept', 'application/json, text/plain, */*'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['accept-language', 'en-GB,en;q=0.7,de;q=0.3'],
  ['x-forwarded-proto', 'https'],
  ['via', '1.1 heddle'],
  ['te', 'trailers'],
  ['cookie', 'session=8f14e45fceea167a5a36dedd4bea2543; theme=dark'],
];

/** As above, with three values that differ from request to request. */
function varying(round: number): Fields {
  const id = (round * 0x9e3779b1).toString(16).padStart(16, '0').slice(-12);
  return STEADY.slice(0, 9).concat([
    [':path', received(`/api/v2/orders/${id}`)],
    ['x-request-id', received(`0d6f2b1e-6a55-4d0f-9a5c-${id}`)],
    ['traceparent', received(`00-4bf92f3577b34da6a3ce${id}-00f067aa0ba902b7-01`)],
  ]);
}

/** The text as one that was decoded from bytes: put together it would be another kind of string inside, and slower to read. */
function received(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

const rounds = Number(process.argv[2] ?? 1_000_000);
/** Too many for the encoder to remember, few enough for the caches of the processor. */
const VARIANTS = 256;
const variants = Array.from({ length: VARIANTS }, (_, round) => varying(round));
const writer = new BlockWriter();
const list = new FieldList();
let bytes = 0;

function report(name: string, run: (round: number) => void): void {
  for (let round = 0; round < 50_000; round++) run(round);
  const results: number[] = [];
  for (let repeat = 0; repeat < 5; repeat++) {
    const before = process.hrtime.bigint();
    for (let round = 0; round < rounds / 5; round++) run(round);
    results.push(Number(process.hrtime.bigint() - before) / (rounds / 5));
  }
  results.sort((a, b) => a - b);
  process.stdout.write(
    `${name.padEnd(44)} ${results[0]!.toFixed(0).padStart(6)} ns best, ${results[2]!.toFixed(0).padStart(6)} ns median\n`,
  );
}

function encode(encoder: HpackEncoder, fields: Fields): void {
  writer.reset();
  encoder.begin(writer);
  for (let at = 0; at < fields.length; at++) encoder.field(fields[at]![0], fields[at]![1]);
  bytes += writer.length;
}

function decode(decoder: HpackDecoder, block: Buffer, length: number): void {
  const fault = decoder.decode(block, 0, length, list);
  if (fault !== undefined) throw new Error(fault);
}

function run(name: string, all: readonly Fields[], options: HpackEncoderOptions = {}): void {
  const alone = new HpackEncoder(options);
  const encoder = new HpackEncoder(options);
  const decoder = new HpackDecoder();
  const bytesBefore = bytes;
  let blocks = 0;
  process.stdout.write(`${name}: ${all[0]!.length} fields\n`);
  report('  encode', (round) => {
    blocks++;
    encode(alone, all[round % all.length]!);
  });
  const blockBytes = (bytes - bytesBefore) / blocks;
  // Together, since a block that enters something into the table can be decoded only once.
  report('  encode + decode', (round) => {
    encode(encoder, all[round % all.length]!);
    decode(decoder, writer.bytes, writer.length);
  });
  const next = new HpackEncoder(options);
  report('  encode + decode + pass on', (round) => {
    encode(encoder, all[round % all.length]!);
    decode(decoder, writer.bytes, writer.length);
    writer.reset();
    next.begin(writer);
    for (let at = 0; at < list.count; at++) next.pass(list.fields[at]!);
  });
  process.stdout.write(`  ${blockBytes.toFixed(0)} bytes a block\n`);
}

process.stdout.write(`node ${process.version}\n`);
run('all indexed', [STEADY]);
run('three literals', variants);
run('three literals, without Huffman', variants, { huffman: false });
run('nothing indexed', variants, { indexing: 'never' });
process.stdout.write(`(${bytes} bytes out)\n`);
