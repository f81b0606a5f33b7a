// The JSON Schema of the mesh file, for editors, from the same schema that the parser uses.
import { z } from 'zod';
import { MeshFile } from './schema/mesh.ts';

/** JSON Schema, draft 2020-12. `packages/core/schema/heddle.schema.json` is this, written by `npm run docs`. */
export function jsonSchema(): Record<string, unknown> {
  const { $schema, ...schema } = z.toJSONSchema(MeshFile, { io: 'input', target: 'draft-2020-12' });
  return { $schema, title: 'Heddle mesh file', ...schema };
}

/** The text of the schema file. */
export function jsonSchemaText(): string {
  return `${JSON.stringify(jsonSchema(), null, 2)}\n`;
}
