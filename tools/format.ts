// Formats the code in place: everything, or the paths named.
import { resolve } from 'node:path';
import { run } from './run.ts';

const root = resolve(import.meta.dirname, '..');
const paths = process.argv.slice(2);
const result = await run(root, '@biomejs/biome/bin/biome', ['format', '--write', ...(paths.length === 0 ? ['.'] : paths)]);
process.stdout.write(result.output);
process.exitCode = result.code;
