// `heddle run` of a Node program with the data plane inside it: no process beside it, no proxy in the path.
import { join } from 'node:path';
import { registerModule } from '../self.ts';
import { readStateFile } from '../state-directory.ts';
import { tellDataPlaneGone } from '../up/data-plane-gone.ts';
import { InsideProcess } from '../up/inside-process.ts';
import { followJoining } from '../up/joining.ts';
import { requireFreePorts } from '../up/ports.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { adminToken } from './proxy-admin-token.ts';
import { hostPortText, LOOPBACK, type RunDeps, type RunningInstance, saidOf, STOP_SECONDS, tokensOf } from './run-instance.ts';

/** Throws CliError where a port is not free. */
export async function runInside(deps: RunDeps): Promise<RunningInstance> {
  const { namespace, service, instance, directory, control, allocator, output, guard } = deps;
  const adminPort = deps.adminPort === 0 ? await allocator.take() : deps.adminPort;
  await requireFreePorts(LOOPBACK, [{ what: "the data plane's admin API", flag: '--admin-port', port: adminPort }]);
  const tokenFile = `proxy-${instance}.token`;
  adminToken(join(directory, tokenFile));
  const admin = new ProxyAdmin(adminPort, () => readStateFile(directory, tokenFile));
  const inbound = { address: deps.inboundAddress, port: deps.inboundPort === 0 ? await allocator.take() : deps.inboundPort };
  const tell = (message: string): void => output.line('heddle', `${instance} ${message}`);
  const workload = { service: { namespace, name: service }, instance };
  const identityDirectory = join(directory, 'identities', instance);
  const gone = { ...workload, control: { address: control.host, port: control.port }, identityDirectory };
  const inside: InsideProcess = new InsideProcess({
    ...workload,
    uses: deps.uses,
    control: hostPortText(control.host, control.port),
    inbound,
    identityDirectory,
    admin: { port: adminPort, tokenFile: join(directory, tokenFile) },
    described: { version: deps.instanceVersion ?? '', ...saidOf(deps) },
    register: registerModule(),
    command: deps.command,
    directory: process.cwd(),
    loopback: LOOPBACK,
    ...(deps.port === undefined ? {} : { port: deps.port }),
    ports: allocator,
    joinToken: tokensOf(deps),
    drainMs: STOP_SECONDS * 1_000,
    guard,
    onOutput: (stream) => output.attach(stream, instance),
    onTell: (_level, message) => tell(message),
    onGone: (reason, aborted) => void tellDataPlaneGone(gone, reason, aborted),
    onChange: ({ pid }) => {
      if (pid !== undefined)
        tell(`runs (process ${pid}) with its data plane inside, inbound ${hostPortText(inbound.address, inbound.port)}`);
    },
  });
  return {
    async bring(aborted) {
      inside.start();
      await followJoining(admin, `${namespace}/${service}/${instance}`, aborted, tell, () => silence(inside));
    },
    stop: () => inside.stop(),
    kill: () => inside.kill(),
    end: () => inside.stop(),
  };
}

function silence({ application }: InsideProcess): string {
  return (
    `has not joined the mesh: no Node program of it has called a name of the mesh, or listens on port ${application?.port ?? ''} (PORT); ` +
    'where the program is none of Node, use --sidecar'
  );
}
