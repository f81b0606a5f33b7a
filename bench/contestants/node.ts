// A proxy as one writes it with Node's own HTTP modules (programs/node-proxy.ts): what Heddle would cost without codecs of its own.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contestant } from './contestant.ts';
import { identityOf } from './contestant.ts';

export const node: Contestant = {
  name: 'node:http',
  missing: () => undefined,
  versionCommand: [process.execPath, '--version'],
  command(hop, { folder, certificates }) {
    const file = join(folder, 'node.json');
    writeFileSync(file, JSON.stringify({ ...hop, certificates: certificates.folder, identity: identityOf(hop) }));
    return [process.execPath, join(import.meta.dirname, '../programs/node-proxy.ts'), file];
  },
};
