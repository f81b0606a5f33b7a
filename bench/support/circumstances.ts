// What a figure is worth depends on where it was taken: machine, kernel, versions.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Contestant, Setting } from '../contestants/contestant.ts';
import { isInstalled } from './processes.ts';

export function machine(cores: { readonly load: number; readonly proxies: number } | undefined): object {
  return {
    processor: os.cpus()[0]?.model ?? 'unknown',
    processors: os.availableParallelism(),
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    pinned: cores === undefined ? 'nothing' : `load and application on processor ${cores.load}, proxies on processor ${cores.proxies}`,
  };
}

export function versions(contestants: readonly Contestant[], setting: Setting): Record<string, string> {
  const tools = { wrk: ['wrk', '--version'], h2load: ['h2load', '--version'] };
  const commands = [
    ...contestants.filter((one) => one.missing(setting) === undefined).map((one) => [one.name, one.versionCommand] as const),
    ...Object.entries(tools).filter(([name]) => isInstalled(name)),
  ];
  const found = commands.map(([name, command]) => [name, versionOf(command)] as const);
  return { ...Object.fromEntries(found), heddle: `${heddleVersion(setting)} on Node ${process.version}` };
}

function versionOf([program = '', ...args]: readonly string[]): string {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return (
    (stdout ?? '')
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim()
      .replace(/^\S*\/envoy +version/, 'envoy version') ?? 'unknown'
  );
}

export function heddleVersion({ heddleRoot, built }: Pick<Setting, 'heddleRoot' | 'built'>): string {
  const { version } = JSON.parse(readFileSync(join(heddleRoot, 'package.json'), 'utf8')) as { version: string };
  const git = (...args: string[]) => spawnSync('git', ['-C', heddleRoot, ...args], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const commit = git('rev-parse', '--short', 'HEAD');
  const changed = git('status', '--porcelain', '--', 'packages') === '' ? '' : ' with changes';
  return `${version} (${commit}${changed}, ${built ? 'built' : 'from source'})`;
}
