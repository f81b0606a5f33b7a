// An outside authorizer on grpc-js with Envoy's own contract, read by protobufjs: nothing of ours is in it. Tests only.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { loadPackageDefinition, Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall, ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { TestMesh } from './mesh.ts';

/** Of `envoy.service.auth.v3.AttributeContext`, as protobufjs shows it. */
export interface Asked {
  readonly source: Side;
  readonly destination: Side;
  readonly request: { readonly http: AskedHttp | null };
}

interface Side {
  readonly address: { readonly socket_address: { readonly address: string; readonly port_value: number } };
  readonly principal: string;
  readonly service: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface AskedHttp {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly protocol: string;
  readonly size: number | string;
  readonly body: string;
  readonly raw_body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** The message CheckResponse, as protobufjs takes it. Undefined: no answer, ever. */
export type Reply = Readonly<Record<string, unknown>> | Partial<ServiceError> | undefined;

export const OK = { status: { code: 0 }, ok_response: {} };

export interface Authorizer {
  readonly port: number;
  readonly asked: Asked[];
  reply: (asked: Asked) => Reply;
}

const require = createRequire(import.meta.url);

function contract(): ServiceClientConstructor {
  const entry = require.resolve('@grpc/grpc-js-xds');
  const root = entry.slice(0, entry.lastIndexOf(join('grpc-js-xds')) + 'grpc-js-xds'.length);
  const includeDirs = ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((name) => join(root, 'deps', name));
  includeDirs.push(join(dirname(require.resolve('protoc/package.json')), 'include'));
  const definition = loadSync('envoy/service/auth/v3/external_auth.proto', {
    includeDirs,
    keepCase: true,
    longs: Number,
    defaults: true,
    oneofs: true,
  });
  const loaded = loadPackageDefinition(definition) as unknown as {
    envoy: { service: { auth: { v3: { Authorization: ServiceClientConstructor } } } };
  };
  return loaded.envoy.service.auth.v3.Authorization;
}

let service: ServiceClientConstructor | undefined;

export async function startAuthorizer(mesh: TestMesh): Promise<Authorizer> {
  service ??= contract();
  const server = new Server();
  const authorizer: { port: number; asked: Asked[]; reply: Authorizer['reply'] } = { port: 0, asked: [], reply: () => OK };
  server.addService(service.service, {
    Check: (call: ServerUnaryCall<{ attributes: Asked }, unknown>, done: sendUnaryData<unknown>) => {
      const { attributes } = call.request;
      authorizer.asked.push(attributes);
      const reply = authorizer.reply(attributes);
      if (reply !== undefined && 'code' in reply) done(reply as Partial<ServiceError>);
      else if (reply !== undefined) done(null, reply);
    },
  });
  authorizer.port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error))),
  );
  mesh.onClose(() => server.forceShutdown());
  return authorizer;
}
