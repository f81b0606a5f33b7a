// Fetches and builds what the interop tests take from elsewhere than Debian, so that it is not part of their time. For CI, which then finds
// everything in the cache; the tests do the same by themselves when it is not there.
import { buildH2spec } from '../../../packages/wire/src/http2/testing/programs.ts';
import { envoyProgram } from './envoy-program.ts';
import { goProgram, pythonProgram } from './grpc-xds.ts';
import { node24Program } from './node-program.ts';

process.env['HEDDLE_REQUIRE_INTEROP'] = '1';
const found = [await envoyProgram(), await pythonProgram('client'), await goProgram('client'), await node24Program(), buildH2spec()];
for (const one of found) {
  if (typeof one === 'string' || !('reason' in one)) continue;
  process.stderr.write(`not there: ${one.reason}\n`);
  process.exitCode = 1;
}
