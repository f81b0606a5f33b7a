// The commands that change what a running instance does.
import { type Command, Option } from 'commander';
import type { DrainOptions } from '../commands/drain.ts';
import type { RestartOptions } from '../commands/restart.ts';
import { drainTime } from '../options.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

const timeout = (): Option =>
  new Option('--timeout <time>', 'how long data planes are waited for, until none of them chooses it any more')
    .argParser(drainTime)
    .default(30_000, '30s');

export function addDrain(program: Command): void {
  program
    .command('drain')
    .summary('take an instance out of rotation')
    .description('Takes an instance out of rotation and waits until no data plane chooses it any more.')
    .argument('<instance>', 'its name, or SERVICE/INSTANCE, or NAMESPACE/SERVICE/INSTANCE')
    .addOption(timeout())
    .option('--reason <text>', 'why, for people who look at it', '')
    .option('--undo', 'put it back into rotation', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle drain orders-1', 'heddle drain orders/orders-1 --timeout 2m -o json', 'heddle drain orders-1 --undo')}
The instance goes on running, and answers what is under way. It stays out of
rotation, also when it is started again, until --undo. Exit code 0: every data
plane that could have chosen it has acknowledged, so it may be stopped. Exit
code 1: some have not, and are named.
`,
    )
    .action(result(async (name: string, options: DrainOptions) => (await import('../commands/drain.ts')).drain(name, options)));
}

export function addRestart(program: Command): void {
  program
    .command('restart')
    .summary('restart the instances of a running mesh one by one')
    .description('Restarts a service of a running `heddle up`, instance by instance, or one instance, without losing a call.')
    .argument('<name>', 'a service, or an instance')
    .addOption(timeout())
    .option('--force', 'restart an instance although some data planes may still choose it', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle restart orders', 'heddle restart orders-2 -o json')}
Each instance leaves rotation, is stopped once every data plane has acknowledged
and requests under way have ended, is started, and must be healthy before the
next one is touched. At the first that is not, it stops, with exit code 1. The
calls to a service of one instance fail while that is restarted.
`,
    )
    .action(result(async (name: string, options: RestartOptions) => (await import('../commands/restart.ts')).restart(name, options)));
}
