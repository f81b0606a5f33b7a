// Completion in shells: the command that prints a script, and the one that the scripts ask.
import { type Command, Argument } from 'commander';
import { SCRIPTS, SHELLS, type Shell } from '../completion/scripts.ts';
import { examples, result } from './parts.ts';

export function addCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print what completes commands in bash, zsh or fish')
    .description('Prints a script with which a shell completes commands, options, their values, and names of what a running mesh has.')
    .addArgument(new Argument('<shell>', 'for which shell').choices(SHELLS))
    .addHelpText(
      'after',
      `${examples('source <(heddle completion bash)', 'heddle completion zsh > ~/.zfunc/_heddle', 'heddle completion fish > ~/.config/fish/completions/heddle.fish')}
Names come from the mesh of the state directory; where it does not answer at
once, there are none.
`,
    )
    .action(
      result((shell: Shell) => {
        process.stdout.write(SCRIPTS[shell]);
        return Promise.resolve(0);
      }),
    );
  program
    .command('__complete [words...]', { hidden: true })
    .description('Lists what may stand in place of the last word.')
    .action(result(async (words: string[]) => (await import('../commands/complete.ts')).completeWords(program, words)));
}
