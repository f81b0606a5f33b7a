// grpc-js in the mesh: channels whose target the mesh serves hand their calls over to it. The channel's class is changed in its prototype, by which every
// channel is caught, whoever makes it and whenever, and grpc-js's own connection is never begun.
import type { ChannelCredentials, ChannelInterface, ClientOptions } from '@grpc/grpc-js';
import type { Logger } from '@heddle/runtime';
import type { Mesh } from '../plane/mesh.ts';
import { stderrLogger } from '../plane/logger.ts';
import type { Undo } from '../undo.ts';
import { MeshChannel } from './mesh-channel.ts';
import type { GrpcOptions } from './settings.ts';
import { authorityOf } from './target.ts';

/** What is used of the module `@grpc/grpc-js`. */
export interface GrpcJs {
  readonly Channel: new (target: string, credentials: ChannelCredentials, options: object) => ChannelInterface;
  readonly credentials: { createInsecure(): ChannelCredentials };
}

export interface JoinGrpcOptions {
  /** Gets a line where options of a channel have no effect, or a copy of grpc-js cannot be joined. Default: lines on standard error from `warn` on. */
  readonly logger?: Logger;
}

/**
 * Options for a client, or a channel, of one target: `new OrdersClient('orders.mesh.internal', credentials, meshOptions(mesh))`. The target must be a name;
 * whether the mesh has it is said by the calls.
 */
export function meshOptions(mesh: Mesh): Required<Pick<ClientOptions, 'channelFactoryOverride'>> {
  return { channelFactoryOverride: (target, credentials, options) => new MeshChannel(mesh, target, credentials, options as GrpcOptions) };
}

type Method<K extends 'createCall' | 'close' | 'getConnectivityState' | 'watchConnectivityState'> = (
  this: ChannelInterface,
  ...args: Parameters<ChannelInterface[K]>
) => ReturnType<ChannelInterface[K]>;

/** What is changed of the class. */
interface Methods {
  createCall: Method<'createCall'>;
  close: Method<'close'>;
  getConnectivityState: Method<'getConnectivityState'>;
  watchConnectivityState: Method<'watchConnectivityState'>;
}

/** What a channel of grpc-js holds inside, in the versions that are known: since 1.8 in an object of its own. */
interface ChannelInside {
  readonly credentials: ChannelCredentials;
  readonly options: GrpcOptions;
}

/** Of a channel, once it was asked for anything. */
interface Seen {
  readonly authority: string | undefined;
  channel: MeshChannel | undefined;
  mesh: Mesh | undefined;
}

/** Of grpc-js's enum. */
const SHUTDOWN = 4;

/** By the prototype that was changed. */
const joined = new WeakMap<object, Join>();

/**
 * Makes channels of this copy of grpc-js go through the mesh where it serves their target, those included that exist already. Again with the same mesh: the
 * same join. A process can hold several copies of grpc-js; each is joined by itself. A version that is built otherwise stays out, with a line of the log.
 * @param grpcJs the module, as `import * as grpc from '@grpc/grpc-js'` or `require` gives it
 */
export function joinGrpc(mesh: Mesh, grpcJs: GrpcJs, { logger = stderrLogger('warn') }: JoinGrpcOptions = {}): Undo {
  const prototype = grpcJs.Channel.prototype as unknown as Methods;
  let join = joined.get(prototype);
  if (join === undefined) {
    if (!isKnown(grpcJs)) {
      logger.warn(
        {},
        'a copy of @grpc/grpc-js cannot be joined to the mesh: its channels are built otherwise than those of 1.8 to 1.14; use `meshOptions`',
      );
      return () => {};
    }
    join = new Join(prototype, logger);
    joined.set(prototype, join);
  }
  return join.add(mesh);
}

class Join {
  private readonly prototype: Methods;
  private readonly logger: Logger;
  private readonly meshes: Mesh[] = [];
  private readonly undos = new Map<Mesh, Undo>();
  private seen = new WeakMap<ChannelInterface, Seen>();
  private hasWarned = false;
  private restore: () => void = () => {};
  /** As grpc-js itself has it. */
  private stateOf: (channel: ChannelInterface) => number = () => 0;

  constructor(prototype: Methods, logger: Logger) {
    this.prototype = prototype;
    this.logger = logger;
  }

