// Enforces `.dependency-cruiser.mjs`. The cruiser passes silently over files it cannot read, so the modules it has seen are
// compared with the files that exist: fewer is a failure.
import { cruise, type ICruiseResult, type IConfiguration } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { join } from 'node:path';
import { sourceFiles } from '../files.ts';
import type { CheckResult } from './check.ts';

export async function checkLayers(root: string, files: readonly string[] = sourceFiles(root)): Promise<CheckResult> {
  const { default: configuration } = (await import('../../.dependency-cruiser.mjs')) as { default: IConfiguration };
  const { options = {}, ...ruleSet } = configuration;
  const tsConfig = extractTSConfig(join(root, 'tsconfig.json'));
  const { output } = await cruise([...files], { ...options, ruleSet, validate: true, baseDir: root }, options.enhancedResolveOptions, {
    tsConfig,
  });
  const { modules, summary } = output as ICruiseResult;
  const seen = new Set(modules.map((module) => module.source));
  const unseen = files.filter((file) => !seen.has(file));
  const lines = summary.violations
    .filter((violation) => violation.rule.severity !== 'ignore')
    .map(({ rule, from, to, cycle }) => {
      const path = cycle === undefined ? to : cycle.map((step) => step.name).join(' -> ');
      return `${from} -> ${path}\n    ${rule.name}: ${ruleSet.forbidden?.find((known) => known.name === rule.name)?.comment ?? ''}`;
    });
  for (const file of unseen) lines.push(`${file} was not read by the dependency checker, so nothing is known about its imports`);
  return {
    ok: lines.length === 0 && files.length > 0,
    detail: `${files.length - unseen.length} of ${files.length} modules`,
    output: lines.join('\n'),
  };
}
