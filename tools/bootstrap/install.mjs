// Installs the dependencies exactly as the lock file says, when they are missing or the lock file has changed since.
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { runNpm } from './npm.mjs';
import { BootstrapError, explain } from './report.mjs';

const STAMP = 'node_modules/.heddle-stamp';
/** Written by npm at the end of an install. */
const NPM_RECORD = 'node_modules/.package-lock.json';

/** @param {string} root @param {string} node */
export async function ensureInstalled(root, node) {
  if (isInstalled(root)) return;
  await withLock(join(root, '.toolchain/lock'), async (hold) => {
    if (isInstalled(root)) return;
    // npm removes node_modules first, stamp included: an interrupted install is seen as none.
    const npm = runNpm({
      node,
      folder: root,
      // No dependency needs an install script, so none may run.
      args: ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--include=dev', '--include=optional'],
      doing: 'installing the dependencies (once, and again when package-lock.json changes)',
      failed: 'the dependencies could not be installed',
      hold,
    });
    await npm.catch((error) => {
      // npm may have finished its own record although files are missing; without it nothing counts as installed.
      rmSync(join(root, NPM_RECORD), { force: true });
      throw error;
    });
    writeStamp(root);
  });
}

/** Whether node_modules is what package-lock.json asks for, on this platform. @param {string} root @returns {boolean} */
export function isInstalled(root) {
  const expected = stampText(root);
  if (readText(join(root, STAMP)) === expected) return true;
  if (!npmInstalledTheSame(root)) return false;
  try {
    writeStamp(root);
  } catch {
    // A read-only clone is fine as long as everything is there; it is only compared again at each start.
  }
  return true;
}

/** @param {string} root */
function writeStamp(root) {
  try {
    writeFileSync(join(root, STAMP), stampText(root));
  } catch (error) {
    throw explain('cannot write in node_modules', String(error));
  }
}

/** @param {string} root @returns {string} */
function stampText(root) {
  const lock = readText(join(root, 'package-lock.json'));
  if (lock === undefined)
    throw new BootstrapError(`there is no package-lock.json in ${root}.`, 'The clone is incomplete: check it out again.');
  return `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`;
}

/**
 * Someone may have run npm by hand. Its record then tells what is there; packages for other
 * platforms may be absent from it.
 * @param {string} root @returns {boolean}
 */
function npmInstalledTheSame(root) {
  const hidden = readText(join(root, NPM_RECORD));
  const lock = readText(join(root, 'package-lock.json'));
  if (hidden === undefined || lock === undefined) return false;
  try {
    const wanted = JSON.parse(lock).packages;
    const present = JSON.parse(hidden).packages;
    for (const [path, entry] of Object.entries(wanted)) {
      if (path === '' || entry.link === true) continue;
      const found = present[path];
      if (found === undefined ? !mayBeAbsent(entry) : !isSame(found, entry)) return false;
    }
    return Object.keys(present).every((path) => wanted[path] !== undefined);
  } catch {
    return false;
  }
}

/** @param {{ version?: string, integrity?: string }} found @param {{ version?: string, integrity?: string }} wanted */
function isSame(found, wanted) {
  return found.version === wanted.version && found.integrity === wanted.integrity;
}

/**
 * Packages for other platforms are left out, and so is what only they need.
 * @param {{ optional?: boolean, devOptional?: boolean, os?: string[], cpu?: string[], libc?: string[] }} entry
 */
function mayBeAbsent({ optional, devOptional, os, cpu, libc }) {
  if (optional !== true && devOptional !== true) return false;
  const isForThisPlatform = os?.includes(process.platform) === true && cpu?.includes(process.arch) === true && libc === undefined;
  return !isForThisPlatform;
}

/** @param {string} path @returns {string | undefined} */
function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
