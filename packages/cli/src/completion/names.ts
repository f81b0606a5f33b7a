// Names of what a running mesh has, for completion: quickly, and nothing at all where it does not answer.
import { serviceKey } from '@heddle/core';
import type { Instance } from '@heddle/core';
import { type ControlClient, openControl } from '../control-client.ts';
import { requireStateDirectory } from '../state-directory.ts';
import type { Candidate, NameKind } from './candidates.ts';

/** Longer than a person waits after a key. */
const TIMEOUT_MS = 1_500;

/** @param words before it on the command line, without options. Never rejects. */
export async function namesOf(kind: NameKind, words: readonly string[], stateDir: string | undefined): Promise<Candidate[]> {
  let control: ControlClient | undefined;
  try {
    control = openControl(requireStateDirectory(stateDir));
    const late = new Promise<Candidate[]>((resolve) => setTimeout(() => resolve([]), TIMEOUT_MS).unref());
    return await Promise.race([ask(kind, words, control), late]);
  } catch {
    return [];
  } finally {
    control?.close();
  }
}

async function ask(kind: NameKind, words: readonly string[], control: ControlClient): Promise<Candidate[]> {
  switch (kind) {
    case 'services':
      return (await control.services()).map(({ name, protocol, instances }) => ({
        value: name,
        description: `${protocol}, ${counted(instances.length)}`,
      }));
    case 'namespaces':
      return [...new Set((await control.services()).map(({ namespace }) => namespace))].map(plain);
    case 'instances':
      return (await control.instances()).map(instanceCandidate);
    case 'instances-and-services':
      return [...(await ask('services', words, control)), ...(await ask('instances', words, control))];
    case 'nodes':
      return [...new Set((await control.proxies()).map(({ node }) => node))].map(plain);
    case 'tokens':
      return (await control.tokens()).map(({ id, namespace, service, state }) => ({
        value: id,
        description: `${serviceKey({ namespace, name: service })}, ${state}`,
      }));
    case 'admin-tokens':
      return (await control.adminTokens()).map(({ name, role }) => ({ value: name, description: role }));
    case 'splits':
      return splits(words, control);
  }
}

/** Rules first; then what each leads to, with the sign behind which its weight comes. */
async function splits([service = '', ...given]: readonly string[], control: ControlClient): Promise<Candidate[]> {
  const all = (await control.splits()).filter((one) => one.service.endsWith(`/${service}`));
  const [rule] = given;
  const named = all.filter(({ route }) => route === rule);
  const rules = rule === undefined && all.length > 1 ? all.map(({ route }) => plain(route)) : [];
  const to = (named.length > 0 ? named : all).flatMap(({ weights }) =>
    weights.map(({ service: target, labels, weight }) => {
      const texts = Object.entries(labels).map(([key, value]) => (key === 'version' ? value : `${key}=${value}`));
      const value = texts.length === 0 ? target.slice(target.indexOf('/') + 1) : texts.join(',');
      return { value: `${value}=`, description: `now ${weight}` };
    }),
  );
  return [...rules, ...to.filter(({ value }) => !given.some((word) => word.startsWith(value)))];
}

function instanceCandidate({ id, service, health }: Instance): Candidate {
  return { value: id, description: `${service.name}, ${health}` };
}

function counted(instances: number): string {
  return `${instances} ${instances === 1 ? 'instance' : 'instances'}`;
}

function plain(value: string): Candidate {
  return { value, description: '' };
}
