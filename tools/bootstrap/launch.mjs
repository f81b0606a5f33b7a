// Runs the target in the foreground and ends as it ends. The target gets each signal once: Ctrl-C in a terminal reaches the whole
// process group by itself (and again through npm), so it is passed on only where no terminal does.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { explain } from './report.mjs';

/** @param {string} node @param {string[]} args @param {string} folder @returns {Promise<number>} the exit code */
export function launch(node, args, folder) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, {
      cwd: folder,
      stdio: 'inherit',
      env: { ...process.env, PATH: pathWith(node, process.env['PATH'] ?? '') },
    });
    process.on('SIGINT', () => {
      if (!terminalSignalsGroup()) child.kill('SIGINT');
    });
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    process.on('SIGHUP', () => child.kill('SIGHUP'));
    child.on('error', (error) => reject(explain(`cannot start ${node}`, String(error))));
    child.on('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/**
 * `node` in the commands that the target starts must be the same Node; a PATH where it already is stays as it is.
 * @param {string} node @param {string} path @returns {string}
 */
export function pathWith(node, path) {
  for (const folder of path.split(delimiter)) {
    const candidate = join(folder, 'node');
    if (folder === '' || !existsSync(candidate)) continue;
    if (realpathSync(candidate) === realpathSync(node)) return path;
    break;
  }
  return `${dirname(node)}${delimiter}${path}`;
}

/** Whether this process is in the foreground of a terminal, which then signals the target as well. @returns {boolean} */
function terminalSignalsGroup() {
  try {
    // proc(5), /proc/pid/stat: after the name in parentheses come state, ppid, pgrp, session, tty_nr, tpgid.
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\)\s/s, '')
      .split(' ');
    return fields[5] === fields[2];
  } catch {
    return process.stdin.isTTY === true || process.stdout.isTTY === true || process.stderr.isTTY === true;
  }
}
