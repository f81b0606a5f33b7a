// `heddle __complete -- WORD…`: what may stand in place of the last word, for the scripts of `heddle completion`. Never fails: a shell that asks
// shows nothing else.
import type { Command } from 'commander';
import { complete, type Candidate } from '../completion/candidates.ts';
import type { ExitCode } from '../errors.ts';

export async function completeWords(program: Command, words: readonly string[]): Promise<ExitCode> {
  const completion = complete(program, words);
  if (completion.kind === 'files' || completion.kind === 'directories') {
    process.stdout.write(`:${completion.kind}\n`);
    return 0;
  }
  process.stdout.write((completion.kind === 'candidates' ? completion.candidates : await named(completion, words)).map(lineOf).join(''));
  return 0;
}

async function named(
  { names, prefix, words }: Extract<ReturnType<typeof complete>, { kind: 'names' }>,
  all: readonly string[],
): Promise<Candidate[]> {
  const { namesOf } = await import('../completion/names.ts');
  const isAdmin = names === 'tokens' && all.includes('--admin');
  const found = await namesOf(isAdmin ? 'admin-tokens' : names, words, stateDirectoryIn(all));
  // Of a list, the part behind the last comma.
  const head = names === 'services' ? prefix.slice(0, prefix.lastIndexOf(',') + 1) : '';
  const assigned = /^(--[\w-]+=)/.exec(all.at(-1) ?? '')?.[1] ?? '';
  return found
    .map(({ value, description }) => ({ value: `${assigned}${head}${value}`, description }))
    .filter(({ value }) => value.startsWith(`${assigned}${prefix}`));
}

function stateDirectoryIn(words: readonly string[]): string | undefined {
  const at = words.indexOf('--state-dir');
  return at === -1 ? words.find((word) => word.startsWith('--state-dir='))?.slice('--state-dir='.length) : words[at + 1];
}

/** A description is one line without what a terminal would act upon. */
function lineOf({ value, description }: Candidate): string {
  const text = description.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 100);
  return `${value}${text === '' ? '' : `\t${text}`}\n`;
}
