// Writes the mesh file's JSON Schema, which editors read. Run: node packages/core/tools/write-schema.ts
import { mkdirSync, writeFileSync } from 'node:fs';
import { jsonSchemaText } from '../src/config/json-schema.ts';

const file = new URL('../schema/heddle.schema.json', import.meta.url);
mkdirSync(new URL('.', file), { recursive: true });
writeFileSync(file, jsonSchemaText());
