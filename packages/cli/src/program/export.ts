// `heddle export …`: what programs of others need in order to join the mesh, or to look at it.
import { type Command, Option } from 'commander';
import type { ExportEnvoyOptions } from '../commands/export-envoy.ts';
import type { ExportGrafanaOptions } from '../commands/export-grafana.ts';
import type { ExportGrpcOptions } from '../commands/export-grpc.ts';
import type { ExportPrometheusOptions } from '../commands/export-prometheus.ts';
import { hostPort, instanceName, interval, name, port, reachable, usedServices } from '../options.ts';
import { addInstanceOptions, examples, result, stateDirectory } from './parts.ts';

export function addExport(program: Command): void {
  const command = program
    .command('export')
    .summary('write the configuration of other programs')
    .description('Writes the configuration by which programs of others join the mesh, or look at it.')
    .addHelpText(
      'after',
      examples(
        'heddle export envoy --service orders --instance orders-1 --port 8081 --inbound 10.0.0.7:15006',
        'heddle export grpc --service shop -o xds.json',
        'heddle export prometheus -o prometheus.yml',
        'heddle export grafana -o heddle-dashboard.json',
      ),
    );
  addExportEnvoy(command);
  addExportGrpc(command);
  addExportPrometheus(command);
  addExportGrafana(command);
}

function addExportEnvoy(parent: Command): void {
  addInstanceOptions(parent.command('envoy'))
    .summary('write the bootstrap of an Envoy')
    .description(
      'Writes the bootstrap of an Envoy that carries one instance of a service: its calls in and out, with the identity of the service.',
    )
    .requiredOption('--service <name>', 'the service that the application is an instance of', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .requiredOption('--instance <id>', 'name of the instance, for example orders-1', instanceName)
    .requiredOption('--port <port>', 'port on which the application listens, on 127.0.0.1', port(1))
    .requiredOption('--inbound <ip:port>', 'where Envoy takes the calls of other instances, as they reach it', reachable)
    .addOption(
      new Option('--uses <name=port>', 'service that the application calls, and the local port for it; several times, or with commas')
        .argParser(usedServices)
        .default([], 'none'),
    )
    .option('--outbound-port <port>', 'local port of an HTTP proxy for all services (default: none)', port(1))
    .option('--identity-dir <dir>', 'directory of `heddle identity watch`, as Envoy sees it', 'identity')
    .option('--admin-port <port>', "port of Envoy's admin interface, on 127.0.0.1", port(1), 9_901)
    .option('--control <host:port>', 'address of the control plane (default: that of the state directory)', hostPort)
    .option('--trust-domain <domain>', 'trust domain of the mesh; needed with --control')
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples(
        'heddle identity watch --service orders --out identity &',
        'heddle export envoy --service orders --instance orders-1 --port 8081 --inbound 127.0.0.1:15006 --uses inventory=20001 -o envoy.yaml',
        'envoy -c envoy.yaml',
      )}
The instance is registered while its Envoy is connected to the control plane. See
docs/guides/envoy.md.
`,
    )
    .action(result(async (options: ExportEnvoyOptions) => (await import('../commands/export-envoy.ts')).exportEnvoy(options)));
}

function addExportGrpc(parent: Command): void {
  addInstanceOptions(parent.command('grpc'))
    .summary('write the bootstrap of gRPC libraries')
    .description(
      'Writes the file by which a program with a gRPC library calls services as `xds:///orders.mesh.internal` without a proxy, or serves without one.',
    )
    .requiredOption('--service <name>', 'the service that the program is of', name)
    .option('--namespace <name>', 'namespace of the service', name, 'default')
    .option('--identity-dir <dir>', 'directory of `heddle identity watch`, as the program sees it', 'identity')
    .option('--xds-socket <file>', 'reach the control plane through this socket of `heddle identity watch`')
    .addOption(
      new Option('--control <host:port>', 'address of the control plane (default: that of the state directory)')
        .argParser(hostPort)
        .conflicts('xdsSocket'),
    )
    .option('--node <name>', 'name of the program in the mesh (default: the instance, or service and machine)', instanceName)
    .option('--instance <id>', 'the program serves as this instance; needs --inbound', instanceName)
    .option('--inbound <ip:port>', 'where its server listens, as others reach it', reachable)
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples(
        'heddle identity watch --service shop --out identity &',
        'heddle export grpc --service shop -o xds.json',
        'GRPC_XDS_BOOTSTRAP=xds.json ./shop',
        'heddle export grpc --service orders --instance orders-1 --inbound 10.0.0.7:50051 -o xds.json',
      )}
Libraries that cannot show a certificate to the control plane, as grpc-js, need
--xds-socket, here and at \`heddle identity watch\`. See docs/guides/grpc.md.
`,
    )
    .action(result(async (options: ExportGrpcOptions) => (await import('../commands/export-grpc.ts')).exportGrpc(options)));
}

function addExportPrometheus(parent: Command): void {
  parent
    .command('prometheus')
    .summary('write the scrape configuration of Prometheus')
    .description('Writes the configuration by which Prometheus collects the metrics of the data planes and of the control plane.')
    .option('--rest <host:port>', 'REST API of the control plane (default: that of the state directory)', hostPort)
    .option('--roots <file>', 'roots of the mesh, where the REST API speaks TLS (default: those of the state directory)')
    .option('--token-file <file>', 'token by which Prometheus asks the control plane (default: prometheus.token in the state directory)')
    .option('--interval <duration>', 'how often metrics are read: 1s to 1h (default: 15s)', interval, 15_000)
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .addOption(stateDirectory())
    .addHelpText(
      'after',
      `${examples(
        'heddle export prometheus -o prometheus.yml',
        '(umask 077; heddle token create --admin prometheus --role viewer --ttl 366d > .heddle/prometheus.token)',
        'prometheus --config.file=prometheus.yml --enable-feature=exemplar-storage',
      )}
See docs/guides/metrics.md.
`,
    )
    .action(
      result(async (options: ExportPrometheusOptions) => (await import('../commands/export-prometheus.ts')).exportPrometheus(options)),
    );
}

function addExportGrafana(parent: Command): void {
  parent
    .command('grafana')
    .summary('write a dashboard for Grafana')
    .description('Writes a dashboard of the mesh over the metrics that Prometheus has: overview, services, data planes, certificates.')
    .option('-o, --output <file>', 'file to write (default: standard output)')
    .addHelpText('after', examples('heddle export grafana -o heddle-dashboard.json'))
    .action(result(async (options: ExportGrafanaOptions) => (await import('../commands/export-grafana.ts')).exportGrafana(options)));
}
