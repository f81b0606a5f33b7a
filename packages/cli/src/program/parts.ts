// What the descriptions of commands are made of.
import { type Command, Option } from 'commander';
import type { ExitCode } from '../errors.ts';
import { labels, locality, outputFormat, weight } from '../options.ts';
import { OUTPUT_FORMATS } from '../output/formats.ts';

export type Outcome = Promise<ExitCode>;

/** Where a result goes that only the exit code tells. */
let outcome: ExitCode = 0;

/** What the command that ran has come to; 0 when none has, as after `--help`. */
export function takeOutcome(): ExitCode {
  const taken = outcome;
  outcome = 0;
  return taken;
}

export function result<Args extends unknown[]>(run: (...args: Args) => Outcome): (...args: Args) => Promise<void> {
  return async (...args) => {
    outcome = await run(...args);
  };
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

export const stateDirectory = (): Option => new Option('--state-dir <dir>', 'state directory (default: .heddle here or above)');
export const output = (): Option =>
  new Option('-o, --output <format>', `${OUTPUT_FORMATS.join(', ')}`).default('table').argParser(outputFormat);
export const logLevel = (): Option =>
  new Option('--log-level <level>', 'how much to log').choices(['debug', 'info', 'warn', 'error', 'silent']).default('info');
export const logFormat = (): Option =>
  new Option('--log-format <format>', 'form of the log: pretty on a terminal, else json, unless it is chosen').choices(['json', 'pretty']);

/** What an instance says of itself, however it comes into the mesh. `where`: what is told besides about the place. */
export function addInstanceOptions(command: Command, where = ''): Command {
  return command
    .option('--instance-version <text>', 'version of the program')
    .option('--labels <name=value>', 'labels of the instance; several times, or with commas', labels)
    .option('--locality <region/zone>', `where the instance runs${where}`, locality)
    .option('--weight <number>', 'share of the calls, in relation to other instances', weight, 1);
}
