// What may stand at the end of a command line: read from the commands themselves, so that nothing can be forgotten here. Pure: names that only a
// running mesh knows are asked for by kind.
import type { Argument, Command, Option } from 'commander';

/** What only a running mesh knows. */
export type NameKind = 'services' | 'namespaces' | 'instances' | 'nodes' | 'splits' | 'instances-and-services' | 'tokens' | 'admin-tokens';

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export type Completion =
  | { readonly kind: 'candidates'; readonly candidates: readonly Candidate[] }
  /** `words`: those before it on the command line, without options. */
  | { readonly kind: 'names'; readonly names: NameKind; readonly prefix: string; readonly words: readonly string[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'directories' };

const NOTHING: Completion = { kind: 'candidates', candidates: [] };

/** By what they are called where they are described; those with choices know their values themselves. */
const NAMES: Readonly<Record<string, NameKind>> = {
  '--service': 'services',
  '--from': 'services',
  '--uses': 'services',
  '--namespace': 'namespaces',
  '--node': 'nodes',
  service: 'services',
  identity: 'services',
  instance: 'instances',
  node: 'nodes',
  name: 'instances-and-services',
  to: 'splits',
  id: 'tokens',
};
const DIRECTORIES = ['--state-dir', '--identity-dir', '--dir', '--out'];
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'CONNECT'];

/** @param words what stands after the program; the last one is being written, and may be empty. */
export function complete(program: Command, words: readonly string[]): Completion {
  const [before, current] = [words.slice(0, -1), words.at(-1) ?? ''];
  let command = program;
  const positionals: string[] = [];
  const given = new Set<Option>();
  for (let index = 0; index < before.length; index += 1) {
    const word = before[index] as string;
    // What follows is not for us: the command of a process.
    if (word === '--') return { kind: 'files' };
    const option = word.startsWith('-') ? optionOf(command, word) : undefined;
    if (option !== undefined) {
      given.add(option);
      if (!takesValue(option) || word.includes('=')) continue;
      if (index === before.length - 1) return valuesOf(option.long ?? '', option, current, positionals);
      index += 1;
      continue;
    }
    if (word.startsWith('-')) continue;
    const next =
      positionals.length === 0 ? command.commands.find((child) => child.name() === word || child.aliases().includes(word)) : undefined;
    if (next === undefined) positionals.push(word);
    else command = next;
  }
  const [, written = '', value] = /^(--[\w-]+)=(.*)$/s.exec(current) ?? [];
  const assigned = value === undefined ? undefined : optionOf(command, written);
  if (value !== undefined && assigned !== undefined) return assign(written, valuesOf(assigned.long ?? '', assigned, value, positionals));
  if (current.startsWith('-')) return candidates(optionCandidates(command, given), current);
  return positional(command, positionals, current);
}

function positional(command: Command, positionals: readonly string[], current: string): Completion {
  const { registeredArguments: slots } = command;
  const slot = slots[Math.min(positionals.length, slots.length - 1)];
  const subcommands = positionals.length > 0 ? [] : visible(command);
  if (subcommands.length > 0)
    return candidates(
      subcommands.map((child) => ({ value: child.name(), description: child.summary() || child.description() })),
      current,
    );
  if (slot === undefined || (positionals.length >= slots.length && !slot.variadic)) return NOTHING;
  return valuesOf(slot.name(), slot, current, positionals);
}

function valuesOf(
  called: string,
  { argChoices, description }: Pick<Option | Argument, 'argChoices' | 'description'>,
  prefix: string,
  words: readonly string[],
): Completion {
  if (argChoices !== undefined) return candidates(argChoices.map(plain), prefix);
  const names = NAMES[called];
  if (names !== undefined) return { kind: 'names', names, prefix, words };
  if (DIRECTORIES.includes(called)) return { kind: 'directories' };
  if (called === '--output' && /\bjson\b/.test(description)) return candidates(description.split(', ').map(plain), prefix);
  if (called === 'method') return candidates(METHODS.map(plain), prefix);
  return /file|socket|command|roots|cert|key$|cases/.test(called) || called === '--output' || called === '--static'
    ? { kind: 'files' }
    : NOTHING;
}

function optionCandidates(command: Command, given: ReadonlySet<Option>): Candidate[] {
  const own = command.options.filter(
    (option) => !option.hidden && typeof option.long === 'string' && (!given.has(option) || option.parseArg !== undefined),
  );
  return [
    ...own.map((option) => ({ value: option.long as string, description: option.description })),
    { value: '--help', description: 'print help' },
  ];
}

function optionOf(command: Command, word: string): Option | undefined {
  const name = word.split('=', 1)[0];
  return command.options.find(({ long, short }) => long === name || short === name);
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function assign(option: string, completion: Completion): Completion {
  if (completion.kind !== 'candidates') return completion;
  return {
    kind: 'candidates',
    candidates: completion.candidates.map(({ value, description }) => ({ value: `${option}=${value}`, description })),
  };
}

function visible(command: Command): Command[] {
  return command.createHelp().visibleCommands(command);
}

function plain(value: string): Candidate {
  return { value, description: '' };
}

function candidates(all: readonly Candidate[], prefix: string): Completion {
  return { kind: 'candidates', candidates: all.filter(({ value }) => value.startsWith(prefix)) };
}
