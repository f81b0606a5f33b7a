// `heddle describe service`: what a service is, its instances, how requests to it are routed, and who may call it.
import type { discovery } from '@heddle/api';
import { serviceKey, type ServiceRef } from '@heddle/core';
import { type ControlClient, openControl } from '../control-client.ts';
import type { ExitCode } from '../errors.ts';
import { formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { unknownName } from '../output/unknown.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { policyRow, policyText } from './get-policies.ts';
import { ROUTE_COLUMNS, routeRow } from './get-routes.ts';
import { splitData } from './split.ts';

export interface DescribeServiceOptions {
  readonly namespace: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function describeService(name: string, { namespace, output, stateDir }: DescribeServiceOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const ref = { namespace, name };
    const service = await serviceNamed(ref, control);
    const [routes, policies, splits] = await Promise.all([control.routes(ref), control.policies(ref), control.splits(ref)]);
    if (output !== 'table') {
      const { instances, ...facts } = service;
      const rows = {
        ...facts,
        instances,
        routes: routes.map(routeRow),
        splits: splits.map(splitData),
        policies: { ...policies, rules: policies.rules.map(policyRow) },
      };
      process.stdout.write(formatData(rows, output));
      return 0;
    }
    const palette = paletteFor(process.stdout, process.env);
    const { port, protocol, labels, instances } = service;
    const labelled = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
    const changed = splits.filter(({ weights }) => weights.some(({ weightInFile }) => weightInFile !== undefined));
    const live = changed.map(
      ({ route }) => `  the split of ${route} was changed since the mesh file was read: see \`heddle split ${name}\`\n`,
    );
    const sections = [
      `service    ${namespace}/${name}\nport       ${port}, ${protocol}\n${labelled.length === 0 ? '' : `labels     ${labelled.join(', ')}\n`}`,
      `instances\n${instances.length === 0 ? '  none\n' : indented(instances.map(({ id, health }) => `${id}  ${health}`).join('\n'))}`,
      `routes\n${routes.length === 0 ? '  none: it carries bytes\n' : indented(formatTable(ROUTE_COLUMNS, routes.map(routeRow), palette))}${live.join('')}`,
      `who may call it\n${indented(policyText(policies, palette))}`,
    ];
    process.stdout.write(sections.join('\n'));
    return 0;
  } finally {
    control.close();
  }
}

/** Throws CliError. */
export async function serviceNamed({ namespace, name }: ServiceRef, control: ControlClient): Promise<discovery.ListedService> {
  const services = await control.services();
  const found = services.find((one) => one.namespace === namespace && one.name === name);
  if (found !== undefined) return found;
  const known = services.map((one) => (one.namespace === namespace ? one.name : serviceKey(one)));
  throw await unknownName('service', name, known, '`heddle get services`');
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}\n`)
    .join('');
}
