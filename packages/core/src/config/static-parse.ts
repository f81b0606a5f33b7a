// The file of `heddle proxy --static`, with the PEM files it names, from text to configuration: complete, or every problem at once. What is
// read comes from the caller. Never throws.
import { dirname } from 'node:path';
import { buildTelemetry, type TelemetryScope } from './build/telemetry.ts';
import { buildHealth, buildTraffic } from './build/traffic.ts';
import { deepFreeze } from './build/values.ts';
import { STATIC_PLANNED } from './planned.ts';
import type { Problem } from './problem.ts';
import type { FileKind } from './read-file.ts';
import { readConfigFile } from './read-file.ts';
import type { StaticCertificate, StaticConfig, StaticEndpoint, StaticListener, StaticService } from './static-config.ts';
import type { StaticFileOutput } from './static-schema.ts';
import { StaticFile } from './static-schema.ts';
import { checkStaticMeaning, parseEndpoint } from './static-semantics.ts';
import type { ConfigFiles, FileTexts } from './named-files.ts';
import { checkTlsFiles, NO_FILES } from './static-tls.ts';

export interface ParsedStaticFile {
  /** Absent when there is an error. */
  readonly config?: StaticConfig;
  /** In the order of the file; warnings do not keep the configuration from being used. */
  readonly problems: readonly Problem[];
}

const STATIC_FILE: Omit<FileKind<typeof StaticFile>, 'checkMeaning'> = {
  schema: StaticFile,
  planned: STATIC_PLANNED,
  whenEmpty: 'begin with "listeners:" and "services:"; `heddle proxy --help` shows an example',
  whenLarge: 'check that it is the right file; 1,000 services with some endpoints each have some 200 KiB',
};

/**
 * @param text the content of the file.
 * @param path its name, for messages.
 * @param files gives certificates, keys and roots. Default: there are none, so that every one is a problem.
 * @param directory absolute, from which relative names start. Default: that of `path`.
 */
export function parseStaticFile(text: string, path: string, files: ConfigFiles = NO_FILES, directory = dirname(path)): ParsedStaticFile {
  const texts: FileTexts = new Map();
  const checkMeaning = (root: unknown) => [...checkStaticMeaning(root), ...checkTlsFiles(root, files, texts)];
  const { output, source, problems } = readConfigFile({ ...STATIC_FILE, checkMeaning }, text, path);
  return output === undefined ? { problems } : { config: build(output, texts, { directory, textOf: source.textOf }), problems };
}

function build({ listeners, services, telemetry }: StaticFileOutput, texts: FileTexts, scope: TelemetryScope): StaticConfig {
  const pem = (name: string): string => texts.get(name) as string;
  const certificate = (cert: string, key: string): StaticCertificate => ({ certificatePem: pem(cert), keyPem: pem(key) });
  return deepFreeze({
    ...((telemetry.tracing ?? telemetry.accessLog) && { telemetry: buildTelemetry(telemetry, scope, ['telemetry']) }),
    listeners: listeners.map(
      ({ address, port, protocol, service, tls, sni }): StaticListener => ({
        address,
        port,
        protocol,
        ...(service !== undefined && { service }),
        ...(tls && { tls: { certificate: certificate(tls.cert, tls.key), ...(tls.ca !== undefined && { rootsPem: pem(tls.ca) }) } }),
        ...(sni && { serverNames: Object.entries(sni).map(([name, target]) => ({ name, service: target })) }),
      }),
    ),
    services: Object.entries(services).map(
      ([name, service]): StaticService => ({
        name,
        protocol: service.protocol,
        endpoints: service.endpoints.flatMap(buildEndpoint),
        ...(service.health && { health: buildHealth(service.health) }),
        ...(service.tls && { tls: buildServiceTls(service.tls, pem, certificate) }),
        ...buildTraffic(service),
      }),
    ),
  });
}

function buildEndpoint(written: StaticFileOutput['services'][string]['endpoints'][number]): StaticEndpoint[] {
  const { address, weight } = typeof written === 'string' ? { address: written, weight: 1 } : written;
  const socket = parseEndpoint(address);
  return socket === undefined ? [] : [{ ...socket, weight }];
}

function buildServiceTls(
  { ca, serverName, cert, key }: NonNullable<StaticFileOutput['services'][string]['tls']>,
  pem: (name: string) => string,
  certificate: (cert: string, key: string) => StaticCertificate,
): NonNullable<StaticService['tls']> {
  const own = cert !== undefined && key !== undefined ? { certificate: certificate(cert, key) } : {};
  return { rootsPem: pem(ca), serverName, ...own };
}
