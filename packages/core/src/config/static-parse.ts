// The file of `heddle proxy --static`, from text to configuration: complete, or every problem at once. Pure; never throws.
import { buildHealth, buildTraffic, deepFreeze } from './build.ts';
import { STATIC_PLANNED } from './planned.ts';
import type { Problem } from './problem.ts';
import type { FileKind } from './read-file.ts';
import { readConfigFile } from './read-file.ts';
import type { StaticConfig, StaticService } from './static-config.ts';
import type { StaticFileOutput } from './static-schema.ts';
import { StaticFile } from './static-schema.ts';
import { checkStaticMeaning, parseEndpoint } from './static-semantics.ts';

export interface ParsedStaticFile {
  /** Absent when there is an error. */
  readonly config?: StaticConfig;
  /** In the order of the file; warnings do not keep the configuration from being used. */
  readonly problems: readonly Problem[];
}

const STATIC_FILE: FileKind<typeof StaticFile> = {
  schema: StaticFile,
  planned: STATIC_PLANNED,
  checkMeaning: checkStaticMeaning,
  whenEmpty: 'begin with "listeners:" and "services:"; `heddle proxy --help` shows an example',
  whenLarge: 'check that it is the right file; 1,000 services with some endpoints each have some 200 KiB',
};

/**
 * @param text the content of the file.
 * @param path its name, for messages.
 */
export function parseStaticFile(text: string, path: string): ParsedStaticFile {
  const { output, problems } = readConfigFile(STATIC_FILE, text, path);
  return output === undefined ? { problems } : { config: build(output), problems };
}

function build({ listeners, services }: StaticFileOutput): StaticConfig {
  return deepFreeze({
    listeners,
    services: Object.entries(services).map(
      ([name, service]): StaticService => ({
        name,
        protocol: service.protocol,
        endpoints: service.endpoints.flatMap((text) => parseEndpoint(text) ?? []),
        ...(service.health && { health: buildHealth(service.health) }),
        ...buildTraffic(service),
      }),
    ),
  });
}