  add(mesh: Mesh): Undo {
    const before = this.undos.get(mesh);
    if (before !== undefined) return before;
    if (this.meshes.length === 0) this.patch();
    this.meshes.push(mesh);
    const undo = (): void => {
      if (this.undos.get(mesh) !== undo) return;
      this.undos.delete(mesh);
      this.meshes.splice(this.meshes.indexOf(mesh), 1);
      if (this.meshes.length > 0) return;
      this.restore();
      joined.delete(this.prototype);
    };
    this.undos.set(mesh, undo);
    return undo;
  }

  private patch(): void {
    const { prototype } = this;
    const { createCall, close, getConnectivityState, watchConnectivityState } = prototype;
    this.stateOf = (channel) => getConnectivityState.call(channel, false);
    const meshOf = (channel: ChannelInterface): MeshChannel | undefined => this.channelFor(channel);
    const seenOf = (channel: ChannelInterface): MeshChannel | undefined => this.seen.get(channel)?.channel;
    const patched: Methods = {
      createCall(...args) {
        const channel = meshOf(this);
        return channel === undefined ? createCall.apply(this, args) : channel.createCall(...args);
      },
      close(...args) {
        seenOf(this)?.close();
        return close.apply(this, args);
      },
      getConnectivityState(...args) {
        const channel = meshOf(this);
        return channel === undefined ? getConnectivityState.apply(this, args) : channel.getConnectivityState(...args);
      },
      watchConnectivityState(...args) {
        const channel = meshOf(this);
        return channel === undefined ? watchConnectivityState.apply(this, args) : channel.watchConnectivityState(...args);
      },
    };
    Object.assign(prototype, patched);
    this.restore = () => {
      // What somebody else has put there since stays.
      if (prototype.createCall === patched.createCall) prototype.createCall = createCall;
      if (prototype.close === patched.close) prototype.close = close;
      if (prototype.getConnectivityState === patched.getConnectivityState) prototype.getConnectivityState = getConnectivityState;
      if (prototype.watchConnectivityState === patched.watchConnectivityState) prototype.watchConnectivityState = watchConnectivityState;
    };
  }

  /** Undefined: no mesh serves its target. */
  private channelFor(channel: ChannelInterface): MeshChannel | undefined {
    let seen = this.seen.get(channel);
    if (seen === undefined) {
      seen = { authority: authorityOf(targetOf(channel)), channel: undefined, mesh: undefined };
      this.seen.set(channel, seen);
    }
    const { authority } = seen;
    if (authority === undefined) return undefined;
    for (let at = 0; at < this.meshes.length; at++) {
      const mesh = this.meshes[at]!;
      if (!mesh.serves(authority)) continue;
      if (seen.mesh !== mesh) {
        // A closed one stays so.
        if (this.stateOf(channel) === SHUTDOWN) return undefined;
        seen.mesh = mesh;
        seen.channel = this.channelOf(mesh, channel, authority);
      }
      return seen.channel;
    }
    return undefined;
  }

  private channelOf(mesh: Mesh, channel: ChannelInterface, authority: string): MeshChannel {
    const { credentials, options } = insideOf(channel);
    if (options['grpc.service_config'] !== undefined && !this.hasWarned) {
      this.hasWarned = true;
      this.logger.info(
        { target: authority },
        'retries, hedging and balancing of calls to the mesh are the mesh’s: `grpc.service_config` has no effect on them',
      );
    }
    return new MeshChannel(mesh, authority, credentials, options);
  }
}

function insideOf(channel: ChannelInterface): ChannelInside {
  return (channel as unknown as { internalChannel: ChannelInside }).internalChannel;
}

/** With a proxy in the environment the target is the proxy's, and the option has what was meant. */
function targetOf(channel: ChannelInterface): string {
  const meant = insideOf(channel).options['grpc.http_connect_target'];
  return typeof meant === 'string' ? meant : channel.getTarget();
}

function isKnown({ Channel, credentials }: GrpcJs): boolean {
  const insecure = credentials.createInsecure();
  const probe = new Channel('localhost:1', insecure, { 'grpc.enable_channelz': 0 });
  const inside = insideOf(probe) as ChannelInside | undefined;
  probe.close();
  return inside?.credentials === insecure && typeof inside.options === 'object';
}
