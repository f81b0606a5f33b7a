// Names of services, namespaces and identities in `security`, and what is meant where one is not known.
import { SYSTEM_NAMESPACE, DEFAULT_NAMESPACE, EGRESS_NAMESPACE } from '../../model/service.ts';
import { parseSpiffeId } from '../../identity/spiffe.ts';
import type { Fault, Path } from '../fault.ts';
import { shown } from '../fault.ts';
import { listed, nearest } from '../suggest.ts';
import { recordOf, valueFault, warning, type Raw } from './raw.ts';

/** What a namespace or the name of a service is in the registry. */
const SEGMENT = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,63}$/;
/** Each is compared with every other; so many are no slips. */
const COMPARED_NAMESPACES_MAX = 256;
const SYSTEM_NAMES = ['control', 'operator'];
const IDENTITY_EXAMPLE = 'for example "spiffe://shop/ns/default/svc/web", or "spiffe://shop/ns/default/*" for all below';

/** Looks names up in the file, and remembers namespaces: other services may join in any of them, so that only a likely slip can be told. */
export class SecurityNames {
  readonly services: Raw;
  readonly trustDomain: string;
  /** What was meant, by what is not known: the same name may stand in many rules. */
  readonly #meant = new Map<string, string | undefined>();
  readonly #namespaces: { readonly name: string; readonly path: Path }[] = [];

  constructor(file: Raw) {
    this.services = recordOf(file['services']);
    const domain = file['trustDomain'] ?? file['mesh'];
    this.trustDomain = typeof domain === 'string' ? domain : '';
  }

  /** `orders` or `shop/orders`. @param words that may stand here too, for hints. */
  checkService(text: string, path: Path, words: readonly string[] = []): Fault[] {
    const [first = '', second, ...more] = text.split('/');
    if (text.includes('://'))
      return [valueFault(path, `${shown(text)} is an identity, not a service`, `write "{ identity: ${cut(text)} }"`)];
    if (/^[0-9a-f.:]+\/\d+$|^\d+(\.\d+){3}$/i.test(text))
      return [valueFault(path, `${shown(text)} is a network, not a service`, `write "{ network: ${cut(text)} }"`)];
    if (second === undefined) return this.#checkOwn(first, path, words);
    if (more.length > 0 || !SEGMENT.test(first) || !SEGMENT.test(second))
      return [valueFault(path, `${shown(text)} is not the name of a service`, 'write "NAME", or "NAMESPACE/NAME"')];
    return this.checkServiceIn(first, second, path);
  }

  /** Of the service itself, where it stands apart from its namespace. */
  checkServiceIn(namespace: string, name: string, path: Path): Fault[] {
    if (!SEGMENT.test(name)) return [valueFault(path, `${shown(name)} is not the name of a service`, 'for example "orders"')];
    if (namespace === DEFAULT_NAMESPACE) return this.#checkOwn(name, path, []);
    if (namespace === SYSTEM_NAMESPACE && !SYSTEM_NAMES.includes(name)) {
      const reason = `${shown(name)} is not one of the mesh's own identities`;
      return [valueFault(path, reason, `use ${listed(SYSTEM_NAMES.map((known) => `${SYSTEM_NAMESPACE}/${known}`))}`)];
    }
    return this.checkNamespace(namespace, path);
  }

  checkNamespace(namespace: string, path: Path): Fault[] {
    if (!SEGMENT.test(namespace)) return [valueFault(path, `${shown(namespace)} is not a namespace`, 'for example "shop"')];
    if (namespace === EGRESS_NAMESPACE)
      return [valueFault(path, 'hosts outside the mesh have no identity and no data plane that could refuse', 'remove it')];
    this.#namespaces.push({ name: namespace, path });
    return [];
  }

  /** Namespaces that look like another one that is there, or is named more often. */
  oddNamespaces(): Fault[] {
    const counts = new Map<string, number>([
      [DEFAULT_NAMESPACE, Infinity],
      [SYSTEM_NAMESPACE, Infinity],
    ]);
    for (const { name } of this.#namespaces) counts.set(name, (counts.get(name) ?? 0) + 1);
    const names = [...counts.keys()];
    if (names.length > COMPARED_NAMESPACES_MAX) return [];
    const odd = new Map<string, string | undefined>();
    return this.#namespaces.flatMap(({ name, path }): Fault[] => {
      if (!odd.has(name))
        odd.set(
          name,
          nearest(
            name,
            names.filter((other) => (counts.get(other) ?? 0) > (counts.get(name) ?? 0)),
          ),
        );
      const meant = odd.get(name);
      return meant === undefined
        ? []
        : [warning(valueFault(path, `no service of this file is in the namespace ${shown(name)}`, `did you mean "${meant}"?`))];
    });
  }

  /** A SPIFFE id of this mesh. @param isPattern `/*` may stand at its end. */
  checkIdentity(text: string, path: Path, isPattern: boolean): Fault[] {
    const below = isPattern && text.endsWith('/*') ? text.slice(0, -1) : undefined;
    const domain = /^spiffe:\/\/([^/]*)(?:\/|$)/.exec(text)?.[1];
    if (domain === undefined) return [valueFault(path, `${shown(text)} is not a SPIFFE id`, IDENTITY_EXAMPLE)];
    if (domain !== this.trustDomain) {
      const reason = `${shown(text)} is of the trust domain ${shown(domain)}, and this mesh is ${shown(this.trustDomain)}: nobody can show it`;
      return [valueFault(path, reason, `write "spiffe://${this.trustDomain}${cut(text.slice('spiffe://'.length + domain.length))}"`)];
    }
    const isKnownForm =
      below === undefined
        ? parseSpiffeId(text) !== undefined
        : /^spiffe:\/\/[^/]+\/(?:ns\/(?:[A-Za-z0-9._-]{1,63}\/(?:svc\/)?)?)?$/.test(below);
    if (isKnownForm) return [];
    const reason = `${shown(text)} is not of the form of this mesh's identities: nobody can show it`;
    return [valueFault(path, reason, text.includes('*') && !isPattern ? 'write each identity whole' : IDENTITY_EXAMPLE)];
  }

  #checkOwn(name: string, path: Path, words: readonly string[]): Fault[] {
    if (name === '' || Object.hasOwn(this.services, name)) return [];
    const known = Object.keys(this.services);
    const key = `${name} ${words.length}`;
    if (!this.#meant.has(key)) this.#meant.set(key, nearest(name, [...known, ...words]));
    const meant = this.#meant.get(key);
    const mend =
      meant !== undefined
        ? `did you mean "${meant}"?`
        : known.length > 0
          ? `use ${listed([...known, ...words])}, or add the service`
          : 'add the service';
    return [valueFault(path, `there is no service ${shown(name)}`, mend)];
  }
}

function cut(text: string): string {
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
