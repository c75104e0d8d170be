// The pages in a real browser without the net: they render, a query runs, a subscription shows a change.
//
//     node playground/tests/browser.mjs API COMMANDS SCREENSHOTS
//
// API and COMMANDS are the addresses of a running Millrace with the sample shop, SCREENSHOTS a folder for pictures.
// CHROMIUM names the browser when it is not /usr/bin/chromium.
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

// A page that may ask our own server only; what else it asks for, and what it complains about, is kept.
async function open(path) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const wrong = [];
  await context.route('**/*', (route) => {
    if (route.request().url().startsWith(api)) return route.continue();
    wrong.push(`asked for ${route.request().url()}`);
    return route.abort();
  });
  page.on('pageerror', (error) => wrong.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text());
  });
  await page.goto(api + path);
  return { page, wrong, picture: (name) => page.screenshot({ path: join(folder, `${name}.png`) }) };
}

async function landing() {
  const { page, wrong, picture } = await open('/');
  await page.getByRole('heading', { name: 'Millrace' }).waitFor();
  await page.waitForFunction(() => /\d/.test(document.getElementById('dead-letters').textContent));
  await picture('landing');
  assert.deepEqual(wrong, []);
}

async function graphiql() {
  const { page, wrong, picture } = await open('/graphql');
  const result = page.locator('.result-window');
  await page.locator('.graphiql-execute-button').click();
  await result.getByText('recentOrders').waitFor();
  await result.getByText('Leonie').waitFor();
  await picture('graphiql-query');

  await page.getByRole('tab', { name: 'Stock' }).click();
  await page.locator('.graphiql-execute-button').click();
  // Told only what changes from the moment it listens: so the stock is changed until the page shows it.
  let shown = false;
  for (let tries = 0; tries < 60 && !shown; tries += 1) {
    const answer = await fetch(`${commands}/api/v1/inventory-adjustments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sku: 'track-2', delta: 1 }),
    });
    assert.equal(answer.status, 202);
    const change = result.getByText('inventoryChanged').waitFor({ timeout: 1_000 });
    shown = await change.then(() => true, () => false);
  }
  assert.ok(shown, 'the subscription shows a change');
  await picture('graphiql-subscription');
  assert.deepEqual(wrong, []);
}

async function editor() {
  const { page, wrong, picture } = await open('/graphql/editor');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.locator('#result').getByText('Leonie').waitFor();
  await picture('editor');
  assert.deepEqual(wrong, []);
}

try {
  for (const test of [landing, graphiql, editor]) {
    await test();
    console.log(`${test.name}: ok`);
  }
} finally {
  await browser.close();
}
