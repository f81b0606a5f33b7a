// The commands about the mesh's certificate authority.
import { type Command, Option } from 'commander';
import type { RotateOptions, RotateStep } from '../commands/ca-rotate.ts';
import { examples, output, result, stateDirectory } from './parts.ts';

export function addCa(program: Command): void {
  const ca = program
    .command('ca')
    .summary('look after the certificate authority')
    .description('The certificate authority of the mesh: its root, and how that is replaced.')
    .addHelpText('after', examples('heddle ca rotate status', 'heddle ca rotate --auto'));
  ca.command('rotate')
    .summary('replace the root without a failed request')
    .description(
      'Replaces the root of the mesh in three steps. start: a new root is added to what everybody trusts. use: certificates come from it. finish: the old root is removed. Each step is refused while something stands in its way, and says what that is. status: how far it is. abort: goes back.',
    )
    .addArgument(ca.createArgument('[step]', 'what to do (default: status)').choices(['start', 'use', 'finish', 'status', 'abort']))
    .addOption(
      new Option('--auto', 'make all three steps, each as soon as it can be made; the control plane goes on with it by itself').default(
        false,
      ),
    )
    .option('--force', 'make the step although something stands in its way: who has not got the new root yet is cut off', false)
    .addOption(output())
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples('heddle ca rotate --auto', 'heddle ca rotate start', 'heddle ca rotate status -o json', 'heddle ca rotate use', 'heddle ca rotate finish')}
Certificates are renewed soon after the roots have changed: a rotation takes about a
minute. It goes on where it was when the control plane restarts.
See docs/guides/certificates.md.
`,
    )
    .action(
      result(async (step: RotateStep | undefined, options: RotateOptions) =>
        (await import('../commands/ca-rotate.ts')).rotate(step, options),
      ),
    );
}
