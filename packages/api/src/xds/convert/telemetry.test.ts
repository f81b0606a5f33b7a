// Traces and access logs of a listener: what our own data planes reject, and what an Envoy is told in their place.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AccessLogPolicy, Listener, TracingPolicy } from '@heddle/core';
import { Cluster as ClusterMessage } from '../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { Listener as ListenerMessage } from '../../gen/foreign/envoy/config/listener/v3/listener.ts';
import { OpenTelemetryConfig } from '../../gen/foreign/envoy/config/trace/v3/opentelemetry.ts';
import { FileAccessLog } from '../../gen/foreign/envoy/extensions/access_loggers/file/v3/file.ts';
import { HttpConnectionManager } from '../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { encodeForEnvoy } from './foreign/envoy.ts';
import { encodeResource } from './own.ts';
import { XdsRejection } from './rejection.ts';

const TRACING: TracingPolicy = {
  collector: { url: 'http://127.0.0.1:4318/v1/traces', headers: [{ name: 'x-tenant', from: 'value', text: 'shop' }], timeoutMs: 5_000 },
  samplePercent: 12.5,
  attributes: { env: 'test' },
};
const LOG: AccessLogPolicy = {
  ...{ format: 'json', to: '/var/log/heddle/access.jsonl', samplePercent: 100, restPercent: 1, headers: ['x-request-id'] },
  ...{ statuses: [{ from: 500, to: 599 }], slowerThanMs: 500, errors: true },
};

function listener(tracing?: TracingPolicy, accessLog?: AccessLogPolicy): Listener {
  return {
    ...{ name: 'outbound/x', direction: 'outbound', address: '127.0.0.1', port: 20_001, workload: 'default/web/web-1' },
    filter: { kind: 'http', routeConfigName: 'x', ...(tracing && { tracing }), ...(accessLog && { accessLog }) },
  };
}

describe('traces and access logs', () => {
  test('are refused where they could not be followed, or could send away what is not theirs', () => {
    const { collector } = TRACING;
    const cases: [Listener, RegExp][] = [
      [listener({ ...TRACING, collector: { ...collector, url: 'ftp://x' } }), /url: .*not a URL/],
      [listener({ ...TRACING, collector: { ...collector, url: 'http://a:b@x' } }), /url: .*credentials/],
      [listener({ ...TRACING, collector: { ...collector, timeoutMs: 0 } }), /timeout_ms/],
      [
        listener({ ...TRACING, collector: { ...collector, headers: [{ name: 'a', from: 'env', text: 'AWS_SECRET_KEY' }] } }),
        /env: .*neither OTLP nor OTEL/,
      ],
      [listener({ ...TRACING, samplePercent: 101 }), /sample_percent/],
      [listener(undefined, { ...LOG, to: '/root/.bashrc' }), /to: .*neither stdout/],
      [listener(undefined, { ...LOG, to: 'access.log' }), /to: .*absolute/],
      [listener(undefined, { ...LOG, statuses: [] }), /statuses: must have at least one entry/],
      [listener(undefined, { ...LOG, headers: ['X Y'] }), /headers/],
    ];
    for (const [one, words] of cases)
      assert.throws(
        () => encodeResource('listener', one),
        (error: unknown) => error instanceof XdsRejection && words.test(error.message),
        String(words),
      );
  });

  test('are told to an Envoy as its own tracer, with a cluster for the collector, and its own logger', () => {
    const { manager, clusters } = told(listener(TRACING, LOG));
    const { tracing, accessLog } = manager;
    assert.deepEqual([tracing?.randomSampling?.value, tracing?.clientSampling?.value], [12.5, 0]);
    assert.deepEqual(
      tracing?.customTags?.map(({ tag, type }) => [tag, type?.value && 'value' in type.value && type.value.value]),
      [['env', 'test']],
    );
    const config = OpenTelemetryConfig.decode(typed(tracing?.provider?.configType));
    assert.equal(config.serviceName, 'web');
    assert.deepEqual(
      [config.httpService?.httpUri?.uri, config.httpService?.httpUri?.httpUpstreamType?.value],
      [TRACING.collector.url, 'outbound/x/traces'],
    );
    assert.deepEqual(clusters, ['outbound/x/traces']);
    const [log] = accessLog ?? [];
    assert.equal(log?.filter?.filterSpecifier?.$case, 'orFilter');
    const { path, accessLogFormat } = FileAccessLog.decode(typed(log?.configType));
    assert.equal(path, LOG.to);
    const format = accessLogFormat?.value.format;
    assert.ok(format?.$case === 'jsonFormat');
    assert.deepEqual(format.value?.['headers'], { 'x-request-id': '%REQ(x-request-id)%' });
  });

  test('do not reach an Envoy where the collector wants a secret, and somebody is told', () => {
    const headers = [{ name: 'authorization', from: 'env', text: 'OTLP_TOKEN' }] as const;
    const refused: string[] = [];
    const { manager } = told(listener({ ...TRACING, collector: { ...TRACING.collector, headers } }), refused);
    assert.equal(manager.tracing, undefined);
    assert.match(refused.join(), /tracing.*cannot read the secret/);
  });
});

function told(one: Listener, refused: string[] = []): { manager: HttpConnectionManager; clusters: (string | undefined)[] } {
  const onRefused = (_rejection: unknown, { name, reason }: { name: string; reason: string }): void =>
    void refused.push(`${name}: ${reason}`);
  const [first, ...others] = encodeForEnvoy('listener', one, { trustDomain: 'shop', onRefused });
  const { filterChains } = ListenerMessage.decode(first!.any.value);
  return {
    manager: HttpConnectionManager.decode(typed(filterChains?.at(-1)?.filters?.[0]?.configType)),
    clusters: others.map(({ any }) => ClusterMessage.decode(any.value).name),
  };
}

function typed(config: { readonly value: { readonly value?: Uint8Array } } | undefined): Uint8Array {
  return config?.value.value ?? new Uint8Array();
}
