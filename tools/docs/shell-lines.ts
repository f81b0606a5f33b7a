// The commands in the lines of a shell script: one each, except where a line ends with a backslash, a quote, a loop, an `if` or a here-document
// is open.

export interface ShellCommand {
  readonly line: number;
  readonly text: string;
}

/** `first` is the number of the first line. Lines that are empty, or hold a comment only, are left out. */
export function splitCommands(lines: readonly string[], first: number): ShellCommand[] {
  const commands: ShellCommand[] = [];
  let start = 0;
  let open = '';
  for (const [index, line] of lines.entries()) {
    if (open === '') {
      if (line.trim() === '' || line.trim().startsWith('#')) continue;
      start = first + index;
    }
    open += open === '' ? line : `\n${line}`;
    if (isComplete(open)) {
      commands.push({ line: start, text: open });
      open = '';
    }
  }
  return open === '' ? commands : [...commands, { line: start, text: open }];
}

function isComplete(text: string): boolean {
  if (text.endsWith('\\')) return false;
  const here = /^(.*<<-?\s*(['"]?)(\w+)\2.*)\n/.exec(`${text}\n`);
  const [, opening = text, , end = ''] = here ?? [];
  if (here !== null && !new RegExp(`\\n\\s*${end}$`).test(text)) return false;
  const bare = withoutQuotes(opening);
  if (bare === undefined) return false;
  const words = bare.split(/[\s;]+/);
  const count = (...ones: string[]): number => words.filter((word) => ones.includes(word)).length;
  return count('do') <= count('done') && count('if') <= count('fi') && count('for', 'while', 'until') <= count('done');
}

/** Undefined while a quote is open. */
function withoutQuotes(text: string): string | undefined {
  let bare = '';
  let quote = '';
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index] ?? '';
    if (quote === '') {
      if (letter === '#' && /(^|\s)$/.test(bare)) {
        const end = text.indexOf('\n', index);
        if (end === -1) break;
        index = end - 1;
      } else if (letter === '\\') index += 1;
      else if (letter === "'" || letter === '"') quote = letter;
      else bare += letter;
    } else if (letter === '\\' && quote === '"') index += 1;
    else if (letter === quote) quote = '';
  }
  return quote === '' ? bare : undefined;
}
