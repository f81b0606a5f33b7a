// The form of `health`: how an instance is checked.
import { z } from 'zod';
import { duration, EXPECTED, field, only, oneOrMore, port, text, whole } from './fields.ts';

/** `300-399`. */
export const STATUS_RANGE_PATTERN = /^([1-5]\d\d)-([1-5]\d\d)$/;
/** RFC 9110 §15, and the full names of services in `.proto` files. */
export const GRPC_SERVICE_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const RANGES_MAX = 16;

const status = field(
  z.union([z.int().min(100).max(599), z.string().regex(STATUS_RANGE_PATTERN)]),
  'a status from 100 to 599, or a range such as 300-399',
  { description: 'A status, or a range with both its ends.', examples: [204] },
);

export const health = z
  .strictObject({
    http: text('a path that begins with "/"', /^\/[\x21-\x7e]*$/, {
      description:
        'Path asked for with GET by HTTP/1.1; an answer with a status of `expect` passes. Only for services with protocol http or auto, or with a `port` of its own.',
      examples: ['/healthz'],
    }).optional(),
    expect: oneOrMore(status, RANGES_MAX, 'a status, or a list of statuses and ranges such as [200, 300-399]', {
      description: 'Statuses with which a check by `http` passes. Default: 200-299.',
      examples: [[200, 204, '300-399']],
    }).optional(),
    tcp: only(true, { description: 'A connection that opens passes. The default.', examples: [true] }).optional(),
    grpc: field(
      z.union([z.literal(true), z.string().regex(GRPC_SERVICE_PATTERN)]),
      'true, or the full name of a gRPC service such as shop.Orders',
      {
        description:
          'Asked for by grpc.health.v1.Health/Check; SERVING passes. true asks for the whole server. Only for services with protocol grpc.',
        examples: ['shop.Orders', true],
      },
    ).optional(),
    port: port({
      description: "Port that is checked. Default: the application's own.",
      examples: [9100],
    }).optional(),
    interval: duration(100, 3_600_000, {
      description: 'Time from one check to the next, up to a tenth less, so that checks of many instances spread.',
      examples: ['2s'],
    }).default('2s'),
    timeout: duration(10, 3_600_000, {
      description: 'Time a check may take; at most the interval. Default: 1s, or the interval where that is shorter.',
      examples: ['1s'],
    }).optional(),
    unhealthyAfter: whole(1, 100, {
      description: 'Failed checks in a row after which an instance gets no more traffic.',
      examples: [2],
    }).default(2),
    healthyAfter: whole(1, 100, {
      description: 'Passed checks in a row after which an unhealthy instance gets traffic again.',
      examples: [1],
    }).default(1),
  })
  .meta({ description: 'How the data plane finds out whether an instance is alive.', examples: [{ http: '/healthz' }] })
  .register(EXPECTED, { expected: 'a map such as { http: /healthz }' });
