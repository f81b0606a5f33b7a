// docs/reference/limits.md, from the table of limits.
import type { Limit } from '@heddle/core';

export function limitsPage(limits: Readonly<Record<string, Limit>>): string {
  const rows = Object.entries(limits).map(([name, limit]) => `| \`${name}\` | ${amount(limit)} | ${limit.reason.replaceAll('|', '\\|')} |`);
  return `# Limits

<!-- Written by \`npm run docs\` from packages/core/src/limits/table.ts; change it there. -->

Everything that a peer can make a data plane hold, spend or wait for has a limit, which applies before the memory is spent.

| limit | value | reason |
|---|---|---|
${rows.join('\n')}
`;
}

function amount({ value, unit }: Limit): string {
  const number = value.toLocaleString('en-US');
  return unit === 'count' ? number : `${number} ${unit}`;
}
