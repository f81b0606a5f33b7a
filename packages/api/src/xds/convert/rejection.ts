// Why a resource cannot be used, with the whole way to the field at fault: `Listener 'inbound/…': filter_chains[0]: transport_socket: …`.

/** Thrown for a resource that a data plane would have to refuse or could only follow in part. Nothing of it may be applied. */
export class XdsRejection extends Error {
  /** From the outermost message inwards, in the contract's field names. */
  readonly path: readonly string[];
  readonly reason: string;
  constructor(path: readonly string[], reason: string) {
    super([...path, reason].join(': '));
    this.name = 'XdsRejection';
    this.path = path;
    this.reason = reason;
  }
}

/** Where in a resource the reader is. Immutable; the words are put together only when something is rejected. */
export class At {
  readonly #outer: At | undefined;
  readonly #name: string;
  readonly #index: number | undefined;

  constructor(name: string, index?: number, outer?: At) {
    this.#name = name;
    this.#index = index;
    this.#outer = outer;
  }

  field(name: string): At {
    return new At(name, undefined, this);
  }

  item(name: string, index: number): At {
    return new At(name, index, this);
  }

  reject(reason: string): never {
    throw new XdsRejection(this.path(), reason);
  }

  path(): string[] {
    const step = this.#index === undefined ? this.#name : `${this.#name}[${this.#index}]`;
    return this.#outer === undefined ? [step] : [...this.#outer.path(), step];
  }
}
