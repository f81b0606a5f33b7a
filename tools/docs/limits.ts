// docs/reference/limits.md, from the table of limits and from the limits of the codecs, whose comments say what they are for.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Limit } from '@heddle/core';
import { DEFAULT_HTTP1_LIMITS, DEFAULT_HTTP2_LIMITS } from '@heddle/wire';
import type { Http2Budget } from '@heddle/wire';

const ROOT = join(import.meta.dirname, '../..');

type CodecLimits = Readonly<Record<string, number | Http2Budget>>;

/** A property of an interface with its comment. */
const DOCUMENTED = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*readonly (\w+)\??:/g;

type LimitTable = Readonly<Record<string, Limit>>;

/** @param control of the control plane */
export function limitsPage(limits: LimitTable, control: LimitTable): string {
  const rowsOf = (all: LimitTable): string[] => Object.entries(all).map(([name, limit]) => row(name, amount(limit), limit.reason));
  return `# Limits

<!-- Written by \`npm run docs\` from packages/core/src/limits/{table,control-table}.ts and packages/wire/src/{http1,http2}/limits.ts; change them there. -->

Everything that a peer can make a data plane hold, spend or wait for has a limit, which applies before the memory is spent.

${table(rowsOf(limits))}

## What the control plane keeps of traffic

What [traffic](../guides/traffic.md) says is kept takes no more than this.

${table(rowsOf(control))}

## HTTP/1.1

What the codec itself limits. Where a limit above says the same with another value, that one holds.

${codecTable('packages/wire/src/http1/limits.ts', DEFAULT_HTTP1_LIMITS as unknown as CodecLimits)}

## HTTP/2

The same for HTTP/2. A budget is what may happen at once, and how it refills: with time, with each request that both sides ended, and with each
DATA frame that carries something. A connection whose peer uses it up ends with \`ENHANCE_YOUR_CALM\`.

${codecTable('packages/wire/src/http2/limits.ts', DEFAULT_HTTP2_LIMITS as unknown as CodecLimits)}
`;
}

function codecTable(path: string, defaults: CodecLimits): string {
  const source = readFileSync(join(ROOT, path), 'utf8');
  const rows: string[] = [];
  for (const [, comment = '', name = ''] of source.matchAll(DOCUMENTED)) {
    const value = defaults[name];
    if (value === undefined) continue;
    const text = comment.replaceAll(/\s*\n\s*\*\s*/g, ' ').trim();
    rows.push(row(name, typeof value === 'number' ? value.toLocaleString('en-US') : budget(value), text));
  }
  const missing = Object.keys(defaults).filter((name) => !rows.some((line) => line.startsWith(`| \`${name}\``)));
  if (missing.length > 0) throw new Error(`${path}: no comment says what ${missing.join(', ')} is for`);
  return table(rows);
}

function table(rows: readonly string[]): string {
  return `| limit | value | reason |\n|---|---|---|\n${rows.join('\n')}`;
}

function row(name: string, value: string, reason: string): string {
  return `| \`${name}\` | ${value} | ${reason.replaceAll('|', '\\|')} |`;
}

function amount({ value, unit }: Limit): string {
  const number = value.toLocaleString('en-US');
  return unit === 'count' ? number : `${number} ${unit}`;
}

function budget({ burst, perSecond, perExchange, perData }: Http2Budget): string {
  const refills = [`${perSecond} a second`];
  if (perExchange > 0) refills.push(`${perExchange} a request`);
  if (perData > 0) refills.push(`${perData} a DATA frame`);
  return `${burst.toLocaleString('en-US')}; ${refills.join(', ')}`;
}
