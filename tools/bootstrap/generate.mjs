// Generates the protobuf code when it is missing or older than what it is made from.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { BootstrapError, explain, say } from './report.mjs';

const OUTPUT = 'packages/api/src/gen';
const STAMP = `${OUTPUT}/.heddle-stamp`;
const PROTOS = 'packages/api/proto';
const GENERATOR = 'tools/generate.ts';

/** @param {string} root @param {string} node */
export async function ensureGenerated(root, node) {
  if (isGenerated(root)) return;
  await withLock(join(root, '.toolchain/lock'), async () => {
    if (isGenerated(root)) return;
    say('generating code from the protobuf contracts');
    const output = await run(node, ['--conditions=heddle-source', join(root, GENERATOR)], root);
    if (output !== undefined)
      throw new BootstrapError(
        `the protobuf code could not be generated:\n${output}`,
        `Mend what the message names in ${PROTOS} and start again.`,
      );
    try {
      mkdirSync(join(root, OUTPUT), { recursive: true });
      writeFileSync(join(root, STAMP), inputHash(root));
    } catch (error) {
      throw explain(`cannot write in ${OUTPUT}`, String(error));
    }
  });
}

/** @param {string} root @returns {boolean} */
export function isGenerated(root) {
  try {
    return existsSync(join(root, STAMP)) && readFileSync(join(root, STAMP), 'utf8') === inputHash(root);
  } catch {
    return false;
  }
}

/** Everything the generated code depends on: the contracts, the generator, and the versions of what it calls. @param {string} root @returns {string} */
function inputHash(root) {
  const hash = createHash('sha256');
  const folders = [PROTOS];
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
  hash.update(readFileSync(join(root, GENERATOR))).update(readFileSync(join(root, 'package-lock.json')));
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
