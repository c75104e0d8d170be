// Third-party tools and clients, unchanged, against a running Millrace.
//
//     npm ci --prefix playground/tests/strangers
//     node playground/tests/strangers/strangers.mjs API COMMANDS
//
// API and COMMANDS are the addresses of a running Millrace with the sample shop.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHash, randomUUID } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
  validateSchema,
} from 'graphql';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';

const [api, commands] = process.argv.slice(2);
assert.ok(api && commands, 'usage: strangers.mjs API COMMANDS');
const here = dirname(fileURLToPath(import.meta.url));
const tools = join(here, 'node_modules', '.bin');
const work = mkdtempSync(join(tmpdir(), 'strangers-'));

// Runs a tool; its output is shown only if it fails.
function run(tool, ...args) {
  const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
  try {
    execFileSync(join(tools, tool), args, { cwd: work, env, encoding: 'utf8', stdio: 'pipe', timeout: 120_000 });
  } catch (error) {
    throw new Error(`${tool} ${args.join(' ')}\n${error.stdout}${error.stderr}`);
  }
}

async function command(path, body) {
  const answer = await fetch(commands + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 202);
  return answer.headers.get('consistency-token');
}

// graphql-js, which most tools use: the schema is valid and the same by introspection and as text.
async function schema() {
  const answer = await fetch(`${api}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: getIntrospectionQuery({ specifiedByUrl: true, inputValueDeprecation: true }) }),
  });
  assert.equal(answer.status, 200);
  const introspected = buildClientSchema((await answer.json()).data);
  const text = await (await fetch(`${api}/graphql/schema`)).text();
  const published = buildSchema(text);
  assert.deepEqual(validateSchema(introspected), []);
  assert.deepEqual(validateSchema(published), []);
  const sorted = (schema) => printSchema(lexicographicSortSchema(schema));
  assert.equal(sorted(introspected), sorted(published));
  writeFileSync(join(work, 'schema.graphql'), printSchema(introspected));
}

// Connections, Node and PageInfo as the Relay compiler requires them.
async function relay() {
  cpSync(join(here, 'relay'), join(work, 'src'), { recursive: true });
  mkdirSync(join(work, 'src/__generated__'));
  const config = {
    src: './src',
    schema: './schema.graphql',
    language: 'typescript',
    artifactDirectory: './src/__generated__',
    customScalarTypes: { Decimal: 'string', DateTime: 'string', Long: 'number' },
  };
  writeFileSync(join(work, 'relay.config.json'), JSON.stringify(config));
  run('relay-compiler', 'relay.config.json');
  assert.equal(readdirSync(join(work, 'src/__generated__')).length, 7);
}

// Both OpenAPI documents pass a linter, and their generated types compile.
async function openapi() {
  const names = { api, commands };
  for (const [name, address] of Object.entries(names)) {
    writeFileSync(join(work, `${name}.json`), await (await fetch(`${address}/openapi.json`)).text());
    run('openapi-typescript', `${name}.json`, '--output', `${name}.ts`);
  }
  run('redocly', 'lint', 'api.json', 'commands.json', '--max-problems', '20', '--format', 'stylish');
  writeFileSync(
    join(work, 'use.ts'),
    `import type { paths } from './api';
    type User = paths['/users/{id}']['get']['responses'][200]['content']['application/json'];
    export const firstStatus = (user: User): string | undefined => user.recentOrders[0]?.payment?.status;`,
  );
  run('tsc', '--noEmit', '--strict', '--skipLibCheck', 'use.ts', 'commands.ts');
}

// The first message of a subscription. A subscription receives only later changes, so the stock is changed repeatedly.
async function firstOf(subscribe, sku) {
  let received;
  const first = new Promise((resolve, reject) => {
    const query = 'subscription Stock($sku: ID!) { inventoryChanged(sku: $sku) { sku quantity } }';
    const sink = { next: resolve, error: reject, complete: () => reject(new Error('completed without a message')) };
    subscribe({ query, variables: { sku } }, sink);
  }).then((value) => {
    received = value;
  });
  for (let tries = 0; tries < 60 && !received; tries += 1) {
    await command('/api/v1/inventory-adjustments', { sku, delta: 1 });
    await Promise.race([first, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  assert.equal(received?.data.inventoryChanged.sku, sku, JSON.stringify(received));
}

// graphql-ws: a query with a consistency token reads the write; a subscription shows a change.
async function webSocket() {
  const sku = `stranger-${randomUUID()}`;
  const token = await command('/api/v1/inventory-adjustments', { sku, delta: 7 });
  const client = createWsClient({
    url: `${api.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { 'Consistency-Token': token },
  });
  const query = 'query Stock($sku: ID!) { inventory(sku: $sku) { quantity } }';
  const answers = client.iterate({ query, variables: { sku } });
  assert.deepEqual((await answers.next()).value, { data: { inventory: { quantity: 7 } } });
  assert.ok((await answers.next()).done);
  await firstOf((payload, sink) => client.subscribe(payload, sink), sku);
  await client.dispose();
}

// graphql-sse, one connection per operation.
async function eventStream() {
  const client = createSseClient({ url: `${api}/graphql`, singleConnection: false });
  await firstOf((payload, sink) => client.subscribe(payload, sink), `stranger-${randomUUID()}`);
  client.dispose();
}

// Apollo Client with automatic persisted queries: it sends the document once, then only the hash.
async function apollo() {
  const sent = [];
  const watch = (url, options) => {
    sent.push(JSON.parse(options.body));
    return fetch(url, options);
  };
  const sha256 = (text) => createHash('sha256').update(text).digest('hex');
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.from([new PersistedQueryLink({ sha256 }), new HttpLink({ uri: `${api}/graphql`, fetch: watch })]),
  });
  // A new document in each run, which the server has not registered.
  const name = `Strangers${randomUUID().replaceAll('-', '')}`;
  const query = gql`query ${name}($id: ID!) { user(id: $id) { id name recentOrders { id payment { status } } } }`;
  for (const id of ['customer-2', 'customer-59']) {
    const { data } = await client.query({ query, variables: { id } });
    assert.equal(data.user.recentOrders.length, 5, id);
  }
  assert.deepEqual(sent.map((request) => 'query' in request), [false, true, false]);
}

try {
  for (const test of [schema, relay, openapi, webSocket, eventStream, apollo]) {
    await test();
    console.log(`${test.name}: ok`);
  }
} finally {
  rmSync(work, { recursive: true });
}
