// `heddle split`: shows how rules split traffic, or changes the weights of one while the mesh runs.
import { serviceKey } from '@heddle/core';
import type { ServiceRef } from '@heddle/core';
import { nearest } from '@heddle/core/config';
import type { admin } from '@heddle/api';
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData, formatTable, type Column } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { exitCodeOf, synced, syncText, type WaitOptions } from './apply.ts';

export interface SplitOptions extends WaitOptions {
  readonly namespace: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

type Split = admin.SplitMessage;
type Weight = admin.SplitWeightMessage;

/** @param words the rule, if it is named, and weights; none: nothing is changed. */
export async function split(name: string, words: readonly string[], options: SplitOptions): Promise<ExitCode> {
  const service = { namespace: options.namespace, name };
  const rule = words[0]?.includes('=') === false ? words[0] : undefined;
  const given = words.slice(rule === undefined ? 0 : 1).map(givenWeight);
  const control = openControl(requireStateDirectory(options.stateDir));
  try {
    const splits = (await control.splits(service)).filter(({ route }) => rule === undefined || route === rule || given.length > 0);
    if (given.length === 0) return show(splits, service, rule, options.output);
    const before = chosen(splits, service, rule);
    const weights = given.map(({ text, weight }) => ({ ...destinationOf(text, before), weight, weightInFile: undefined }));
    const done = await control.setSplit(service, before.route, weights);
    const sync = await synced(control, options);
    const after = done.split ?? before;
    if (options.output !== 'table') {
      const value = { revision: done.revision, ...splitData(after), before: splitData(before).weights, sync: sync ?? null };
      process.stdout.write(formatData(value, options.output));
    } else process.stdout.write(`${name}, rule ${after.route}: ${changeText(before, after)}${syncText(sync)}\n`);
    return exitCodeOf(sync);
  } finally {
    control.close();
  }
}

function show(splits: readonly Split[], service: ServiceRef, rule: string | undefined, output: OutputFormat): ExitCode {
  if (splits.length === 0) throw noSplit(service, rule);
  if (output !== 'table') {
    process.stdout.write(formatData(splits.map(splitData), output));
    return 0;
  }
  const rows = splits.flatMap((one) => one.weights.map((weight, index) => ({ one, weight, index })));
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'RULE', cell: ({ one, index }) => (index === 0 ? one.route : '') },
    { title: 'TO', cell: ({ weight }) => destinationText(weight) },
    { title: 'WEIGHT', cell: ({ weight }) => String(weight.weight) },
    { title: 'SHARE', cell: ({ one, index }) => sharesOf(one)[index] ?? '' },
    { title: 'IN THE FILE', cell: ({ weight }) => (weight.weightInFile === undefined ? 'the same' : String(weight.weightInFile)) },
  ];
  process.stdout.write(formatTable(columns, rows, paletteFor(process.stdout, process.env)));
  return 0;
}

function givenWeight(text: string): { readonly text: string; readonly weight: number } {
  const [, what, number] = /^(.+)=(\d{1,7})%?$/.exec(text) ?? [];
  if (what === undefined) throw new CliError(`${JSON.stringify(text)} is not WHAT=WEIGHT`, 'for example v1=90', { exitCode: 2 });
  return { text: what, weight: Number(number) };
}

function chosen(splits: readonly Split[], service: ServiceRef, rule: string | undefined): Split {
  const [first, second] = rule === undefined ? splits : splits.filter(({ route }) => route === rule);
  if (first === undefined) throw noSplit(service, rule, splits);
  if (second === undefined) return first;
  const names = splits.map(({ route }) => route).join(', ');
  throw new CliError(`several rules of ${serviceKey(service)} split traffic`, `name one of ${names}`, { exitCode: 2 });
}

function noSplit(service: ServiceRef, rule: string | undefined, splits: readonly Split[] = []): CliError {
  if (rule === undefined || splits.length === 0)
    return new CliError(
      `${rule === undefined ? `no rule of ${serviceKey(service)} splits` : `${serviceKey(service)} has no rule ${JSON.stringify(rule)} that splits`} traffic`,
      'give a rule several destinations in the mesh file: "to: [{ labels: { version: v1 }, weight: 90 }, …]"; `heddle get routes` shows what there is',
    );
  const names = splits.map(({ route }) => route);
  const near = nearest(rule, names);
  const mend = near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`;
  return new CliError(`${serviceKey(service)} has no rule ${JSON.stringify(rule)} that splits traffic`, mend);
}

/** `v2` by its version, `version=v2` or `zone=a,version=v2` by labels, `orders-next` or `shop/orders-next` by its service. Throws CliError. */
function destinationOf(text: string, { route, weights }: Split): Pick<Weight, 'service' | 'labels'> {
  const found = weights.filter((one) => namesOf(one).includes(text));
  const [first, second] = found;
  if (first !== undefined && second === undefined) return { service: first.service, labels: first.labels };
  const known = weights.map(destinationText).join(', ');
  const what = first === undefined ? `rule ${route} does not lead to ${text}` : `${text} stands for several destinations of rule ${route}`;
  throw new CliError(what, `there are ${known}`, { exitCode: 2 });
}

function namesOf({ service, labels }: Weight): string[] {
  const texts = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const name = service.slice(service.indexOf('/') + 1);
  return [service, name, texts.join(','), texts.toReversed().join(','), labels['version'] ?? name];
}

function destinationText({ service, labels }: Weight): string {
  const texts = Object.entries(labels).map(([key, value]) => (key === 'version' ? value : `${key}=${value}`));
  return texts.length === 0 ? service.replace(/^default\//, '') : texts.join(',');
}

function sharesOf({ weights }: Split): string[] {
  const sum = weights.reduce((total, { weight }) => total + weight, 0);
  return weights.map(({ weight }) => `${Math.round((1_000 * weight) / sum) / 10} %`);
}

function changeText(before: Split, after: Split): string {
  const was = sharesOf(before);
  const parts = sharesOf(after).map((share, index) => {
    const from = was[index] === share ? '' : `${was[index]} → `;
    return `${destinationText(after.weights[index] as Weight)} ${from}${share}`;
  });
  return parts.join(', ');
}

/** As programs get it. */
export function splitData({ service, route, weights }: Split): { readonly weights: readonly object[] } {
  return {
    ...{ service, route },
    weights: weights.map(({ service: to, labels, weight, weightInFile }) => ({
      service: to,
      labels,
      weight,
      inFile: weightInFile ?? weight,
    })),
  };
}
