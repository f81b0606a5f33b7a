// What the fields of a mesh file mean to one another: checks that no single field can make.
import type { ConditionCompiler } from '../../authz/index.ts';
import type { Fault } from '../fault.ts';
import { isRecord } from '../fault.ts';
import { checkEgress } from './egress.ts';
import { checkHealth } from './health.ts';
import { recordOf } from './raw.ts';
import { checkRoutes, rulesOf } from './rules.ts';
import { checkSecurity } from './security.ts';
import type { SecurityFiles } from './security-files.ts';
import { checkName, checkService } from './service.ts';
import { checkServiceTelemetry, checkTelemetry } from './telemetry.ts';
import { checkTraffic } from './traffic.ts';

/** @param root the file as it was written. @param conditions reads those of rules. */
export function checkMeaning(root: unknown, files: SecurityFiles, conditions?: ConditionCompiler): Fault[] {
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
        ...checkServiceTelemetry(service, file['telemetry'], path),
        ...checkTraffic(service, path, rulesOf(file['routes'], name)),
      ];
    }),
    ...checkRoutes(file['routes'], services),
    ...checkEgress(file['egress'], names),
    ...checkSecurity(file, files, conditions),
    ...checkTelemetry(file['telemetry'], ['telemetry']),
  ];
}
