// The command line: what commands and options there are, with examples. Each is described in `program/`; what it does
// is in `commands/`, imported when called.
import { Command, CommanderError, type Option } from 'commander';
import { CliError, exitCodeOf, formatError, type ExitCode } from './errors.ts';
import { addApply, addConfig, addDiff, addSplit } from './program/change.ts';
import { addDrain, addRestart } from './program/instances.ts';
import { addTap, addTop } from './program/live.ts';
import { addRun, addUp } from './program/mesh.ts';
import { addControl, addProxy } from './program/planes.ts';
import { addCheck, addDashboard, addDescribe, addExplain, addGet, addValidate } from './program/look.ts';
import { addExport } from './program/export.ts';
import { addIdentity, addToken } from './program/identity.ts';
import { addCa } from './program/ca.ts';
import { addCompletion } from './program/completion.ts';
import { addPolicy } from './program/policy.ts';
import { addCapture } from './program/capture.ts';
import { examples, takeOutcome } from './program/parts.ts';
import { VERSION } from './version.ts';

/** Runs one command to its end and returns the exit code. Never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  const program = buildProgram();
  try {
    await program.parseAsync([...args], { from: 'user' });
    return takeOutcome();
  } catch (error) {
    if (error instanceof CommanderError) return usageError(error, helpCommand(program, args));
    process.stderr.write(formatError(error, process.env));
    return exitCodeOf(error);
  }
}

/** The help of the command that was meant. */
function helpCommand(program: Command, args: readonly string[]): string {
  let command = program;
  const words = [program.name()];
  for (const word of args) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) break;
    words.push(word);
    command = next;
  }
  return `see \`${words.join(' ')} --help\``;
}

function usageError(error: CommanderError, help: string): ExitCode {
  // Help and version were asked for, and have been written.
  if (error.exitCode === 0) return 0;
  // Commander has written the help of a command that needs a subcommand.
  if (error.code === 'commander.help') return 2;
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\(Did you mean (.+)\?\)$/.exec(rest.join(' ').trim())?.[1];
  const mend = suggestion === undefined ? help : `did you mean ${suggestion}? Or ${help}`;
  // Commander puts our sentence after its own.
  const message = first
    .replace(/^command-argument value /, '')
    .replace(/^(.* is invalid(?: for argument '\w+')?)\. (.)/, (_, what: string, letter: string) => `${what}: ${letter.toLowerCase()}`)
    .replace(/\.$/, '');
  process.stderr.write(formatError(new CliError(message, mend, { exitCode: 2 }), process.env));
  return 2;
}

function buildProgram(): Command {
  const program = new Command('heddle')
    .description('A service mesh: connects, balances, heals and secures the calls between services.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showSuggestionAfterError(true)
    .configureHelp({ optionDescription: describe })
    .exitOverride()
    // Errors are written once, in our own form.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      'after',
      examples('heddle up', 'heddle get instances --watch', 'heddle run --service orders --port 8080 -- node server.js'),
    );
  for (const add of [
    addUp,
    addRun,
    addGet,
    addDescribe,
    addExplain,
    addTop,
    addTap,
    addCheck,
    addDashboard,
    addDrain,
    addRestart,
    addValidate,
    addDiff,
    addApply,
    addSplit,
    addConfig,
    addPolicy,
    addToken,
    addIdentity,
    addCa,
    addExport,
    addControl,
    addProxy,
    addCapture,
    addCompletion,
  ])
    add(program);
  for (const command of allCommands(program)) command.exitOverride().configureOutput({ outputError: () => {} });
  return program;
}

/** The description with choices and default as a person would type them; switches are off by default, which goes without saying. */
function describe({ description, defaultValue, defaultValueDescription, argChoices }: Option): string {
  const choices = argChoices === undefined ? [] : [argChoices.join(', ')];
  const hasDefault = defaultValue !== undefined && defaultValue !== false;
  const facts = hasDefault ? [...choices, `default: ${defaultValueDescription ?? String(defaultValue)}`] : choices;
  return facts.length === 0 ? description : `${description} (${facts.join('; ')})`;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}
