// nginx: one worker, no logs. Towards the application it speaks HTTP/2 only for gRPC.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isInstalled } from '../support/processes.ts';
import { type Contestant, type Hop, identityOf, type Setting } from './contestant.ts';

export const nginx: Contestant = {
  name: 'nginx',
  missing: () => (isInstalled('nginx') ? undefined : 'it is not on PATH (Debian: apt-get install nginx-light)'),
  versionCommand: ['sh', '-c', 'nginx -v 2>&1'],
  cannot: ({ grpc, upstream }) => (upstream.http === 'http2' && !grpc ? 'it speaks no HTTP/2 to what is behind it' : undefined),
  command(hop, setting) {
    const file = join(setting.folder, 'nginx.conf');
    writeFileSync(file, config(hop, setting));
    return ['nginx', '-c', file, '-p', setting.folder, '-e', 'stderr'];
  },
};

function config(hop: Hop, { certificates, folder }: Setting): string {
  const { listen, upstream, grpc } = hop;
  const own = join(certificates.folder, identityOf(hop));
  const roots = join(certificates.folder, 'roots.pem');
  const flags = [listen.tls === undefined ? '' : 'ssl', listen.http === 'http2' ? 'http2' : ''].join(' ');
  const server =
    listen.tls === undefined
      ? ''
      : `ssl_certificate ${own}.crt; ssl_certificate_key ${own}.key; ssl_protocols TLSv1.3;
    ${listen.tls === 'mutual' ? `ssl_client_certificate ${roots}; ssl_verify_client on;` : ''}`;
  const kind = grpc ? 'grpc' : 'proxy';
  const towards =
    upstream.tls === undefined
      ? ''
      : `${kind}_ssl_certificate ${own}.crt; ${kind}_ssl_certificate_key ${own}.key; ${kind}_ssl_protocols TLSv1.3;
      ${kind}_ssl_trusted_certificate ${roots}; ${kind}_ssl_verify on; ${kind}_ssl_name orders;`;
  const pass = grpc ? `grpc_pass ${upstream.tls ? 'grpcs' : 'grpc'}://out;` : 'proxy_pass http://out; proxy_http_version 1.1;';
  return `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, 'nginx.pid')};
events { worker_connections 12000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  upstream out { server 127.0.0.1:${upstream.port}; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${listen.port} ${flags} backlog=4096;
    ${server}
    location / {
      ${pass}
      ${towards}
      ${grpc ? '' : 'proxy_set_header connection "";'}
      ${kind}_set_header x-request-id $request_id;
      ${kind}_set_header x-forwarded-for $proxy_add_x_forwarded_for;
      ${kind}_set_header x-forwarded-proto $scheme;
    }
  }
}
`;
}
