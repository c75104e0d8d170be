// The pages in a real browser without the net: they render, a query runs, a subscription shows a change.
//
//     node playground/tests/browser.mjs API COMMANDS SCREENSHOTS
//
// API and COMMANDS are the addresses of a running Millrace with the sample shop, SCREENSHOTS a folder for pictures.
// CHROMIUM names the browser when it is not /usr/bin/chromium. A page that asks for anything elsewhere, breaks its own
// content security policy or complains in the console has failed.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [api, commands, folder] = process.argv.slice(2);
assert.ok(api && commands && folder, 'usage: browser.mjs API COMMANDS SCREENSHOTS');
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

let opened;

// A page that may ask the server it comes from only; what else it asks for, and what it complains about, is kept.
async function open(address, { colorScheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const own = new URL(address).host;
  const wrong = [];
  const isOwn = (url) => new URL(url).host === own || url.startsWith('data:');
  opened = page;
  await context.route('**/*', (route) => {
    if (isOwn(route.request().url())) return route.continue();
    wrong.push(`asked for ${route.request().url()}`);
    return route.abort();
  });
  page.on('websocket', (socket) => isOwn(socket.url()) || wrong.push(`opened ${socket.url()}`));
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrong.push(message.text());
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      console.error(`against the policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  await page.goto(address);
  const picture = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
  const end = async () => {
    assert.deepEqual(wrong, []);
    await context.close();
  };
  return { page, picture, end };
}

// Does something again and again until the page shows it.
async function untilShown(what, act, shown) {
  for (let tries = 0; tries < 60; tries += 1) {
    await act();
    if (await shown({ timeout: 1_000 }).then(() => true, () => false)) return;
  }
  assert.fail(`in vain: ${what}`);
}

// Who listens is told only what changes from then on: hence again and again. What was added is taken away at once, so
// that other tests find the sample shop as it was.
async function changeStock() {
  for (const delta of [1, -1]) {
    const answer = await fetch(`${commands}/api/v1/inventory-adjustments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'track-2', delta }),
    });
    assert.equal(answer.status, 202);
  }
}

async function landing() {
  for (const colorScheme of ['light', 'dark']) {
    const { page, picture, end } = await open(`${api}/`, { colorScheme });
    await page.getByRole('heading', { name: 'Millrace' }).waitFor();
    const isNumber = (id) => page.waitForFunction((id) => /^\d/.test(document.getElementById(id).textContent), id);
    await isNumber('dead-letters');
    await isNumber('lag');
    const moves = () => Number.parseFloat(document.getElementById('rate').textContent) > 0;
    await untilShown('the number of events moves', changeStock, (options) => page.waitForFunction(moves, undefined, options));
    await isNumber('freshness');
    await picture(`landing-${colorScheme}`);
    await end();
  }
}

async function graphiql() {
  const { page, picture, end } = await open(`${api}/graphql`);
  const result = page.locator('.result-window');
  const run = () => page.locator('.graphiql-execute-button').click();
  await run();
  await result.getByText('recentOrders').waitFor();
  await result.getByText('Leonie').waitFor();
  await picture('graphiql');

  for (const [tab, field] of [['Orders', 'edges'], ['UsersBatch', 'usersById'], ['InventoryItem', 'quantity']]) {
    await page.getByRole('tab', { name: tab, exact: true }).click();
    // For a moment after the change of tabs GraphiQL sends the name of the operation in the last one.
    await untilShown(`${tab} is answered`, run, (options) => result.getByText(field).first().waitFor(options));
  }

  await page.getByRole('tab', { name: 'Stock' }).click();
  const runs = page.getByRole('button', { name: 'Stop query' });
  const change = result.getByText('inventoryChanged');
  const subscribeAndChange = async () => {
    if ((await runs.count()) === 0) await run();
    await changeStock();
  };
  await untilShown('the subscription tells of a change', subscribeAndChange, (options) => change.waitFor(options));
  await picture('graphiql-subscription');
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Query', exact: true }).click();
  await page.getByText('Users, orders and stock, as far as events have told of them.').waitFor();
  await picture('graphiql-documentation');
  await end();
}

async function editor() {
  for (const colorScheme of ['light', 'dark']) {
    const { page, picture, end } = await open(`${api}/graphql/editor`, { colorScheme });
    await page.getByRole('button', { name: 'Run' }).click();
    await page.locator('#result').getByText('Leonie').waitFor();
    await picture(`editor-${colorScheme}`);
    await page.getByRole('tab', { name: 'Schema' }).click();
    await page.locator('#schema').getByText('type Query').waitFor();
    await end();
  }
}

async function docs() {
  const read = await open(`${api}/docs`);
  await read.page.locator('summary', { hasText: 'GET /users/{id}' }).first().click();
  const route = read.page.locator('details[open]');
  await route.locator('input').first().fill('customer-2');
  await route.getByRole('button', { name: 'Try it' }).click();
  await route.getByText('Leonie').waitFor();
  await read.picture('docs-read-side');
  await read.end();

  const write = await open(`${commands}/docs`, { colorScheme: 'dark' });
  await write.page.locator('summary', { hasText: 'POST /api/v1/orders' }).first().click();
  await write.page.locator('details[open]').getByText('202').first().waitFor();
  await write.picture('docs-write-side');
  await write.end();

  const home = await open(`${commands}/`);
  await home.picture('write-side');
  await home.end();
}

try {
  for (const test of [landing, graphiql, editor, docs]) {
    await test();
    console.log(`${test.name}: ok`);
  }
} catch (error) {
  await opened.screenshot({ path: join(folder, 'failed.png') }).catch(() => {});
  throw error;
} finally {
  await browser.close();
}
