// A data plane that asks for what is another service's: it gets nothing of it, and that it has asked is noted, once for each name.
import { serviceKey } from '@heddle/core';
import type { Instance, ServiceRef } from '@heddle/core';
import { isOwn } from '../discovery-server/own.ts';
import type { Caller } from '../server/caller.ts';

/** Names of one stream; whoever asks for more has been noted often enough. */
const NAMES_MAX = 20;

export class ForeignRequests {
  readonly #caller: Caller;
  readonly #note: (reason: string) => void;
  readonly #noted = new Set<string>();

  constructor(caller: Caller, note: (reason: string) => void) {
    this.#caller = caller;
    this.#note = note;
  }

  /** It says that it is this node, which has these instances. One for several workloads comes as one of them. */
  node(node: string, instances: readonly Instance[]): void {
    const [other] = instances;
    if (other !== undefined && !instances.some(({ service }) => isOwn(this.#caller, service))) this.#tell(`node ${node}`, other.service);
  }

  name(name: string): void {
    const owner = ownerOf(name);
    if (owner !== undefined && !isOwn(this.#caller, owner)) this.#tell(name, owner);
  }

  #tell(what: string, { namespace, name }: ServiceRef): void {
    if (this.#noted.size >= NAMES_MAX || this.#noted.has(what)) return;
    this.#noted.add(what);
    const who = this.#caller.kind === 'anonymous' ? 'nobody' : this.#caller.uri;
    this.#note(`${who} asked for the configuration of ${serviceKey({ namespace, name })} (${what.slice(0, 300)})`);
  }
}

/** The service of the instance whose own resource has the name; undefined: it is nobody's own. */
function ownerOf(resource: string): ServiceRef | undefined {
  const [kind = '', namespace = '', name = '', ...rest] = resource.split('/');
  const isInstances = kind === 'inbound' || kind === 'local' ? rest.length === 1 : kind === 'outbound' && rest.length === 3;
  return isInstances ? { namespace, name } : undefined;
}
