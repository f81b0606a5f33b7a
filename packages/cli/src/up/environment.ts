// The environment that a supervised process gets: how it is reached, how it reaches others, and who it is.
import { serviceVariables, type ServiceRef, type SocketAddress } from '@heddle/core';
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
    const authority = listen.address.includes(':') ? `[${listen.address}]:${listen.port}` : `${listen.address}:${listen.port}`;
    Object.assign(environment, { [url]: `http://${authority}`, [host]: listen.address, [port]: String(listen.port) });
  }
  return environment;
}

/** Node programs say how busy they are. Others do not look at the variable. `--require`, since every Node knows it. */
function withLoadReport(options: string | undefined): string {
  const own = `--require "${LOAD_REPORT.replace(/["\\]/g, '\\$&')}"`;
  return options === undefined || options.trim() === '' ? own : `${options} ${own}`;
}
