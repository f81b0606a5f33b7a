// Writes the reference pages that are made from code. `npm run docs` brings them up to date, `npm run check` fails when they are not.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CONTROL_LIMITS, LIMITS, METRIC_GROUPS, METRIC_LABELS } from '@heddle/core';
import { jsonSchema, jsonSchemaText } from '@heddle/core/config';
import { errorsMarkdown } from '../packages/core/src/errors/markdown.ts';
import { commandPage } from './docs/commands.ts';
import { limitsPage } from './docs/limits.ts';
import { metricsPage } from './docs/metrics.ts';
import { meshFilePage, type Schema } from './docs/mesh-file.ts';
import { openApiText } from './docs/openapi.ts';

export interface Document {
  /** Relative to the root. */
  readonly path: string;
  readonly text: string;
}

export async function documents(root: string): Promise<Document[]> {
  return [
    { path: 'docs/reference/cli.md', text: await commandPage(root) },
    { path: 'docs/reference/errors.md', text: errorsMarkdown() },
    { path: 'docs/reference/limits.md', text: limitsPage(LIMITS, CONTROL_LIMITS) },
    { path: 'docs/reference/mesh-file.md', text: meshFilePage(jsonSchema() as Schema) },
    {
      path: 'docs/reference/metrics.md',
      text: metricsPage(METRIC_GROUPS, METRIC_LABELS, LIMITS.metricSeriesMax.value),
    },
    { path: 'docs/reference/openapi.json', text: openApiText(root) },
    { path: 'packages/core/schema/heddle.schema.json', text: jsonSchemaText() },
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = resolve(import.meta.dirname, '..');
  for (const { path, text } of await documents(root)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    process.stdout.write(`wrote ${path}\n`);
  }
}
