// `heddle run` with a proxy beside the process (a sidecar): for programs of any language.
import { readStateFile } from '../state-directory.ts';
import { HostedProcess } from '../up/hosted-process.ts';
import { followJoining } from '../up/joining.ts';
import { TELL_MS } from '../up/leaving.ts';
import { poll } from '../up/poll.ts';
import { requireFreePorts } from '../up/ports.ts';
import { ProxyAdmin } from '../up/proxy-admin.ts';
import { ProxyHost } from '../up/proxy-host.ts';
import { hostPortText, LOOPBACK, type RunDeps, type RunningInstance, saidOf, STOP_SECONDS, tokensOf } from './run-instance.ts';

/** Throws CliError where a port is not free. */
export async function runSidecar(deps: RunDeps): Promise<RunningInstance> {
  const { namespace, service, instance, allocator, output } = deps;
  const outboundPort = deps.outboundPort === 0 ? await allocator.take() : deps.outboundPort;
  const adminPort = deps.adminPort === 0 ? await allocator.take() : deps.adminPort;
  await requireFreePorts(LOOPBACK, [
    { what: 'the HTTP proxy', flag: '--outbound-port', port: outboundPort },
    { what: "the proxy's admin API", flag: '--admin-port', port: adminPort },
    ...(deps.dnsPort === 'off' ? [] : [{ what: 'names by DNS', flag: '--dns-port', port: deps.dnsPort, udp: true }]),
  ]);
  const admin = new ProxyAdmin(adminPort, () => readStateFile(deps.directory, `proxy-${instance}.token`));
  const { host, hosted } = makeSidecar(deps, admin, outboundPort, adminPort);
  const tell = (text: string): void => output.line('heddle', `${instance} ${text}`);
  return {
    async bring(aborted) {
      host.start();
      await host.up(aborted);
      hosted.start();
      await followJoining(admin, `${namespace}/${service}/${instance}`, aborted, tell);
    },
    stop: () => stopGracefully(admin, host, hosted),
    kill: async () => void (await Promise.all([hosted.kill(), host.kill()])),
    end: async () => void (await Promise.all([hosted.end(), host.stop()])),
  };
}

function makeSidecar(
  deps: RunDeps,
  admin: ProxyAdmin,
  outboundPort: number,
  adminPort: number,
): { host: ProxyHost; hosted: HostedProcess } {
  const { service, namespace, instance, command, allocator, output, guard } = deps;
  const tell = (name: string) => (_level: string, message: string) => output.line('heddle', `${name} ${message}`);
  const host: ProxyHost = new ProxyHost({
    admin,
    args: proxyArguments(deps, outboundPort, adminPort),
    // A sidecar speaks to the control plane as its only workload.
    joinToken: () => Promise.resolve(undefined),
    drainSeconds: STOP_SECONDS,
    drainWaitSeconds: TELL_MS / 1_000,
    workers: deps.proxyWorkers,
    guard,
    onOutput: (stream) => output.attach(stream, 'proxy'),
    onTell: tell('proxy'),
    onChange: () => {},
    onUp: () => void hosted.proxyChanged(),
  });
  const hosted: HostedProcess = new HostedProcess({
    service: { namespace, name: service },
    instance,
    run: {
      command,
      directory: process.cwd(),
      environment: {},
      stopTimeoutMs: STOP_SECONDS * 1_000,
      version: deps.instanceVersion ?? '',
    },
    said: saidOf(deps),
    uses: deps.uses.map((used) => used.service),
    // Nobody asks the registry here: the proxy's verdict takes a hanging process out of rotation; only a crash restarts it.
    livenessAfterMs: Infinity,
    host,
    admin,
    ports: allocator,
    loopback: LOOPBACK,
    ...(deps.port === undefined ? {} : { port: deps.port }),
    inbound: { address: deps.inboundAddress, ...(deps.inboundPort === 0 ? {} : { port: deps.inboundPort }) },
    proxyUrl: (credential) => `http://${credential}@${LOOPBACK}:${outboundPort}`,
    joinToken: tokensOf(deps),
    guard,
    onOutput: (stream) => output.attach(stream, instance),
    onTell: tell(instance),
    onChange: ({ pid }) => {
      const inbound = hosted.binding?.inbound;
      if (pid !== undefined && inbound !== undefined)
        output.line('heddle', `${instance} runs (process ${pid}), inbound ${hostPortText(inbound.address, inbound.port)}`);
    },
  });
  return { host, hosted };
}

function proxyArguments({ control, instance, dnsPort, directory }: RunDeps, outboundPort: number, adminPort: number): string[] {
  const ports = ['--outbound-port', String(outboundPort), '--admin-port', String(adminPort), '--dns-port', String(dnsPort)];
  // Its warnings about the control plane come with every try; `followJoining` tells them once.
  const log = ['--log-level', 'error', '--log-format', 'pretty'];
  return ['--node', instance, '--control', hostPortText(control.host, control.port), ...ports, '--state-dir', directory, ...log];
}

/**
 * The instance leaves rotation; then the proxy lets requests in flight end, while calls of the process still find their way. The process is
 * told to end as soon as nothing can come in any more.
 */
async function stopGracefully(admin: ProxyAdmin, host: ProxyHost, hosted: HostedProcess): Promise<void> {
  await hosted.leaveToStop();
  const proxyStopped = host.stop();
  const gone = new AbortController();
  void proxyStopped.then(() => gone.abort());
  await poll(STOP_SECONDS * 1_000, gone.signal, async () => !(await admin.takesCalls().catch(() => false)));
  await hosted.end();
  await proxyStopped;
}
