// The checks that are a tool's own: format, lint, types, dead code.
import { sourceFiles } from '../files.ts';
import { run } from '../run.ts';
import type { Check, CheckResult } from './check.ts';

interface Tool {
  readonly name: string;
  readonly what: string;
  readonly script: string;
  readonly args: readonly string[];
  /** It is called a second time with these. */
  readonly again?: readonly string[];
  /** Shortens what the tool says when it fails. */
  readonly summarise?: (output: string) => string;
}

const TOOLS: readonly Tool[] = [
  {
    name: 'format',
    what: 'format (biome)',
    script: '@biomejs/biome/bin/biome',
    args: ['format', '--colors=off', '--max-diagnostics=none', '.'],
    summarise: unformatted,
  },
  {
    name: 'lint',
    what: 'lint (oxlint, with types)',
    script: 'oxlint/bin/oxlint',
    args: ['--type-aware', '--deny-warnings', '--report-unused-disable-directives', '--format=unix'],
  },
  {
    name: 'types',
    what: 'types (tsc)',
    script: '@typescript/native/bin/tsc',
    args: ['-p', 'tsconfig.json', '--pretty', 'false'],
    // What runs in a browser has its own idea of what there is.
    again: ['-p', 'packages/dashboard/tsconfig.json', '--pretty', 'false'],
  },
  {
    name: 'dead',
    what: 'dead code and dependencies (knip)',
    script: 'knip/bin/knip.js',
    args: ['--no-progress', '--no-config-hints'],
  },
];

export const TOOL_CHECKS: readonly Check[] = TOOLS.map(({ name, what, script, args, again, summarise }) => ({
  name,
  what,
  run: async (root: string): Promise<CheckResult> => {
    const results = [await run(root, script, args), ...(again === undefined ? [] : [await run(root, script, again)])];
    const code = results.find((result) => result.code !== 0)?.code ?? 0;
    const output = results.map((result) => result.output).join('');
    return { ok: code === 0, detail: `${sourceFiles(root).length} files`, output: code === 0 ? '' : (summarise ?? trim)(output) };
  },
}));

function trim(output: string): string {
  return output.trim();
}

/** The differences would fill pages and nobody mends them by hand: the names are enough. */
function unformatted(output: string): string {
  const files = [...output.matchAll(/^(\S+) format [━ ]+/gmu)].map(([, file]) => file);
  return files.length === 0 || output.includes(' parse ') ? output.trim() : `run \`npm run format\`; it would change ${files.join(', ')}`;
}
