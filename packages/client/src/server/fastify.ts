// The door `@heddle/client/fastify`: what the mesh knows about a request, as `request.mesh`.
import type { FastifyInstance } from 'fastify';
import { type MeshRequest, type Peer } from './mesh-request.ts';
import { meshOf } from './mesh-of.ts';

export type { MeshRequest, Peer };

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the plugin of `@heddle/client/fastify`. */
    mesh: MeshRequest;
  }
}

/** `app.register(mesh)`. It holds for everything that is registered on the same instance and below, as with `fastify-plugin`. */
export function mesh(app: FastifyInstance, _options: object, done: (error?: Error) => void): void {
  app.decorateRequest('mesh', null as unknown as MeshRequest);
  app.addHook('onRequest', (request, reply, next) => {
    request.mesh = meshOf(request.raw, reply.raw);
    next();
  });
  done();
}

// How Fastify is told that a plugin is for who registers it, and its name.
Object.assign(mesh, { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@heddle/client' });
