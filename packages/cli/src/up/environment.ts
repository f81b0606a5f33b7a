// The environment that a supervised process gets: how it is reached, how it reaches others, and who it is.
import { DEFAULT_NAMESPACE, MESH_DOMAIN, serviceVariables, type ServiceRef, type SocketAddress } from '@heddle/core';
import { LOAD_REPORT } from '../self.ts';

export interface ProcessPlace {
  readonly service: ServiceRef;
  readonly instance: string;
  /** Where the process is to listen. */
  readonly application: SocketAddress;
  readonly outbounds: readonly { readonly service: ServiceRef; readonly listen: SocketAddress }[];
  /** `http://<credential>@127.0.0.1:15001`; undefined without a shared HTTP proxy. */
  readonly httpProxy: string | undefined;
}

const NO_PROXY = 'localhost,127.0.0.1,::1';
/** What belongs to Heddle itself and is nobody else's to see. */
const KEPT_BACK = ['HEDDLE_JOIN_TOKEN', 'HEDDLE_TOKEN', 'HEDDLE_CA_PASSPHRASE', 'HEDDLE_DEBUG'];

/** @param own what the mesh file sets for the service; it cannot set what Heddle sets. */
export function processEnvironment(
  inherited: NodeJS.ProcessEnv,
  own: Readonly<Record<string, string>>,
  place: ProcessPlace,
): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...inherited, ...own };
  for (const key of KEPT_BACK) delete environment[key];
  Object.assign(environment, {
    HOST: place.application.address,
    PORT: String(place.application.port),
    HEDDLE_SERVICE: place.service.name,
    HEDDLE_NAMESPACE: place.service.namespace,
    HEDDLE_INSTANCE: place.instance,
  });
  if (environment['HEDDLE_LOAD_REPORTS'] !== 'off') environment['NODE_OPTIONS'] = withLoadReport(environment['NODE_OPTIONS']);
  if (place.httpProxy !== undefined) {
    Object.assign(environment, { HTTP_PROXY: place.httpProxy, http_proxy: place.httpProxy, NO_PROXY, no_proxy: NO_PROXY });
  }
  for (const { service, listen } of place.outbounds) {
    const { url, host, port } = serviceVariables(service.name);
    Object.assign(environment, { [url]: `http://${authorityOf(listen)}`, [host]: listen.address, [port]: String(listen.port) });
  }
  return environment;
}

/** Node programs say how busy they are. Others do not look at the variable. `--require`, since every Node knows it. */
function withLoadReport(options: string | undefined): string {
  const own = `--require "${LOAD_REPORT.replace(/["\\]/g, '\\$&')}"`;
  return options === undefined || options.trim() === '' ? own : `${options} ${own}`;
}

/** What a process is told that has its data plane inside; that reads these variables (`@heddle/client`). */
export interface InsidePlace extends Omit<ProcessPlace, 'outbounds' | 'httpProxy'> {
  /** Port 80 where it is not known. */
  readonly uses: readonly { readonly service: ServiceRef; readonly port?: number }[];
  /** `host:port` */
  readonly control: string;
  readonly inbound: SocketAddress;
  readonly joinToken: string | undefined;
  readonly identityDirectory: string;
  readonly admin: { readonly port: number; readonly tokenFile: string };
  /** Version, labels and whatever else is told of it. */
  readonly described: object;
  readonly drainMs: number;
  /** Of the module that it loads first. */
  readonly register: string;
}

export function insideEnvironment(inherited: NodeJS.ProcessEnv, place: InsidePlace): NodeJS.ProcessEnv {
  const { service, instance, application, inbound, joinToken, admin } = place;
  const environment: NodeJS.ProcessEnv = { ...inherited };
  for (const key of KEPT_BACK) delete environment[key];
  Object.assign(environment, {
    HOST: application.address,
    PORT: String(application.port),
    HEDDLE_PORT: String(application.port),
    HEDDLE_SERVICE: service.name,
    HEDDLE_NAMESPACE: service.namespace,
    HEDDLE_INSTANCE: instance,
    HEDDLE_CONTROL: place.control,
    HEDDLE_INBOUND: authorityOf(inbound),
    HEDDLE_IDENTITY_DIR: place.identityDirectory,
    HEDDLE_ADMIN_PORT: String(admin.port),
    HEDDLE_ADMIN_TOKEN_FILE: admin.tokenFile,
    HEDDLE_WORKLOAD: JSON.stringify(place.described),
    HEDDLE_DRAIN_MS: String(place.drainMs),
    NODE_OPTIONS: withRegister(environment['NODE_OPTIONS'], place.register),
    ...(joinToken !== undefined && { HEDDLE_JOIN_TOKEN: joinToken }),
  });
  for (const { service: used, port: known } of place.uses) {
    const { url, host, port } = serviceVariables(used.name);
    const name = used.namespace === DEFAULT_NAMESPACE ? `${used.name}.${MESH_DOMAIN}` : `${used.name}.${used.namespace}.${MESH_DOMAIN}`;
    Object.assign(environment, { [url]: `http://${name}`, [host]: name, [port]: String(known ?? HTTP_PORT) });
  }
  keepFromProxies(environment);
  return environment;
}

const HTTP_PORT = 80;

/** A proxy of the person's own environment knows nothing of the mesh. */
function keepFromProxies(environment: NodeJS.ProcessEnv): void {
  if (!['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'].some((name) => environment[name])) return;
  for (const name of ['NO_PROXY', 'no_proxy'])
    environment[name] = [environment[name], `.${MESH_DOMAIN}`].filter((part) => part !== undefined && part !== '').join(',');
}

function withRegister(options: string | undefined, register: string): string {
  // In a clone of the repository, the sources of our packages.
  const own = register.endsWith('.ts') ? `--conditions=heddle-source --import ${register}` : `--import ${register}`;
  return options === undefined || options.trim() === '' ? own : `${options} ${own}`;
}

function authorityOf({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
