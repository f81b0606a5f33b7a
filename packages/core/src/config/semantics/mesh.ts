// What the fields of a mesh file mean to one another: checks that no single field can make.
import type { Fault } from '../fault.ts';
import { isRecord } from '../fault.ts';
import { checkEgress } from './egress.ts';
import { checkHealth } from './health.ts';
import { recordOf } from './raw.ts';
import { checkRoutes, rulesOf } from './rules.ts';
import { checkName, checkService } from './service.ts';
import { checkTraffic } from './traffic.ts';

/** @param root the file as it was written. */
export function checkMeaning(root: unknown): Fault[] {
  const file = recordOf(root);
  const services = recordOf(file['services']);
  const names = Object.keys(services);
  return [
    ...names.flatMap((name): Fault[] => {
      const path = ['services', name];
      const service = services[name];
      const faults = checkName(name, path);
      if (!isRecord(service)) return faults;
      return [
        ...faults,
        ...checkHealth(service, path),
        ...checkService(service, name, names, path),
        ...checkTraffic(service, path, rulesOf(file['routes'], name)),
      ];
    }),
    ...checkRoutes(file['routes'], services),
    ...checkEgress(file['egress'], names),
  ];
}
