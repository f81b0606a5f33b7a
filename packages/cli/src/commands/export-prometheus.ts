// `heddle export prometheus`: the configuration by which Prometheus collects the metrics of the mesh. Data planes are found by asking the
// control plane (`http_sd_configs`), so that the file stays as it is when they come and go.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CONTROL_SERVER_NAME } from '@heddle/api';
import { CliError, type ExitCode } from '../errors.ts';
import type { HostPort } from '../options.ts';
import { connectableAddress, readControlInfo, requireStateDirectory } from '../state-directory.ts';
import { writeExport } from './export.ts';

export interface ExportPrometheusOptions {
  /** Of the REST API; absent: that of the state directory. */
  readonly rest?: HostPort;
  /** Where it speaks TLS: the file with the roots of the mesh, as Prometheus sees it. */
  readonly roots?: string;
  readonly tokenFile?: string;
  /** Milliseconds. */
  readonly interval: number;
  readonly output?: string;
  readonly stateDir?: string;
}

interface Api {
  readonly host: string;
  readonly port: number;
  /** Undefined: plain HTTP. */
  readonly roots: string | undefined;
}

const TOKEN_FILE = 'prometheus.token';
const MS_PER_SECOND = 1_000;

export function exportPrometheus(options: ExportPrometheusOptions): ExitCode {
  const api = apiOf(options);
  const tokenFile = resolve(
    options.tokenFile ?? join(options.rest === undefined ? requireStateDirectory(options.stateDir) : '.', TOKEN_FILE),
  );
  writeExport(prometheusConfig(api, tokenFile, options.interval), options.output);
  // Without it each scrape of the control plane is refused.
  if (!existsSync(tokenFile)) {
    const state = options.stateDir === undefined ? '' : ` --state-dir ${options.stateDir}`;
    process.stderr.write(`next: \`(umask 077; heddle token create --admin prometheus --role viewer --ttl 366d${state} > ${tokenFile})\`\n`);
  }
  return 0;
}

function apiOf({ rest, roots, stateDir }: ExportPrometheusOptions): Api {
  if (rest !== undefined) return { ...rest, roots: roots === undefined ? undefined : resolve(roots) };
  const directory = requireStateDirectory(stateDir);
  const info = readControlInfo(directory);
  if (info === undefined)
    throw new CliError(`no control plane runs with ${directory}`, 'start one with `heddle up`, or name its REST API with --rest HOST:PORT');
  if (info.rest === undefined)
    throw new CliError(
      `the control plane of ${directory} has no REST API, by which it shows its metrics`,
      'start it without `--rest-listen off`',
    );
  const { address, port, tls } = info.rest;
  return { host: connectableAddress(address), port, roots: tls ? resolve(roots ?? join(directory, 'ca', 'roots.pem')) : undefined };
}

function prometheusConfig({ host, port, roots }: Api, tokenFile: string, intervalMs: number): string {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const scheme = roots === undefined ? 'http' : 'https';
  const interval = duration(intervalMs);
  const auth = (indent: string): string =>
    [
      `${indent}authorization: { type: Bearer, credentials_file: ${json(tokenFile)} }`,
      ...(roots === undefined ? [] : [`${indent}tls_config: { ca_file: ${json(roots)}, server_name: ${CONTROL_SERVER_NAME} }`]),
    ].join('\n');
  return `# Prometheus for a mesh of Heddle, written by \`heddle export prometheus\`. Dashboards: \`heddle export grafana\`.
# The token is that of an administrator with the role viewer:
#   (umask 077; heddle token create --admin prometheus --role viewer --ttl 366d > ${tokenFile})
# Trace ids beside durations (exemplars) are kept with the flag --enable-feature=exemplar-storage.
global:
  scrape_interval: ${interval}

scrape_configs:
  # Data planes show their metrics on the loopback of their machine. The control plane lists those of its own machine; on each other
  # machine a Prometheus reads its data planes there: static_configs: [{ targets: ["127.0.0.1:15020"] }].
  - job_name: heddle-data-planes
    http_sd_configs:
      - url: ${scheme}://${authority}/api/v1/prometheus/targets
        refresh_interval: ${interval}
${auth('        ')}

  - job_name: heddle-control
    scheme: ${scheme}
${auth('    ')}
    static_configs:
      - targets: [${json(authority)}]
`;
}

/** As Prometheus writes it. */
function duration(ms: number): string {
  return ms % MS_PER_SECOND === 0 ? `${ms / MS_PER_SECOND}s` : `${ms}ms`;
}

/** JSON on one line is YAML, whatever is in it. */
function json(value: string): string {
  return JSON.stringify(value);
}
