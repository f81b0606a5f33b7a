// The commands that change what the mesh is told to be, and the one that shows it before.
import { type Command, Option } from 'commander';
import type { ApplyOptions } from '../commands/apply.ts';
import type { ConfigViewOptions } from '../commands/config-view.ts';
import type { DiffOptions } from '../commands/diff.ts';
import type { SplitOptions } from '../commands/split.ts';
import { drainTime, name } from '../options.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

const timeout = (): Option =>
  new Option('--timeout <time>', 'how long data planes are waited for, until each has acknowledged the change')
    .argParser(drainTime)
    .default(30_000, '30s');

export function addDiff(program: Command): void {
  program
    .command('diff')
    .summary('show what a mesh file would change in the running mesh')
    .description(
      'Shows what a mesh file would change in the mesh that runs, by service, rule and setting. Exit code 0: nothing; 1: something; 2: it could not be told.',
    )
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle diff', 'heddle diff -f shop/heddle.yaml -o json')}
Nothing is changed. It needs the role operator, as 'heddle apply' does.
`,
    )
    .action(result(async (options: DiffOptions) => (await import('../commands/diff.ts')).diff(options)));
}

export function addApply(program: Command): void {
  program
    .command('apply')
    .summary('change the running mesh to what a mesh file says')
    .description(
      'Puts a mesh file in place of the one that holds: shows what that changes, asks on a terminal, and waits until every data plane has acknowledged it.',
    )
    .option('-f, --file <file>', 'mesh file', 'heddle.yaml')
    .option('-y, --yes', 'do not ask', false)
    .option('--no-wait', 'do not wait for data planes')
    .addOption(timeout())
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle apply', 'heddle apply -f shop/heddle.yaml --yes --timeout 2m', 'heddle apply --yes -o json')}
The mesh changes, processes do not: run, replicas, env and the like are for
'heddle up', which goes by the file that it is started with. Weights that were
set with 'heddle split' give way to the file.

After a restart of the control plane, what was applied stays as long as the file
that it is started with is unchanged; a file that has changed counts, and an
event says so.

Files that the mesh file names (keys of issuers, authorities) are sent along.
Secrets are not: data planes read them, each on its own machine, and relative
names start from the directory of the control plane's own mesh file.

Exit code 1: some data planes have not acknowledged it, and are named.
`,
    )
    .action(result(async (options: ApplyOptions) => (await import('../commands/apply.ts')).apply(options)));
}

export function addSplit(program: Command): void {
  program
    .command('split')
    .summary('show how traffic is split, or shift it')
    .description('Shows how the rules of a service split traffic, or changes the weights of one of them while the mesh runs.')
    .argument('<service>', 'the service whose rule it is', name)
    .argument(
      '[to...]',
      'the rule, where several split traffic; then each of its destinations and its weight: v1=90 v2=10 by version, zone=a=50 by label, orders-next=10 by service',
    )
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option('--no-wait', 'do not wait for data planes')
    .addOption(timeout())
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle split orders', 'heddle split orders v1=90 v2=10', 'heddle split orders canary v1=0 v2=1 -o json')}
Shares are relative to the sum of the weights; 0 is none of the traffic. They
hold until a mesh file is applied, or the control plane is started with a file
that has changed.
`,
    )
    .action(
      result(async (service: string, words: string[], options: SplitOptions) =>
        (await import('../commands/split.ts')).split(service, words, options),
      ),
    );
}

export function addConfig(program: Command): void {
  program
    .command('config')
    .summary('show the mesh file that holds')
    .description('Shows what the mesh goes by.')
    .addHelpText('after', examples('heddle config view', 'heddle config view > heddle.yaml'))
    .command('view')
    .summary('show the mesh file that holds')
    .description('Prints the mesh file that holds: that of the control plane, or the one that was applied since.')
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle config view', 'heddle config view > heddle.yaml', 'heddle config view -o json')}
Where it comes from is told on standard error. Weights that were set with
'heddle split' are not in its text; -o json lists them, and everything that
holds otherwise than the control plane's own file says. It needs the role
operator.
`,
    )
    .action(result(async (options: ConfigViewOptions) => (await import('../commands/config-view.ts')).configView(options)));
}
