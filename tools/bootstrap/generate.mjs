// Makes what is made of other files and not committed, when it is missing or older than what it is made from: the protobuf code, and the pages
// of the dashboard.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { BootstrapError, explain, say } from './report.mjs';

/**
 * One thing that is made: `output` by `tools/<tool>`, of what is in `input`. All paths are relative to the root.
 * @typedef {{ output: string, input: string, tools: string[], doing: string, failed: string }} Product
 */

/** @type {readonly Product[]} */
const PRODUCTS = [
  {
    output: 'packages/api/src/gen',
    input: 'packages/api/proto',
    tools: ['tools/generate.ts'],
    doing: 'generating code from the protobuf contracts',
    failed: 'the protobuf code could not be generated',
  },
  {
    output: 'packages/dashboard/dist',
    input: 'packages/dashboard/src',
    tools: ['tools/dashboard.ts', 'tools/bundle.ts'],
    doing: 'building the dashboard',
    failed: 'the dashboard could not be built',
  },
];

/** @param {string} root @param {string} node */
export async function ensureGenerated(root, node) {
  const stale = () => PRODUCTS.filter((product) => !isFresh(root, product));
  if (stale().length === 0) return;
  await withLock(join(root, '.toolchain/lock'), async () => {
    for (const product of stale()) await make(root, node, product);
  });
}

/** @param {string} root @param {string} node @param {Product} product */
async function make(root, node, { output, input, tools, doing, failed }) {
  say(doing);
  const printed = await run(node, ['--conditions=heddle-source', join(root, tools[0] ?? '')], root);
  if (printed !== undefined) throw new BootstrapError(`${failed}:\n${printed}`, `Mend what the message names in ${input} and start again.`);
  try {
    mkdirSync(join(root, output), { recursive: true });
    writeFileSync(stampOf(root, output), inputHash(root, { input, tools }));
  } catch (error) {
    throw explain(`cannot write in ${output}`, String(error));
  }
}

/** @param {string} root @param {string} output */
function stampOf(root, output) {
  return join(root, output, '.heddle-stamp');
}

/** @param {string} root @param {Product} product @returns {boolean} */
function isFresh(root, product) {
  try {
    const stamp = stampOf(root, product.output);
    return existsSync(stamp) && readFileSync(stamp, 'utf8') === inputHash(root, product);
  } catch {
    return false;
  }
}

/** Everything the product depends on: what it is made of, what makes it, and the versions of what that calls. @param {string} root @param {Pick<Product, 'input' | 'tools'>} product @returns {string} */
function inputHash(root, { input, tools }) {
  const hash = createHash('sha256');
  const folders = [input];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = readdirSync(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      else
        hash
          .update(`${path}\0`)
          .update(readFileSync(join(root, path)))
          .update('\0');
    }
  }
  for (const tool of tools) hash.update(readFileSync(join(root, tool)));
  hash.update(readFileSync(join(root, 'package-lock.json')));
  return `${hash.digest('hex')}\n`;
}

/** Undefined when it went well, else what it printed. @param {string} node @param {string[]} args @param {string} folder @returns {Promise<string | undefined>} */
function run(node, args, folder) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => reject(explain(`cannot start ${node}`, String(error))));
    child.on('close', (code) => resolve(code === 0 ? undefined : output));
  });
}
