// Tests of the pages in a browser without network access: they render, a query runs, a subscription shows a change.
//
//     node playground/tests/browser.mjs API COMMANDS SCREENSHOTS
//
// API and COMMANDS are the addresses of a running Millrace with the sample shop, SCREENSHOTS a folder for pictures.
// CHROMIUM is the path of the browser, by default /usr/bin/chromium. A page fails if it requests another host, violates
// its content security policy or logs an error in the console.
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

// Opens a page that may request its own server only, and records other requests and errors.
async function open(address, { colorScheme = 'light' } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const own = new URL(address).host;
  const errors = [];
  const isOwn = (url) => new URL(url).host === own || url.startsWith('data:');
  opened = page;
  await context.route('**/*', (route) => {
    if (isOwn(route.request().url())) return route.continue();
    errors.push(`requested ${route.request().url()}`);
    return route.abort();
  });
  page.on('websocket', (socket) => isOwn(socket.url()) || errors.push(`opened ${socket.url()}`));
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) errors.push(message.text());
  });
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      console.error(`violates the policy: ${violatedDirective} ${blockedURI}`);
    });
  });
  await page.goto(address);
  const picture = (name) => page.screenshot({ path: join(folder, `${name}.png`) });
  const end = async () => {
    assert.deepEqual(errors, []);
    await context.close();
  };
  return { page, picture, end };
}

// Repeats an action until the page shows its effect.
async function untilShown(what, act, shown) {
  for (let tries = 0; tries < 60; tries += 1) {
    await act();
    if (await shown({ timeout: 1_000 }).then(() => true, () => false)) return;
  }
  assert.fail(`timed out: ${what}`);
}

// A subscription receives only later changes, so callers repeat this. It restores the stock of the sample shop, which
// other tests read.
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
    const isPositive = () => Number.parseFloat(document.getElementById('rate').textContent) > 0;
    await untilShown('the event rate changes', changeStock, (options) => page.waitForFunction(isPositive, undefined, options));
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
    // Just after a change of tabs GraphiQL sends the operation name of the previous tab.
    await untilShown(`${tab} is answered`, run, (options) => result.getByText(field).first().waitFor(options));
  }

  await page.getByRole('tab', { name: 'Stock' }).click();
  const runs = page.getByRole('button', { name: 'Stop query' });
  const change = result.getByText('inventoryChanged');
  const subscribeAndChange = async () => {
    if ((await runs.count()) === 0) await run();
    await changeStock();
  };
  await untilShown('the subscription shows a change', subscribeAndChange, (options) => change.waitFor(options));
  await picture('graphiql-subscription');
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Query', exact: true }).click();
  await page.getByText('Users, orders and stock, as projected from events.').waitFor();
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
  await route.getByRole('button', { name: 'Send request' }).click();
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
