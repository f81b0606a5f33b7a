// HAProxy: one thread, no logs. It checks the chain of the peer's certificate; a check of the SPIFFE identity is not among its settings.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isInstalled } from '../support/processes.ts';
import { type Contestant, type Hop, identityOf, type Setting } from './contestant.ts';

export const haproxy: Contestant = {
  name: 'haproxy',
  missing: () => (isInstalled('haproxy') ? undefined : 'it is not on PATH (Debian: apt-get install haproxy)'),
  versionCommand: ['haproxy', '-v'],
  command(hop, setting) {
    const file = join(setting.folder, 'haproxy.cfg');
    writeFileSync(file, config(hop, setting));
    return ['haproxy', '-f', file];
  },
};

function config(hop: Hop, { certificates: { folder } }: Setting): string {
  const { listen, upstream } = hop;
  const pem = join(folder, `${identityOf(hop)}.pem`);
  const peers = `ca-file ${join(folder, 'roots.pem')} verify required ssl-min-ver TLSv1.3`;
  const alpn = (http: string) => `alpn ${http === 'http2' ? 'h2' : 'http/1.1'}`;
  const proto = (http: string) => (http === 'http2' ? 'proto h2' : '');
  const bind =
    listen.tls === undefined
      ? proto(listen.http)
      : `ssl crt ${pem} ssl-min-ver TLSv1.3 ${alpn(listen.http)} ${listen.tls === 'mutual' ? peers : ''}`;
  const server = upstream.tls === undefined ? proto(upstream.http) : `ssl crt ${pem} ${peers} ${alpn(upstream.http)}`;
  return `global
  nbthread 1
  maxconn 12000
  no strict-limits
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  http-reuse always
  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header x-request-id
frontend in
  bind 127.0.0.1:${listen.port} ${bind}
  http-request set-header x-forwarded-proto ${listen.tls === undefined ? 'http' : 'https'}
  default_backend out
backend out
  server s1 127.0.0.1:${upstream.port} ${server}
`;
}
