// A control plane as people run it: `heddle control` in a process of its own, its registry in SQLite on the disk.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePorts } from '../../tests/support/ports.ts';
import { Process } from '../support/processes.ts';
import type { Access } from './programs/access.ts';
import { meshFile, type Size } from './size.ts';

export interface RunningControlPlane {
  readonly process: Process;
  readonly access: Access;
}

export interface ControlPlaneOptions {
  readonly root: string;
  readonly built: boolean;
  readonly folder: string;
  readonly core: number | undefined;
  readonly profile: string | undefined;
  readonly size: Size;
}

export async function startControlPlane({ root, built, folder, core, profile, size }: ControlPlaneOptions): Promise<RunningControlPlane> {
  const stateDir = join(folder, 'state');
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const file = join(folder, 'heddle.yaml');
  writeFileSync(file, meshFile(size));
  const [port = 0] = await freePorts(1);
  const main = join(root, 'packages/cli', built ? 'dist/main.js' : 'src/main.ts');
  const flags = [
    ...(built ? [] : ['--conditions=heddle-source']),
    ...(profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`]),
  ];
  const command = [process.execPath, ...flags, main, 'control', '-f', file, '--state-dir', stateDir, '--listen', `127.0.0.1:${port}`];
  // Ports of the mesh that may be in use on this machine.
  const running = new Process('control', core, [...command, '--dns-listen', 'off', '--rest-listen', 'off', '--log-level', 'warn']);
  await running.listensOn(port);
  const read = (name: string): string => readFileSync(join(stateDir, name), 'utf8');
  // It is written after the port is open.
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      const { trustDomain } = JSON.parse(read('control.json')) as { trustDomain: string };
      const access = { address: '127.0.0.1', port, trustDomain, rootsPem: read('ca/root.pem'), token: read('operator.token').trim() };
      return { process: running, access };
    } catch {
      await delay(50);
    }
  }
  throw new Error('the control plane does not say how to reach it');
}
