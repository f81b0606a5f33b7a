// What the operations about traffic do.
import type { Handlers } from './handler.ts';
import { openTap } from '../admin/taps.ts';
import { seriesProblem } from '../telemetry/traffic-views.ts';
import type { ExplainReply } from '../telemetry/questions.ts';
import type { TRAFFIC_OPERATIONS } from './traffic-operations.ts';
import { time } from './present.ts';
import { STREAM_HEADERS } from './watch/stream.ts';
import { ProblemError, type ProblemCode } from './problems.ts';
import { RANGES, WINDOWS } from './schema/traffic.ts';

const PROBLEM_OF: Readonly<Record<Exclude<ExplainReply['kind'], 'explained'>, ProblemCode>> = {
  invalid: 'INVALID',
  'not-found': 'NOT_FOUND',
  refused: 'REFUSED',
  unavailable: 'UNAVAILABLE',
  limit: 'LIMIT',
};

export const trafficHandlers: Pick<Handlers, keyof typeof TRAFFIC_OPERATIONS> = {
  getGraph: ({ query }, { traffic }) => ({ status: 200, value: traffic.graph(WINDOWS[query.window], query.namespace) }),
  getSeries: async ({ query: { range, ...question } }, { traffic }) => {
    const problem = seriesProblem(question);
    if (problem !== undefined) throw new ProblemError('INVALID', `query: ${problem}`);
    return { status: 200, value: await traffic.series(question, RANGES[range]) };
  },
  getServiceTraffic: ({ path, query }, { traffic }) => {
    const key = `${path.namespace}/${path.service}`;
    const value = traffic.service(key, WINDOWS[query.window]);
    if (value === undefined) throw new ProblemError('NOT_FOUND', `there is no service ${key}`);
    return { status: 200, value };
  },
  listDecisions: ({ query: { limit, ...filter } }, { traffic }) => {
    const { items, lost } = traffic.decisions(filter, limit);
    return { status: 200, value: { items: items.map(({ timeMs, ...rest }) => ({ time: time(timeMs), ...rest })), lost } };
  },
  explainRequest: async ({ body: { headers, ...wish } }, { traffic }) => {
    const reply = await traffic.explain({ ...wish, headers: Object.entries(headers).map(([name, value]) => ({ name, value })) });
    if (reply.kind === 'explained') return { status: 200, text: reply.explanation };
    throw new ProblemError(PROBLEM_OF[reply.kind], reply.reason, reply.mend === undefined ? {} : { mend: reply.mend });
  },
  tap: async ({ query: { headers, perSecond, forMs, ...filter } }, { watches, ...context }, _, by) => {
    const stream = await watches.openTap((poke) => openTap(context, by, { filter, headers, perSecond, forMs }, poke));
    return { status: 200, stream, headers: STREAM_HEADERS };
  },
};
