// Finds the machine's npm and runs it with a Node of our choice, quietly: its output is shown only when it fails.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { BootstrapError, explain, say } from './report.mjs';

const STILL_BUSY_MS = 15_000;
/** npm prints little; this is only against a runaway. */
const OUTPUT_CHARS_MAX = 200_000;

/**
 * npm's own script, or a program of that name where it is wrapped.
 * @param {NodeJS.ProcessEnv} env @param {string} execPath @returns {{ script: string } | { program: string }}
 */
export function findNpm(env, execPath) {
  // npm names itself to the scripts it runs; other package managers put themselves there too.
  const named = env['npm_execpath'];
  if (named !== undefined && basename(named) === 'npm-cli.js' && existsSync(named)) return { script: named };
  const prefix = dirname(dirname(safeRealpath(execPath)));
  for (const folder of ['lib/node_modules', 'share/nodejs', 'share/node_modules']) {
    const script = join(prefix, folder, 'npm/bin/npm-cli.js');
    if (existsSync(script)) return { script };
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const program = join(folder, 'npm');
    if (folder === '' || folder.includes('node_modules/.bin') || !existsSync(program)) continue;
    const real = safeRealpath(program);
    return real.endsWith('.js') ? { script: real } : { program };
  }
  throw new BootstrapError(
    'npm was found neither beside Node nor on PATH; it is needed to install the dependencies.',
    'Install npm with the package manager that brought Node (on Debian: `apt-get install npm`), then start again.',
  );
}

/**
 * Runs npm in a folder; throws a BootstrapError that names the cause.
 * @param {{ node: string, folder: string, args: string[], doing: string, failed: string, hold: (pid: number) => void }} options
 */
export async function runNpm({ node, folder, args, doing, failed, hold }) {
  const npm = findNpm(process.env, process.execPath);
  const [command, commandArgs] = 'script' in npm ? [node, [npm.script, ...args]] : [npm.program, args];
  const startMs = Date.now();
  say(doing);
  const ticker = setInterval(() => say(`still at it after ${seconds(startMs)}`), STILL_BUSY_MS);
  let output = '';
  try {
    const code = await new Promise((resolve, reject) => {
      const child = spawn(command, commandArgs, { cwd: folder, env: npmEnvironment(process.env, node), stdio: ['ignore', 'pipe', 'pipe'] });
      if (child.pid !== undefined) hold(child.pid);
      const collect = (/** @type {Buffer} */ chunk) => {
        output = (output + chunk.toString('utf8')).slice(-OUTPUT_CHARS_MAX);
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      // Without these the install would go on alone after the one who started it was stopped.
      const stop = (/** @type {NodeJS.Signals} */ signal) => {
        child.kill(signal);
        reject(
          new BootstrapError(
            `stopped by ${signal} while installing.`,
            'The next start repeats the install.',
            signal === 'SIGINT' ? 130 : 143,
          ),
        );
      };
      process.once('SIGINT', stop);
      process.once('SIGTERM', stop);
      child.on('error', reject);
      child.on('close', (exitCode, signal) => {
        process.removeListener('SIGINT', stop);
        process.removeListener('SIGTERM', stop);
        resolve(signal ?? exitCode);
      });
    });
    if (code !== 0) throw explain(`${failed} (npm ended with ${code})`, output);
    // npm only warns about files that it could not unpack, for example onto a full disk.
    if (output.includes('TAR_ENTRY_ERROR')) throw explain(failed, output);
  } catch (error) {
    throw error instanceof BootstrapError ? error : explain(failed, String(error));
  } finally {
    clearInterval(ticker);
  }
  say(`done in ${seconds(startMs)}`);
}

/**
 * The user's npm settings (registry, proxy, cache) stay; what an outer `npm start` set for its own run goes.
 * @param {NodeJS.ProcessEnv} env @param {string} node @returns {NodeJS.ProcessEnv}
 */
export function npmEnvironment(env, node) {
  /** @type {NodeJS.ProcessEnv} */
  const clean = {};
  for (const [name, value] of Object.entries(env)) {
    if (/^npm_(package|lifecycle|command|execpath|node_execpath)/.test(name)) continue;
    if (/^npm_config_(local_prefix|workspaces?|include_workspace_root|global|omit|include|production|dry_run)$/i.test(name)) continue;
    clean[name] = value;
  }
  clean['PATH'] = `${dirname(node)}${delimiter}${env['PATH'] ?? ''}`;
  return clean;
}

/** @param {number} startMs */
function seconds(startMs) {
  return `${((Date.now() - startMs) / 1000).toFixed(0)} s`;
}

/** @param {string} path */
function safeRealpath(path) {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
