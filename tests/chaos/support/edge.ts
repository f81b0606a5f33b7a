// A second proxy of a running mesh, which hosts nothing: a data plane that only calls, as at the edge of a mesh.
import { type ChildProcess, spawn } from 'node:child_process';
import { heddleArguments } from '../../../packages/cli/src/testing/command.ts';
import { callThroughProxy } from '../../support/load.ts';
import { freePorts } from '../../support/ports.ts';
import { heddle, type RunningMesh } from '../../support/up.ts';
import { Hopeless, waitFor } from '../../support/wait.ts';

/** Its name in the mesh. */
export const EDGE = 'edge';

export interface Edge {
  readonly process: ChildProcess;
  readonly proxy: { readonly host: string; readonly port: number };
  stop(): Promise<void>;
}

/** Resolves when the URL is answered through it. */
export async function startEdge(mesh: RunningMesh, url: string): Promise<Edge> {
  const [outboundPort = 0, adminPort = 0] = await freePorts(2);
  const token = await heddle([
    'token',
    'create',
    '--namespace',
    'heddle-system',
    '--service',
    'operator',
    '--state-dir',
    mesh.stateDirectory,
  ]);
  if (token.code !== 0) throw new Error(token.stderr);
  const ports = ['--outbound-port', `${outboundPort}`, '--admin-port', `${adminPort}`, '--workers', '1'];
  const options = ['--node', EDGE, '--anonymous-calls', ...ports, '--state-dir', mesh.stateDirectory, '--log-level', 'error'];
  const child = spawn(process.execPath, heddleArguments('proxy', ...options), {
    cwd: mesh.directory,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, HEDDLE_JOIN_TOKEN: token.stdout.trim() },
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const edge: Edge = {
    process: child,
    proxy: { host: '127.0.0.1', port: outboundPort },
    stop: async () => {
      // One that stands still has to go on to hear of it.
      for (const signal of ['SIGCONT', 'SIGTERM'] as const) child.kill(signal);
      await ended;
    },
  };
  try {
    await waitFor('the second proxy', async () => {
      if (child.exitCode !== null) throw new Hopeless(`the second proxy ended with ${child.exitCode}`);
      return (await callThroughProxy({ proxy: edge.proxy, url })).status === 200;
    });
  } catch (error) {
    await edge.stop();
    throw error;
  }
  return edge;
}
