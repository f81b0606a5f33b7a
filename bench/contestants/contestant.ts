// What takes part and in which shape. A path from client to application has one hop (one proxy) or two (a pair); each contestant says
// for one hop how its process is started, so that all do the same work.
import type { WorkloadIdentity } from '../../packages/dataplane/src/data-plane.ts';

export type Http = 'http1' | 'http2';

/** What the client asks and what comes back. */
export interface Scenario {
  readonly http: Http;
  /** Unary gRPC calls; only with `http2`. */
  readonly grpc: boolean;
  /** The client uses TLS 1.3. */
  readonly tls: boolean;
  /** Two proxies with mutual TLS 1.3 and HTTP/2 between them. */
  readonly pair: boolean;
  /** Of the response. */
  readonly bodyBytes: number;
}

export interface Hop {
  readonly role: 'proxy' | 'caller' | 'called';
  /** gRPC passes. */
  readonly grpc: boolean;
  readonly listen: { readonly port: number; readonly http: Http; readonly tls?: 'server' | 'mutual' };
  readonly upstream: { readonly port: number; readonly http: Http; readonly tls?: 'mutual' };
}

export interface Certificates {
  /** Holds `roots.pem`, and for `web` (the calling side) and `orders` (the called side) NAME.crt, NAME.key and both in NAME.pem. */
  readonly folder: string;
  readonly rootsPem: string;
  readonly web: WorkloadIdentity;
  readonly orders: WorkloadIdentity;
}

export interface Setting {
  /** For configuration files; unique to the hop. */
  readonly folder: string;
  readonly certificates: Certificates;
  /** Checkout whose Heddle takes part. */
  readonly heddleRoot: string;
  /** The packages as `npm run build` makes them, in place of the sources. */
  readonly built: boolean;
}

export interface Contestant {
  readonly name: string;
  /** It takes part only where it is named. */
  readonly isExtra?: true;
  /** Why it cannot take part; undefined when it can. */
  missing(setting: Setting): string | undefined;
  /** Command that prints its version. */
  readonly versionCommand: readonly string[];
  /** Why it cannot do this hop; undefined when it can. */
  cannot?(hop: Hop): string | undefined;
  /** The command that starts the hop, after what it reads has been written into the folder. */
  command(hop: Hop, setting: Setting): readonly string[];
}

/** In the order of starting: servers first. `ports`: one for each hop. */
export function hopsOf({ http, grpc, tls, pair }: Scenario, ports: readonly number[], backendPort: number): Hop[] {
  const [port = 0, innerPort = 0] = ports;
  const front = { port, http, ...(tls && { tls: 'server' as const }) };
  const application = { port: backendPort, http };
  if (!pair) return [{ role: 'proxy', grpc, listen: front, upstream: application }];
  const between = { port: innerPort, http: 'http2', tls: 'mutual' } as const;
  return [
    { role: 'called', grpc, listen: between, upstream: application },
    { role: 'caller', grpc, listen: front, upstream: between },
  ];
}

/** Whose certificate a hop shows. */
export function identityOf({ role }: Hop): 'web' | 'orders' {
  return role === 'caller' ? 'web' : 'orders';
}
