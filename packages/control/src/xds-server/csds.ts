// CSDS: for every data plane that is connected, each resource it was sent and whether it has taken it. Only the operator gets here; the
// access table sees to that.
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { csds } from '@heddle/api';
import type { Logger } from '@heddle/runtime';
import { answerEach } from '../server/answer-each.ts';
import { unary } from '../server/handlers.ts';
import type { OpenStreams } from '../server/handlers.ts';
import { proxyToMessage } from './applied.ts';
import type { ConnectedProxy, ReportedState } from './applied.ts';

export interface CsdsOptions {
  readonly proxies: () => readonly ConnectedProxy[];
  readonly reported: (proxy: ConnectedProxy) => ReportedState | undefined;
  readonly streams: OpenStreams;
  readonly logger: Logger;
}

export function addClientStatusService(server: Server, options: CsdsOptions): void {
  const { streams, logger } = options;
  const answer = (request: csds.ClientStatusRequest): csds.ClientStatusResponse => clientStatus(request, options);
  server.addService(csds.ClientStatusService, {
    fetchClientStatus: unary(logger, answer),
    streamClientStatus: (call: ServerDuplexStream<csds.ClientStatusRequest, csds.ClientStatusResponse>) =>
      void answerEach(call, streams, logger, answer),
  });
}

function clientStatus(request: csds.ClientStatusRequest, { proxies, reported }: CsdsOptions): csds.ClientStatusResponse {
  const isMeant = csds.readNodeMatchers(request);
  const withContent = request.excludeResourceContents !== true;
  const budget = new csds.StatusBudget();
  const config = proxies()
    .filter(({ node }) => isMeant(node))
    .map((proxy) => {
      const { node: id, userAgent, service: scope, sync } = proxy;
      const acked = new Map(sync.map(({ kind, ackedMs }) => [kind, ackedMs]));
      const status = { id, userAgent, metadata: metadataOf(proxy, reported(proxy)), scope, resources: proxy.resources() };
      return csds.statusToMessage({ ...status, ackedMs: (kind) => acked.get(kind) ?? 0 }, withContent, budget);
    });
  return { config };
}

function metadataOf(proxy: ConnectedProxy, state: ReportedState | undefined): Record<string, unknown> {
  const { identity, flavour, heldHash, givenHash, reportedHash } = proxyToMessage(proxy, state);
  return { identity, flavour, heldHash, givenHash, ...(state === undefined ? {} : { reportedHash }) };
}
