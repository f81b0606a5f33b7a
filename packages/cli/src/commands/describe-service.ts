// `heddle describe service`: what a service is, its instances, how requests to it are routed, and who may call it.
import { openControl } from '../control-client.ts';
import { CliError, type ExitCode } from '../errors.ts';
import { formatData, formatTable } from '../output/format.ts';
import type { OutputFormat } from '../output/formats.ts';
import { paletteFor } from '../output/palette.ts';
import { requireStateDirectory } from '../state-directory.ts';
import { policyRow, policyText } from './get-policies.ts';
import { ROUTE_COLUMNS, routeRow } from './get-routes.ts';

export interface DescribeServiceOptions {
  readonly namespace: string;
  readonly output: OutputFormat;
  readonly stateDir?: string;
}

export async function describeService(name: string, { namespace, output, stateDir }: DescribeServiceOptions): Promise<ExitCode> {
  const control = openControl(requireStateDirectory(stateDir));
  try {
    const ref = { namespace, name };
    const service = (await control.services()).find((one) => one.namespace === namespace && one.name === name);
    if (service === undefined) throw new CliError(`there is no service ${namespace}/${name}`, 'see `heddle get services`');
    const [routes, policies] = await Promise.all([control.routes(ref), control.policies(ref)]);
    if (output !== 'table') {
      const { instances, ...facts } = service;
      const rows = { ...facts, instances, routes: routes.map(routeRow), policies: { ...policies, rules: policies.rules.map(policyRow) } };
      process.stdout.write(formatData(rows, output));
      return 0;
    }
    const palette = paletteFor(process.stdout, process.env);
    const { port, protocol, labels, instances } = service;
    const labelled = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
    const sections = [
      `service    ${namespace}/${name}\nport       ${port}, ${protocol}\n${labelled.length === 0 ? '' : `labels     ${labelled.join(', ')}\n`}`,
      `instances\n${instances.length === 0 ? '  none\n' : indented(instances.map(({ id, health }) => `${id}  ${health}`).join('\n'))}`,
      `routes\n${routes.length === 0 ? '  none: it carries bytes\n' : indented(formatTable(ROUTE_COLUMNS, routes.map(routeRow), palette))}`,
      `who may call it\n${indented(policyText(policies, palette))}`,
    ];
    process.stdout.write(sections.join('\n'));
    return 0;
  } finally {
    control.close();
  }
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}\n`)
    .join('');
}
