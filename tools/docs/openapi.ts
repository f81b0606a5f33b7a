// docs/reference/openapi.json, from the table of operations of the REST API.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiDocument } from '../../packages/control/src/rest/openapi.ts';

export function openApiText(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'packages/control/package.json'), 'utf8')) as { version: string };
  return `${JSON.stringify(openApiDocument(version), null, 2)}\n`;
}
