// The commands that look: at a running mesh, or at a mesh file.
import type { Command } from 'commander';
import type { CheckOptions } from '../commands/check.ts';
import type { DescribeProxyOptions } from '../commands/describe-proxy.ts';
import type { GetOptions, Kind } from '../commands/get.ts';
import type { ValidateOptions } from '../commands/validate.ts';
import { name } from '../options.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

export function addGet(program: Command): void {
  program
    .command('get')
    .summary('list services, instances, routes, proxies, events or load')
    .description('Lists what the control plane knows.')
    .addArgument(program.createArgument('<kind>', 'what to list').choices(['services', 'instances', 'routes', 'proxies', 'events', 'load']))
    .addOption(output())
    .option('-w, --watch', 'list again at every change, and events as they happen, until Ctrl-C', false)
    .option('--service <name>', 'only this service, its instances and routes, or what happened to them', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      examples(
        'heddle get services',
        'heddle get instances --watch',
        'heddle get routes --service orders',
        'heddle get proxies -o json',
        'heddle get events --service orders',
      ),
    )
    .action(result(async (kind: Kind, options: GetOptions) => (await import('../commands/get.ts')).get(kind, options)));
}

export function addDescribe(program: Command): void {
  const command = program
    .command('describe')
    .summary('show everything about one proxy')
    .description('Shows everything that the control plane knows about one thing.')
    .addHelpText('after', examples('heddle describe proxy node-1'));
  command
    .command('proxy')
    .summary('show what a proxy was given, what it has taken, and what it carries')
    .description(
      'Shows a proxy, or another data plane, with the configuration it was given and has acknowledged or refused, and with the load it reports.',
    )
    .argument('<node>', 'its name in `heddle get proxies`')
    .addOption(output())
    .option('--resources', 'list every resource, not only those that are not in sync', false)
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle describe proxy node-1', 'heddle describe proxy node-1 --resources -o json')}
The hash stands for all resources by name and version: equal hashes mean equal
configuration. It is computed from what the proxy has acknowledged; Heddle's own
proxies also say theirs with each load report, and show it at /sync of their
admin API.
`,
    )
    .action(
      result(async (node: string, options: DescribeProxyOptions) =>
        (await import('../commands/describe-proxy.ts')).describeProxy(node, options),
      ),
    );
}

export function addCheck(program: Command): void {
  program
    .command('check')
    .summary('find out what is wrong with a running mesh')
    .description('Looks at a running mesh from end to end and says what is wrong and how to mend it. Exit code 1 when something is.')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText('after', examples('heddle check', 'heddle check -o json'))
    .action(result(async (options: CheckOptions) => (await import('../commands/check.ts')).check(options)));
}

export function addValidate(program: Command): void {
  program
    .command('validate')
    .summary('check a mesh file')
    .description('Checks a mesh file and prints every problem with its place. Exit code 1 when there is an error.')
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .option('--strict', 'warnings count as errors')
    .addOption(output())
    .addHelpText('after', examples('heddle validate', 'heddle validate --strict', 'heddle validate -f shop/heddle.yaml -o json'))
    .action(result(async (options: ValidateOptions) => (await import('../commands/validate.ts')).validate(options)));
}
