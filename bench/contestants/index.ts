// All that take part, in the order of the tables.
import type { Contestant } from './contestant.ts';
import { envoy } from './envoy.ts';
import { haproxy } from './haproxy.ts';
import { heddle, heddleSilent } from './heddle.ts';
import { nginx } from './nginx.ts';
import { node } from './node.ts';

export const CONTESTANTS: readonly Contestant[] = [heddle, haproxy, nginx, envoy, node, heddleSilent];
