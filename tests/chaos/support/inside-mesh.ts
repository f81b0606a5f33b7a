// Instances with the data plane inside, each a process of its own that knows nothing of the mesh, and a caller that has it inside as well.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RunningMesh } from '@heddle/client';
import type { DirectCallError } from '@heddle/dataplane/direct';
import { askDirect } from '../../../packages/dataplane/src/testing/direct.ts';
import { member } from '../../support/member.ts';
import { type Cleanup, type ControlRef, joinToken, LOOPBACK, temporaryDirectory } from '../../support/planes.ts';
import { freePort } from '../../support/ports.ts';
import { waitFor } from '../../support/wait.ts';

const APPLICATION = fileURLToPath(new URL('../../fixtures/apps/named.mjs', import.meta.url));
const REGISTER = new URL('../../../packages/client/src/register/index.ts', import.meta.url).href;
/** Said by the application. */
const LISTENS = 'listens';

export const MESH = `
mesh: test
services:
  echo:
    port: 80
    health: { http: /healthz, interval: 500ms, timeout: 500ms, unhealthyAfter: 2 }
    retry: { attempts: 2, on: [connect-failure, refused, reset, 5xx] }
  web: { port: 81 }
`;

export class InsideMesh {
  readonly cleanup: Cleanup;
  readonly ref: ControlRef;
  readonly instances = new Map<string, Instance>();

  constructor(cleanup: Cleanup, ref: ControlRef) {
    this.cleanup = cleanup;
    this.ref = ref;
  }

  async launch(name: string): Promise<Instance> {
    let instance = this.instances.get(name);
    if (instance === undefined) {
      instance = new Instance(this, name, await freePort(), await temporaryDirectory(this.cleanup));
      this.instances.set(name, instance);
      this.cleanup.add(() => instance?.end('SIGKILL'));
    }
    await instance.start();
    return instance;
  }

  async caller(name: string): Promise<RunningMesh> {
    const mesh = await member(this.cleanup, this.ref, 'web', { instance: name });
    await mesh.ready();
    return mesh;
  }
}

export class Instance {
  readonly name: string;
  output = '';
  private readonly mesh: InsideMesh;
  private readonly port: number;
  private readonly directory: string;
  private child: ChildProcess | undefined;
  private ended: Promise<unknown> = Promise.resolve();

  constructor(mesh: InsideMesh, name: string, port: number, directory: string) {
    this.mesh = mesh;
    this.name = name;
    this.port = port;
    this.directory = directory;
  }

  /** Resolves when the application listens. */
  async start(): Promise<void> {
    const { address, port } = this.mesh.ref;
    const token = await joinToken(this.mesh.ref, 'echo').catch(() => '');
    const child = spawn(process.execPath, ['--conditions=heddle-source', '--import', REGISTER, APPLICATION], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        HEDDLE_SERVICE: 'echo',
        HEDDLE_INSTANCE: this.name,
        HEDDLE_CONTROL: `${address}:${port}`,
        HEDDLE_JOIN_TOKEN: token,
        HEDDLE_IDENTITY_DIR: this.directory,
        HEDDLE_INBOUND: `${LOOPBACK}:0`,
        PORT: String(this.port),
      },
    });
    this.child = child;
    this.output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => void (this.output += text));
    this.ended = new Promise((resolve) => child.once('exit', resolve));
    await waitFor(`${this.name} to listen`, () => {
      if (child.exitCode !== null) throw new Error(`${this.name} ended: ${this.output}`);
      return this.output.includes(LISTENS);
    });
  }

  /** Resolves when it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.child?.kill(signal);
    await this.ended;
  }
}

export interface Answered {
  readonly status: number;
  readonly error: string;
  /** Name of the instance. */
  readonly body: string;
}

/** A GET by the caller's own data plane. */
export function ask({ calls }: RunningMesh): Promise<Answered> {
  return askDirect(calls, { authority: 'echo.mesh.internal' }).then(
    ({ status, headers, text }) => ({ status, error: headers['x-heddle-error'] ?? '', body: text }),
    ({ code }: DirectCallError) => ({ status: 0, error: code, body: '' }),
  );
}

/** A steady load; ends with all answers. */
export function startCalls(
  mesh: RunningMesh,
  perSecond: number,
): { readonly answers: readonly Answered[]; stop(): Promise<readonly Answered[]> } {
  const answers: Answered[] = [];
  const under = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const one: Promise<void> = ask(mesh).then((answered) => {
      answers.push(answered);
      under.delete(one);
    });
    under.add(one);
  }, 1_000 / perSecond);
  return {
    answers,
    async stop() {
      clearInterval(timer);
      await Promise.all(under);
      return answers;
    },
  };
}
