// What a mesh file says that applying it does not do, or does elsewhere: said, so that nobody waits for it.
import { isDeepStrictEqual } from 'node:util';
import { serviceKey } from '@heddle/core';
import type { MeshConfig, ServiceConfig } from '@heddle/core';

/** @param started what the processes were started by. @param running what holds. @param next what is to hold. */
export function notesOf(started: MeshConfig, running: MeshConfig, next: MeshConfig): string[] {
  const notes: string[] = [];
  const [before, after] = [processesOf(started), processesOf(next)];
  const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => !isDeepStrictEqual(before.get(name), after.get(name)));
  if (names.length > 0)
    notes.push(
      `the processes of ${names.join(', ')} stay as they are: \`run\`, \`replicas\`, \`env\`, \`uses\` and the like are for \`heddle up\`, which goes by the file that it is started with`,
    );
  if (started.anonymousCalls !== next.anonymousCalls)
    notes.push('`security.anonymousCalls` is for the proxy of `heddle up`: it changes when that is started with this file');
  const known = new Set(secretsOf(running));
  for (const path of new Set(secretsOf(next)))
    if (!known.has(path)) notes.push(`the secret in ${path} is read by data planes, each on its own machine`);
  return notes;
}

function processesOf({ services }: MeshConfig): Map<string, Pick<ServiceConfig, 'run' | 'uses'>> {
  return new Map(services.flatMap(({ service, run, uses }) => (run === undefined ? [] : [[serviceKey(service), { run, uses }]])));
}

function secretsOf({ security: { issuers, outboundTokens }, telemetry }: MeshConfig): string[] {
  return [
    ...issuers.flatMap(({ introspection }) => introspection?.clientSecretFile ?? []),
    ...outboundTokens.map(({ token }) => token.clientSecretFile),
    ...(telemetry.tracing?.collector.headers ?? []).flatMap(({ from, text }) => (from === 'file' ? [text] : [])),
  ];
}
