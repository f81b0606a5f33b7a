// Writes docs/reference/errors.md from the error table. Run: node packages/core/tools/write-errors.ts
import { mkdirSync, writeFileSync } from 'node:fs';
import { errorsMarkdown } from '../src/errors/markdown.ts';

const page = new URL('../../../docs/reference/errors.md', import.meta.url);
mkdirSync(new URL('.', page), { recursive: true });
writeFileSync(page, errorsMarkdown());
