// The checks that are a tool's own: format, lint, types, dead code.
import { sourceFiles } from '../files.ts';
import { run } from '../run.ts';
import type { Check, CheckResult } from './check.ts';

interface Tool {
  readonly name: string;
  readonly what: string;
  readonly script: string;
  readonly args: readonly string[];
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
  { name: 'types', what: 'types (tsc)', script: '@typescript/native/bin/tsc', args: ['-p', 'tsconfig.json', '--pretty', 'false'] },
  {
    name: 'dead',
    what: 'dead code and dependencies (knip)',
    script: 'knip/bin/knip.js',
    args: ['--no-progress', '--no-config-hints'],
  },
];

export const TOOL_CHECKS: readonly Check[] = TOOLS.map(({ name, what, script, args, summarise }) => ({
  name,
  what,
  run: async (root: string): Promise<CheckResult> => {
    const { code, output } = await run(root, script, args);
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
