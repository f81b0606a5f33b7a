// `heddle export grafana`: a dashboard of the mesh for Grafana, over the Prometheus of `heddle export prometheus`.
import type { ExitCode } from '../errors.ts';
import { writeExport } from './export.ts';
import { meshDashboard } from './grafana/dashboard.ts';

export interface ExportGrafanaOptions {
  readonly output?: string;
}

export function exportGrafana({ output }: ExportGrafanaOptions): ExitCode {
  writeExport(`${JSON.stringify(meshDashboard(), null, 2)}\n`, output);
  return 0;
}
