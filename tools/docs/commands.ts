// docs/reference/cli.md, from what the command line says about itself.
import { run } from '../run.ts';

interface Command {
  /** Words after `heddle`. */
  readonly words: readonly string[];
  readonly help: string;
}

const MAIN = 'packages/cli/src/main.ts';

export async function commandPage(root: string): Promise<string> {
  const [top, ...commands] = await allCommands(root);
  const sections = commands.map(({ words, help }) => `## heddle ${words.join(' ')}\n\n${fenced(help)}`);
  return `# Commands

<!-- Written by \`npm run docs\` from packages/cli/src/program/; change it there. -->

In a clone the command is \`./heddle\`. Exit codes: 0 fine, 1 the check or request failed, 2 wrong usage. Results go to
standard output, everything else to standard error. \`-o json\` and \`-o yaml\` are for scripts.

${fenced(top?.help ?? '')}

${sections.join('\n\n')}
`;
}

/** Every command with its help, the program itself first; commands that only hold others are left out. */
export async function allCommands(root: string, words: readonly string[] = []): Promise<Command[]> {
  const help = await helpText(root, words);
  const nested = await Promise.all(subcommands(help).map((name) => allCommands(root, [...words, name])));
  return [...(nested.length === 0 || words.length === 0 ? [{ words, help }] : []), ...nested.flat()];
}

async function helpText(root: string, words: readonly string[]): Promise<string> {
  const { code, output } = await run(root, `${root}/${MAIN}`, [...words, '--help'], {
    NO_COLOR: '1',
    NODE_OPTIONS: '--conditions=heddle-source',
  });
  if (code !== 0) throw new Error(`heddle ${words.join(' ')} --help ended with ${code}:\n${output}`);
  return output;
}

/** Names in the list that commander prints below "Commands:". */
function subcommands(help: string): string[] {
  const list = /^Commands:\n((?: {2,}.*\n)*)/m.exec(help)?.[1] ?? '';
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help');
}

function fenced(text: string): string {
  return `\`\`\`text\n${text.trim().replace(/[ \t]+$/gm, '')}\n\`\`\``;
}
