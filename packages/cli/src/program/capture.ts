// `heddle capture` and its three commands.
import type { Command } from 'commander';
import type { CaptureApplyOptions, CaptureShowOptions } from '../commands/capture.ts';
import { capturedUser, capturedWorkload } from '../commands/capture-options.ts';
import { instanceName, port } from '../options.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

export function addCapture(program: Command): void {
  const capture = program
    .command('capture')
    .summary('send calls to virtual addresses through the proxy')
    .description(
      'Every service has a virtual address that is the same everywhere. Sends the calls of programs on this machine to such addresses through the proxy, with a table of nftables; nothing in the programs changes. Linux only.',
    )
    .addHelpText(
      'after',
      examples(
        'sudo heddle capture apply --state-dir .heddle',
        'sudo heddle capture show --state-dir .heddle',
        'sudo heddle capture remove',
      ),
    );
  const ofProxy = (command: Command): Command =>
    command
      .option(
        '--admin-port <port>',
        "port of the proxy's admin API (default: that of `heddle up` in the state directory, else 15020)",
        port(1),
      )
      .option('--admin-token-file <file>', 'token of the admin API (default: proxy-<node>.token in the state directory)')
      .option('--node <name>', 'name of the proxy (default: that of this machine; of `heddle run`: the instance)', instanceName)
      .addOption(stateDirectory());
  ofProxy(capture.command('apply'))
    .summary('install the rules')
    .description('Installs the rules, all at once, in place of those of an earlier call. When they are as they should be, nothing changes.')
    .option(
      '--workload <workload>',
      'as which workload the calls are made: NAMESPACE/SERVICE/INSTANCE, several times, or all (default: the only one)',
      capturedWorkload,
    )
    .option(
      '--uid <user>',
      'the user whose calls are meant, by number: UID, or NAMESPACE/SERVICE/INSTANCE=UID, several times (default: every user)',
      capturedUser,
    )
    .option('--dry-run', 'print the rules for `nft -f -` and install nothing', false)
    .addHelpText(
      'after',
      `${examples(
        'sudo heddle capture apply --state-dir .heddle',
        'sudo heddle capture apply --state-dir .heddle --workload default/web/web-1',
        'sudo heddle capture apply --state-dir .heddle --uid default/web/web-1=1001 --uid default/orders/orders-1=1002',
        'heddle capture apply --dry-run | sudo nft -f -',
      )}
Install the rules again when services come or go, or ports of the proxy change:
\`heddle capture show\` tells when they are no longer as they should be.
`,
    )
    .action(result(async (options: CaptureApplyOptions) => (await import('../commands/capture.ts')).captureApply(options)));
  ofProxy(capture.command('show'))
    .summary('show the rules of the kernel')
    .description(
      'Shows which calls are captured, as the kernel has it, with the number of connections, and whether all is as it should be. Exit code 1 when it is not.',
    )
    .addOption(output())
    .addHelpText('after', examples('sudo heddle capture show --state-dir .heddle', 'sudo heddle capture show --state-dir .heddle -o json'))
    .action(result(async (options: CaptureShowOptions) => (await import('../commands/capture.ts')).captureShow(options)));
  capture
    .command('remove')
    .summary('remove the rules')
    .description('Removes the rules, and nothing else. Captured connections that are open may stall: let them end first.')
    .addHelpText('after', examples('sudo heddle capture remove'))
    .action(result(async () => (await import('../commands/capture.ts')).captureRemove()));
}
